package extract

// view is the payload of what View.as_view returns.
type view struct{ class *class }

var httpMethods = []string{"get", "post", "head", "options", "delete", "put", "trace", "patch"}

// viewClasses models flask.views.
func (in *interp) viewClasses() (*class, *class) {
	base := &class{name: "flask.views.View", vars: newScope(nil)}
	base.linear = []*class{base}
	base.vars.put("methods", none{})
	base.vars.put("decorators", newSeq(listSeq))
	base.vars.put("provide_automatic_options", none{})
	base.vars.put("as_view", &wrapped{kind: "class", fn: &native{name: "as_view", call: asView}})
	byMethod := &class{name: "flask.views.MethodView", vars: newScope(nil), bases: []value{base}}
	byMethod.linear = []*class{byMethod, base}
	return base, byMethod
}

// asView is View.as_view(name, ...).
func asView(in *interp, c *call) value {
	cls, ok := c.or(0, "", none{}).(*class)
	if !ok {
		return unknownf("a view of a class that is not known")
	}
	o := &object{class: in.viewType, vars: newScope(nil), payload: &view{cls}}
	o.vars.put("__name__", c.or(1, "name", cls.name))
	o.vars.put("view_class", cls)
	o.vars.put("methods", in.classMethods(cls))
	if v, _, ok := cls.find("provide_automatic_options"); ok {
		o.vars.put("provide_automatic_options", v)
	}
	in.runInit(cls, c)
	return o
}

// runInit makes the view's object once: a constructor may register too.
func (in *interp) runInit(cls *class, c *call) {
	if _, at, ok := cls.find("__init__"); ok && at.module != nil && !at.module.model && len(c.args) > 2 {
		in.instantiate(cls, &call{args: c.args[2:], kw: c.kw, open: c.open})
	}
}

// classMethods is the attribute methods that MethodView.__init_subclass__ sets
// (flask/views.py).
func (in *interp) classMethods(cls *class) value {
	if !cls.subclassOf("flask.views.MethodView") {
		v, _, ok := cls.find("methods")
		if !ok || (cls.foreign && isNone(v)) {
			return unknownf("the methods of a view are not known")
		}
		return v
	}
	if v, ok := cls.vars.get("methods"); ok && !isNone(v) {
		return v
	}
	out := newSeq(setSeq)
	for _, b := range cls.bases {
		if b, ok := b.(*class); ok && b.subclassOf("flask.views.View") {
			if items, open := in.iterate(in.classMethods(b)); true {
				out.items, out.open = append(out.items, items...), out.open || open
			}
		}
	}
	for _, m := range httpMethods {
		if _, _, ok := cls.find(m); ok {
			out.items = append(out.items, m)
		}
	}
	out.open = out.open || cls.foreign
	if len(out.items) == 0 && !out.open {
		return none{}
	}
	return out
}
