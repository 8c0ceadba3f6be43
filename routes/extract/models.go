package extract

import "github.com/flask2ban/flask2ban/routes/python"

// newInterp prepares what a run knows before it reads anything.
func (in *interp) prepare() {
	in.markers = markerCalls()
	in.builtins = builtinTable()
	in.pathClass = pathModel()
	in.pure = in.pureTable()
	in.mapClass = in.urlMapModel()
	in.fileClass = fileModel()
	in.stateClass = in.stateModel()
	in.viewType = &class{name: "flask.views.view", vars: newScope(nil)}
	in.viewType.linear = []*class{in.viewType}
	in.ran = map[*python.Stmt]bool{}
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
	for name, f := range modelPrimitives() {
		t["__flask2ban__."+name] = &native{name: name, call: f}
	}
	return t
}
