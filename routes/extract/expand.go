package extract

import "strings"

// setupState is flask.blueprints.BlueprintSetupState: one blueprint being put
// onto an app.
type setupState struct {
	in       *interp
	app      *app
	prefix   urlPrefix
	sub      string
	hasSub   bool
	name     string // dotted, for endpoints
	defaults map[string]any
	reg      *registration
}

func (s *setupState) addRule(in *interp, r *urlRule) {
	if s.prefix.open {
		s.addOpening(opening{r.at, "", "the url_prefix of blueprint " + s.name + " is not known: " + s.prefix.why})
		return
	}
	full := *r
	full.text = joinRule(s.prefix, r.text)
	if s.name != "" {
		full.endpoint = s.name + "." + r.endpoint
	}
	if !full.hasSubdomain && s.hasSub {
		full.subdomain, full.hasSubdomain = s.sub, true
	}
	full.defaults = map[string]any{}
	for k, v := range s.defaults {
		full.defaults[k] = v
	}
	for k, v := range r.defaults {
		full.defaults[k] = v
	}
	if full.strict == nil {
		full.strict = s.reg.strict
	}
	if full.merge == nil {
		full.merge = s.reg.merge
	}
	if fn, ok := in.overridden(s.app); ok {
		in.addByApp(fn, &full)
		return
	}
	s.app.rules = append(s.app.rules, &full)
}

func (s *setupState) addOpening(o opening) {
	o.at.uncalled = o.at.uncalled || s.reg.at.uncalled
	if s.prefix.open {
		o.prefix = s.prefix.text
	} else {
		o.prefix = joinRule(s.prefix, o.prefix)
	}
	s.app.opened = append(s.app.opened, o)
}

func (s *setupState) register(in *interp, r *registration) {
	in.expand(s.app, r, s, 0)
}

// maxNested bounds the nesting of blueprints.
const maxNested = 32

// expandAll puts every registered blueprint onto its app.
func (in *interp) expandAll() {
	for i := 0; i < len(in.apps); i++ {
		in.expandOn(in.apps[i])
	}
}

func (in *interp) expandOn(a *app) {
	for j := 0; j < len(a.regs); j++ {
		in.expand(a, a.regs[j], nil, 0)
	}
	a.regs = nil
}

// expandRest puts the blueprints that nobody registered onto main.
func (in *interp) expandRest(main *app) {
	if main == nil {
		return
	}
	for i := 0; i < len(in.blueprints); i++ {
		b := in.blueprints[i]
		if b.registered || b.model || len(b.ops) == 0 {
			continue
		}
		r := &registration{bp: b, at: b.at, strict: in.mapFlag(main, "strict_slashes"), merge: in.mapFlag(main, "merge_slashes")}
		in.find(b.at, "unregistered", "blueprint %s is never registered in what was read; its routes are allowed", textAttrOr(b.obj, "name"))
		in.expand(main, r, nil, 0)
	}
}

func textAttrOr(o *object, name string) string {
	v, ok := o.vars.get(name)
	if !ok {
		return ""
	}
	return textOf(v)
}

// expand is Blueprint.register (flask/blueprints.py).
func (in *interp) expand(a *app, r *registration, outer *setupState, depth int) {
	if depth > maxNested || !in.step() {
		a.addOpening(opening{r.at, "", "blueprints nest too deeply"})
		return
	}
	own := []urlPrefix{r.prefix}
	if !r.prefix.set {
		v, _ := r.bp.obj.vars.get("url_prefix")
		if v != nil {
			own = prefixes(v)
		}
	}
	for _, p := range own {
		s := in.setup(a, r, p, outer)
		in.staticOf(s, r)
		for i := 0; i < len(r.bp.ops); i++ {
			in.apply(s, r.bp.ops[i], depth)
		}
	}
}

func (in *interp) setup(a *app, r *registration, p urlPrefix, outer *setupState) *setupState {
	s := &setupState{in: in, app: a, prefix: p, reg: r, defaults: map[string]any{}}
	s.name = r.name
	if s.name == "" {
		s.name = textAttrOr(r.bp.obj, "name")
	}
	if d, ok := r.bp.obj.vars.names["url_values_defaults"].(*dict); ok {
		addDefaults(s.defaults, d)
	}
	for k, v := range r.defaults {
		s.defaults[k] = v
	}
	sub := r.subdomain
	if sub == nil {
		sub = r.bp.obj.vars.names["subdomain"]
	}
	if sub != nil && !isNone(sub) {
		s.sub, s.hasSub = textOf(sub), true
	}
	if outer != nil {
		s.prefix = nestPrefix(outer.prefix, p)
		s.name = strings.TrimLeft(outer.name+"."+s.name, ".")
		in.inheritSubdomain(s, outer)
		s.reg = &registration{bp: r.bp, strict: outer.reg.strict, merge: outer.reg.merge, at: r.at}
	}
	return s
}

// inheritSubdomain joins a nested blueprint's subdomain to its parent's, as
// Flask does from 2.3 on.
func (in *interp) inheritSubdomain(s, outer *setupState) {
	switch {
	case outer.hasSub && s.hasSub && in.opts.nestedSubdomains():
		s.sub += "." + outer.sub
	case outer.hasSub && !s.hasSub && in.opts.nestedSubdomains():
		s.sub, s.hasSub = outer.sub, true
	}
}

func (in *interp) staticOf(s *setupState, r *registration) {
	path, has := in.staticPath(r.bp.obj)
	if !has {
		return
	}
	for _, p := range known(path) {
		switch p := p.(type) {
		case string:
			s.addRule(in, &urlRule{text: p + "/<path:filename>", endpoint: "static", at: r.bp.at,
				methods: []string{"GET", "HEAD", "OPTIONS"}})
		case *unknown:
			s.addOpening(opening{r.bp.at, wholeSegments(p.head), "a static path that is not known"})
		}
	}
}

func (in *interp) apply(s *setupState, op blueprintOp, depth int) {
	switch {
	case op.rule != nil:
		s.addRule(in, op.rule)
	case op.open != nil:
		s.addOpening(*op.open)
	case op.nested != nil:
		in.expand(s.app, op.nested, s, depth+1)
	case op.record != nil:
		in.runRecorded(s, op.record)
	}
}

// runRecorded calls a recorded function with the state as its argument.
func (in *interp) runRecorded(s *setupState, r *recorded) {
	o := &object{class: in.stateClass, vars: newScope(nil), payload: s}
	o.vars.put("app", s.app.obj)
	o.vars.put("blueprint", s.reg.bp.obj)
	o.vars.put("options", &dict{vals: map[value]value{}, open: true})
	o.vars.put("first_registration", true)
	o.vars.put("url_prefix", none{})
	if s.prefix.set {
		o.vars.put("url_prefix", s.prefix.text)
	}
	f := &frame{module: r.m, vars: newScope(nil), line: r.at.line, at: &r.at}
	in.enter(f, func() flow {
		in.callValue(r.fn, &call{args: []value{o}})
		return flowNext
	})
}

// stateModel is the class of setup states.
func (in *interp) stateModel() *class {
	c := &class{name: "flask.blueprints.BlueprintSetupState", vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("add_url_rule", method(addURLRule))
	return c
}
