package extract

import (
	"fmt"
	"strings"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// handed lists the apps and blueprints among the arguments of a call.
func (in *interp) handed(c *call) []target {
	var out []target
	for _, a := range c.all() {
		out = append(out, in.targetsIn(a)...)
		if s, ok := a.(*seq); ok {
			for _, item := range s.items {
				out = append(out, in.targetsIn(item)...)
			}
		}
	}
	return out
}

// judge decides what a call outside the project that was handed an app or a
// blueprint may have registered: nothing, what its installed source says, or
// anything.
func (in *interp) judge(e *external, c *call) {
	targets := in.handed(c)
	if len(targets) == 0 || registersNothing(e.path) {
		return
	}
	if real, ok := in.realize(e); ok {
		in.callValue(real, c)
		return
	}
	prefix := e.prefixGiven()
	if isNone(prefix) {
		prefix = (&external{call: c}).prefixGiven()
	}
	for _, t := range targets {
		for _, p := range prefixes(prefix) {
			t.addOpening(opening{in.here(), p.text, e.path + " may register routes: it is not known what it does with the app"})
		}
	}
}

// escape judges a call of a project class that derives from path and has no
// constructor of its own.
func (in *interp) escape(c *call, path string) {
	if path != "" {
		in.judge(&external{path: path}, c)
	}
}

// callUnknown is a call of a value that is not known.
func (in *interp) callUnknown(fn value, c *call) value {
	why := "a value that is not known is called"
	u, isUnknown := fn.(*unknown)
	if isUnknown {
		why = u.why
	}
	if !isNone(fn) {
		in.lost(c, "a function that is not known is given it ("+why+")")
	}
	if len(c.args) == 1 && len(c.kw) == 0 && decorated(c.args[0]) {
		return c.args[0]
	}
	if isUnknown {
		return &unknown{why: u.why, setting: u.setting}
	}
	return unknownf(why)
}

// lost opens everything that a call which cannot be followed was handed.
func (in *interp) lost(c *call, why string) {
	for _, t := range in.handed(c) {
		t.addOpening(opening{in.here(), "", why})
	}
}

// registering are the methods by which apps, blueprints and APIs register.
var registering = map[string]bool{
	"route": true, "add_url_rule": true, "register_blueprint": true, "add_resource": true, "add_namespace": true,
	"register_api": true, "register_view": true, "add_api": true, "expose": true,
}

var verbs = map[string]bool{"get": true, "post": true, "put": true, "delete": true, "patch": true}

// suspect opens the table where a value that is not known is used as an app or
// a blueprint would be.
func (in *interp) suspect(e *ast.Call, fn value, c *call, decorator bool) {
	attr, ok := e.Func.(*ast.Attribute)
	if !ok {
		return
	}
	name := string(attr.Attr)
	if !registering[name] && !(decorator && verbs[name]) {
		return
	}
	for _, f := range alternatives(fn) {
		switch f := f.(type) {
		case *unknown:
			in.strayRule(name, c)
			in.openSuspect(name, c, none{}, "it is not known what ."+name+"() is called on: "+f.why)
		case *external:
			first, _ := c.get(0, "rule")
			if !registersNothing(f.path) && (name == "register_blueprint" || startsWithSlash(first)) {
				in.strayRule(name, c)
				in.openSuspect(name, c, f.prefixGiven(), f.path+" may register a route")
			}
		}
	}
}

// strayRule keeps what a route() on an unknown value says for certain.
func (in *interp) strayRule(name string, c *call) {
	if rule, ok := c.get(0, "rule"); ok && startsWithSlash(rule) && (name == "route" || name == "add_url_rule" || verbs[name]) {
		options := &call{kw: c.kw, open: c.open}
		if verbs[name] {
			options = withMethods(options, strings.ToUpper(name))
		}
		in.addRuleCall(in.stray, rule, options)
	}
}

// openSuspect narrows by what the call itself says. A blueprint registered on
// an unknown app is taken to be on the app.
func (in *interp) openSuspect(name string, c *call, prefix value, why string) {
	if name == "register_blueprint" {
		prefix = c.or(-1, "url_prefix", none{})
		for _, t := range in.handed(c) {
			if b, ok := t.(*blueprint); ok {
				in.register(in.stray, b, &call{kw: c.kw, open: c.open})
				return
			}
		}
	}
	for _, p := range prefixes(prefix) {
		in.stray.addOpening(opening{in.here(), p.text, why})
	}
}

// opaque is a statement that could not be read.
func (in *interp) opaque(s *python.Stmt) {
	if s.Keyword == "def" || s.Keyword == "class" {
		dummy := &function{name: "", args: &ast.Arguments{}, module: in.frame().module, closure: in.frame().vars}
		in.decorate(dummy, s.Decorators)
		return
	}
	in.opaqueText(s.Line, s.Text)
}

// opaqueText opens what a statement that could not be read speaks of.
func (in *interp) opaqueText(line int, text string) {
	at := in.here()
	at.line = line
	words := strings.FieldsFunc(text, func(r rune) bool { return !isWordRune(r) })
	found := false
	for _, w := range words {
		v, ok := in.frame().vars.lookup(w)
		if !ok {
			continue
		}
		for _, t := range in.targetsIn(v) {
			t.addOpening(opening{at, "", "a statement could not be read: " + text})
			found = true
		}
	}
	if !found && mentionsRoutes(text) {
		in.stray.addOpening(opening{at, "", "a statement could not be read: " + text})
	}
}

func isWordRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f
}

func mentionsRoutes(text string) bool {
	for _, w := range []string{".route(", "add_url_rule", "register_blueprint", "Blueprint(", "add_resource", "Flask("} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// problem is a part of a file that could not be read, or a limit: what the
// module registers on may have more.
func (in *interp) problem(m *module, p python.Problem) {
	if !strings.Contains(p.Reason, "read as") { // an encoding that was read all the same
		in.problems = append(in.problems, moduleProblem{m, p})
	}
}

type moduleProblem struct {
	m *module
	p python.Problem
}

// settleProblems opens, for every file that was read in part, what the file
// registers on.
func (in *interp) settleProblems() {
	for _, mp := range in.problems {
		at := position{file: mp.m.rel, line: mp.p.Line}
		reason := fmt.Sprintf("a part of the file could not be read: %s", mp.p.Reason)
		found := false
		for _, name := range mp.m.vars.order {
			v, ok := mp.m.vars.get(name)
			if !ok {
				continue
			}
			for _, t := range in.targetsIn(v) {
				t.addOpening(opening{at, "", reason})
				found = true
			}
		}
		if !found && in.loader.mentions(mp.m) {
			in.stray.addOpening(opening{at, "", reason})
		}
	}
}
