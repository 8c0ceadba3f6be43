package routes

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// rule is a Route made ready for matching.
type rule struct {
	route     *Route
	methods   methodSet
	parts     []*part // the domain's first
	variables []*variable
	// domainTrace and pathTrace are what a URL is built from.
	domainTrace, pathTrace []element
	arguments              map[string]bool
	// bounded says that a converter may refuse what its regex took.
	bounded bool
	// numeric says that a converter makes an int, which Python refuses to do
	// with more than 4,300 digits.
	numeric bool
	// lostRedirect says that redirect_to names no variable of the rule, which
	// Werkzeug answers with a KeyError.
	lostRedirect bool
	// defaultsFrom are the rules that this one is redirected to where their
	// defaults equal the values asked for.
	defaultsFrom []*rule
	// order is the rule's place in the table.
	order int
}

var errNoSlash = errors.New("the rule does not begin with a slash")

// ruleCompiler compiles the rules of one map.
type ruleCompiler struct {
	options   Options
	behaviour behaviour
}

func (c ruleCompiler) compile(r *Route, order int) (*rule, error) {
	if !strings.HasPrefix(r.Rule, "/") {
		return nil, errNoSlash
	}
	out := &rule{route: r, order: order, methods: newMethodSet(r.Methods), arguments: map[string]bool{}}
	domain := r.Subdomain
	if c.options.HostMatching {
		domain = r.Host
	}
	p := &parser{behaviour: c.behaviour, lookup: c.lookup(r)}
	if domain == "" {
		p.parts = []*part{{static: true}}
	} else if err := p.parse(domain); err != nil {
		return nil, err
	}
	out.domainTrace, p.trace = p.trace, nil
	path := r.Rule
	if r.MergeSlashes {
		path = c.behaviour.mergeSlashes(path)
	}
	if err := p.parse(path); err != nil {
		return nil, err
	}
	out.parts, out.variables, out.pathTrace = p.parts, p.variables, p.trace
	out.prepare(c.behaviour)
	return out, nil
}

func (r *rule) prepare(b behaviour) {
	for _, p := range r.parts {
		if !p.static {
			p.match = compilePart(p, b)
		}
	}
	for name := range maps.Keys(r.route.Defaults) {
		r.arguments[name] = true
	}
	for _, v := range r.variables {
		r.arguments[v.name] = true
		if n := v.converter.number; n != nil {
			r.numeric = r.numeric || !n.float
			r.bounded = r.bounded || n.bounded()
		}
	}
	r.lostRedirect = r.losesRedirect()
}

// redirectPattern is Werkzeug's routing.rules._simple_rule_re.
var redirectPattern = regexp.MustCompile(`<([^>]+)>`)

func (r *rule) losesRedirect() bool {
	for _, m := range redirectPattern.FindAllStringSubmatch(r.route.RedirectTo, -1) {
		if r.converterOf(m[1]) == nil {
			return true
		}
	}
	return false
}

// lookup finds the converter of one variable: what is known of this very
// variable, then the app's own, then Werkzeug's, then anything.
func (c ruleCompiler) lookup(r *Route) func(name, converter, args string) (*converter, error) {
	return func(name, conv, argText string) (*converter, error) {
		if conv == "" {
			conv = "default"
		}
		args := parseArguments(argText)
		builtin, err := builtinConverter(conv, args)
		if known, ok := r.Converters[name]; ok {
			if builtin != nil && builtin.regex == known.Regex {
				return builtin, nil
			}
			return customConverter(known, args), nil
		}
		if known, ok := c.options.Converters[conv]; ok {
			return customConverter(known, args), nil
		}
		if builtin != nil || err != nil {
			return builtin, err
		}
		return unknownConverter(false, defaultWeight), nil
	}
}

// builtinConverter returns nil and no error where Werkzeug has no converter of
// that name.
func builtinConverter(name string, args arguments) (*converter, error) {
	make, ok := builtins[name]
	if !ok {
		return nil, nil
	}
	return make(args)
}

// sameTrace is Rule.__eq__.
func (r *rule) sameTrace(o *rule) bool {
	equal := func(a, b element) bool {
		if a.variable == nil || b.variable == nil {
			return a.variable == b.variable && a.literal == b.literal
		}
		return a.variable.name == b.variable.name
	}
	return slices.EqualFunc(r.domainTrace, o.domainTrace, equal) && slices.EqualFunc(r.pathTrace, o.pathTrace, equal)
}

// buildKey is Rule.build_compare_key.
func (r *rule) buildKey() [3]int {
	alias := 0
	if r.route.Alias {
		alias = 1
	}
	return [3]int{alias, -len(r.arguments), -len(r.route.Defaults)}
}
