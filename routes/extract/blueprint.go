package extract

import "strings"

// blueprint is one flask.Blueprint and what it will register.
type blueprint struct {
	obj *object
	at  position
	ops []blueprintOp
	// registered says that an app or another blueprint has it.
	registered bool
	model      bool
}

// blueprintOp is one deferred registration; one field is set.
type blueprintOp struct {
	rule   *urlRule
	open   *opening
	nested *registration
	record *recorded
}

// recorded is a function given to Blueprint.record.
type recorded struct {
	fn value
	at position
	m  *module
}

// registration is one register_blueprint call.
type registration struct {
	bp        *blueprint
	prefix    urlPrefix
	subdomain value // nil: not given
	name      string
	defaults  map[string]any
	at        position
	strict    *bool
	merge     *bool
}

// urlPrefix is a url_prefix.
type urlPrefix struct {
	text string
	set  bool
	// open says that only the beginning is known.
	open bool
	why  string
}

func (b *blueprint) addRule(_ *interp, r *urlRule) { b.ops = append(b.ops, blueprintOp{rule: r}) }

func (b *blueprint) addOpening(o opening) { b.ops = append(b.ops, blueprintOp{open: &o}) }

func (b *blueprint) register(_ *interp, r *registration) {
	if r.bp != b {
		b.ops = append(b.ops, blueprintOp{nested: r})
	}
}

// blueprintClass models flask.Blueprint.
func (in *interp) blueprintClass() *class {
	c := in.scaffoldClass("flask.Blueprint")
	c.vars.put("__init__", &native{name: "Blueprint.__init__", call: blueprintInit})
	c.vars.put("register_blueprint", method(registerBlueprint))
	c.vars.put("register", method(registerSelf))
	c.vars.put("record", method(record))
	c.vars.put("record_once", method(record))
	c.vars.put("before_app_first_request", method(beforeFirstRequest))
	return c
}

func blueprintInit(in *interp, c *call) value {
	if len(c.args) > 0 {
		if o, ok := c.args[0].(*object); ok {
			in.newBlueprint(o, &call{args: c.args[1:], kw: c.kw, open: c.open})
		}
	}
	return none{}
}

func (in *interp) newBlueprint(o *object, c *call) *blueprint {
	b := &blueprint{obj: o, at: in.here()}
	o.payload = b
	if m := in.frame().module; m != nil {
		b.model = m.model || m.foreign
	}
	in.blueprints = append(in.blueprints, b)
	o.vars.put("name", c.or(0, "name", ""))
	o.vars.put("import_name", c.or(1, "import_name", ""))
	in.folderAttrs(o, c.or(3, "static_url_path", none{}), c.or(2, "static_folder", none{}))
	o.vars.put("url_prefix", c.or(5, "url_prefix", none{}))
	o.vars.put("subdomain", c.or(6, "subdomain", none{}))
	o.vars.put("url_values_defaults", each(c.or(7, "url_defaults", none{}), func(v value) value {
		if d, ok := v.(*dict); ok {
			return d
		}
		return newDict()
	}))
	o.vars.put("root_path", in.moduleDir())
	return b
}

// registerBlueprint is register_blueprint of an app or a blueprint.
func registerBlueprint(in *interp, self *object, c *call) value {
	t := in.targetOf(self)
	bp, ok := c.get(0, "blueprint")
	if t == nil || !ok {
		return none{}
	}
	options := &call{kw: c.kw, open: c.open}
	for _, v := range alternatives(bp) {
		in.registerOne(t, self, v, options)
	}
	return none{}
}

func (in *interp) registerOne(t target, self *object, bp value, options *call) {
	o, ok := bp.(*object)
	if ok {
		if custom, _, has := o.class.find("register"); has && !isNative(custom) {
			opts := newDict()
			for _, k := range options.kw {
				opts.set(k.name, k.v)
			}
			in.callMethod(o, "register", self, opts)
			return
		}
		if b, isBlueprint := in.targetOf(o).(*blueprint); isBlueprint {
			in.register(t, b, options)
			return
		}
	}
	if isNone(bp) {
		return
	}
	in.registerUnknown(t, self, bp, options)
}

