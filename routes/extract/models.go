package extract

// newInterp prepares what a run knows before it reads anything.
func (in *interp) prepare() {
	in.markers = markerCalls()
	in.builtins = builtinTable()
	in.pathClass = pathModel()
	in.pure = in.pureTable()
	in.mapClass = in.urlMapModel()
	in.stateClass = in.stateModel()
	in.viewType = &class{name: "flask.views.view", vars: newScope(nil)}
	in.viewType.linear = []*class{in.viewType}
	in.tried = map[string]bool{}
	in.stray = &app{obj: &object{class: in.viewType, vars: newScope(nil)}, config: newDict()}
	in.stray.urlMap = in.newURLMap(in.stray)
	in.models = in.modelTable()
}

// modelTable maps dotted names to the classes that the interpreter models
// itself. Extensions are in [registrars] instead.
func (in *interp) modelTable() map[string]value {
	viewBase, methodView := in.viewClasses()
	verbs := newSeq(setSeq)
	for _, m := range httpMethods {
		verbs.items = append(verbs.items, m)
	}
	t := map[string]value{
		"flask.Flask": in.flaskClass(), "flask.Blueprint": in.blueprintClass(),
		"flask.views.View": viewBase, "flask.views.MethodView": methodView, "flask.views.http_method_funcs": verbs,
		"werkzeug.routing.Map":                                in.mapClass,
		"werkzeug.middleware.dispatcher.DispatcherMiddleware": dispatcherModel(),
		"pathlib.Path":                                        in.pathClass,
	}
	for _, kind := range []string{"Rule", "Submount", "Subdomain", "EndpointPrefix"} {
		t["werkzeug.routing."+kind] = ruleModel(kind)
	}
	base := converterModel("BaseConverter", "[^/]+", 100, true)
	t["werkzeug.routing.BaseConverter"] = base
	for _, k := range []struct {
		name, regex string
		weight      int
		isolating   bool
	}{
		{"UnicodeConverter", "[^/]{1,}", 100, true}, {"PathConverter", "[^/].*?", 200, false}, {"IntegerConverter", `\d+`, 50, true},
		{"NumberConverter", `\d+`, 50, true}, {"FloatConverter", `\d+\.\d+`, 50, true}, {"AnyConverter", "", 100, true},
		{"UUIDConverter", "[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}", 100, true},
	} {
		c := converterModel(k.name, k.regex, k.weight, k.isolating)
		c.bases, c.linear = []value{base}, append(c.linear, base)
		t["werkzeug.routing."+k.name] = c
	}
	in.pathClass.vars.put("__new__", &wrapped{kind: "static", fn: &native{name: "Path", call: func(in *interp, c *call) value {
		return newPath(in, &call{args: c.args[min(1, len(c.args)):], kw: c.kw})
	}}})
	delete(in.pure, "pathlib.Path")
	t["__flask2ban__.open_below"] = &native{name: "open_below", call: openBelow}
	t["__flask2ban__.openapi"] = &native{name: "openapi", call: openAPI}
	t["__flask2ban__.view_methods"] = &native{name: "view_methods", call: viewMethodNames}
	t["__flask2ban__.pairs"] = &native{name: "pairs", call: nothing}
	return t
}

// openBelow lets a model say that anything may be registered:
// open_below(app_or_blueprint, prefix, reason).
func openBelow(in *interp, c *call) value {
	reason := textOf(c.or(2, "reason", ""))
	for _, t := range in.targetsIn(c.or(0, "target", none{})) {
		for _, p := range prefixes(c.or(1, "prefix", "")) {
			t.addOpening(opening{in.here(), p.text, reason})
		}
	}
	return none{}
}

// viewMethodNames gives a model the methods of a class-based view, as a list.
func viewMethodNames(in *interp, c *call) value {
	cls, ok := c.or(0, "cls", none{}).(*class)
	if !ok {
		return &seq{open: true}
	}
	out := newSeq(listSeq)
	for _, m := range httpMethods {
		if _, _, ok := cls.find(m); ok {
			out.items = append(out.items, m)
		}
	}
	out.open = cls.foreign
	return out
}