func isNative(v value) bool {
	_, ok := v.(*native)
	return ok
}

// registerUnknown opens the prefix below which a blueprint that is not known
// was registered.
func (in *interp) registerUnknown(t target, self *object, bp value, options *call) {
	if name := settingOf(bp); name != "" && in.softly > 0 {
		in.find(in.here(), "setting", "%s registers a blueprint where it is set", name)
		return
	}
	why := "a blueprint that is not known"
	prefix := options.or(-1, "url_prefix", none{})
	if e, ok := bp.(*external); ok {
		if notOurs(e) {
			return
		}
		if real, ok := in.realize(e); ok {
			in.registerOne(t, self, real, options)
			return
		}
		why = "a blueprint of " + e.path
		if isNone(prefix) {
			prefix = e.prefixGiven()
		}
	}
	if u, ok := bp.(*unknown); ok {
		why += ": " + u.why
	}
	for _, p := range prefixes(prefix) {
		t.addOpening(opening{in.here(), p.text, why})
	}
}

// prefixes lists what a url_prefix may be.
func prefixes(v value) []urlPrefix {
	var out []urlPrefix
	for _, a := range known(v) {
		switch a := a.(type) {
		case string:
			out = append(out, urlPrefix{text: a, set: true})
		case *unknown:
			out = append(out, urlPrefix{text: wholeSegments(a.head), set: true, open: true, why: a.why})
		case none:
			out = append(out, urlPrefix{})
		default:
			out = append(out, urlPrefix{set: true, open: true, why: "a url_prefix that is not text"})
		}
	}
	return out
}

// register records one registration for each prefix that it may have.
func (in *interp) register(t target, b *blueprint, options *call) {
	if t == target(b) {
		return
	}
	b.registered = true
	prefix := options.or(-1, "url_prefix", none{})
	for _, p := range prefixes(prefix) {
		r := &registration{bp: b, prefix: p, at: in.here(), name: textOf(options.or(-1, "name", none{}))}
		if v, ok := options.get(-1, "subdomain"); ok && !isNone(v) {
			r.subdomain = v
		}
		if d, ok := options.or(-1, "url_defaults", none{}).(*dict); ok {
			r.defaults = map[string]any{}
			addDefaults(r.defaults, d)
		}
		t.register(in, r)
	}
}

// registerSelf is Blueprint.register(app, options), called by a subclass's own.
func registerSelf(in *interp, self *object, c *call) value {
	b, ok := in.targetOf(self).(*blueprint)
	if !ok {
		return none{}
	}
	options := &call{open: c.open}
	if d, ok := c.or(1, "options", none{}).(*dict); ok {
		for _, k := range d.keys {
			if s, ok := k.(string); ok {
				options.kw = append(options.kw, kwarg{s, d.vals[k]})
			}
		}
	}
	options.kw = append(options.kw, c.kw...)
	for _, t := range in.targetsIn(c.or(0, "app", none{})) {
		in.register(t, b, options)
	}
	return none{}
}

// record is Blueprint.record: the function runs when the blueprint is
// registered.
func record(in *interp, self *object, c *call) value {
	fn, _ := c.get(0, "func")
	if b, ok := in.targetOf(self).(*blueprint); ok && fn != nil {
		b.ops = append(b.ops, blueprintOp{record: &recorded{fn: fn, at: in.here(), m: in.frame().module}})
	}
	return fn
}

// joinRule puts a prefix before a rule (flask/blueprints.py,
// BlueprintSetupState.add_url_rule).
func joinRule(p urlPrefix, rule string) string {
	switch {
	case !p.set:
		return rule
	case rule == "":
		return p.text
	}
	return strings.TrimRight(p.text, "/") + "/" + strings.TrimLeft(rule, "/")
}

// nestPrefix is the prefix of a nested blueprint (Blueprint.register).
func nestPrefix(outer, inner urlPrefix) urlPrefix {
	switch {
	case outer.open:
		return outer
	case outer.set && inner.set:
		inner.text = strings.TrimRight(outer.text, "/") + "/" + strings.TrimLeft(inner.text, "/")
		return inner
	case inner.set:
		return inner
	}
	return outer
}
