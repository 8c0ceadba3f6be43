package extract

import (
	"path/filepath"
	"strings"
)

// app is one Flask object and what was registered on it.
type app struct {
	obj    *object
	at     position
	rules  []*urlRule
	regs   []*registration
	opened []opening
	config *dict
	urlMap *object
	model  bool // made by the model of an extension
}

// opening is a prefix below which anything may be registered.
type opening struct {
	at     position
	prefix string
	reason string
}

// target is what rules are registered on: an app or a blueprint.
type target interface {
	addRule(in *interp, r *urlRule)
	addOpening(o opening)
	register(in *interp, r *registration)
}

func (a *app) addRule(in *interp, r *urlRule) {
	in.settle(a, r)
	a.rules = append(a.rules, r)
}

func (a *app) addOpening(o opening) { a.opened = append(a.opened, o) }

func (a *app) register(in *interp, r *registration) {
	r.strict, r.merge = in.mapFlag(a, "strict_slashes"), in.mapFlag(a, "merge_slashes")
	a.regs = append(a.regs, r)
}

// flaskClass models flask.Flask.
func (in *interp) flaskClass() *class {
	c := in.scaffoldClass("flask.Flask")
	c.vars.put("__init__", &native{name: "Flask.__init__", call: flaskInit})
	c.vars.put("register_blueprint", method(registerBlueprint))
	c.vars.put("register_module", method(registerBlueprint))
	c.vars.put("wsgi_app", &native{name: "wsgi_app", call: nothing})
	c.vars.put("__call__", &native{name: "__call__", call: nothing})
	c.vars.put("make_config", &native{name: "make_config", call: func(*interp, *call) value { return newDict() }})
	c.vars.put("run", method(func(in *interp, o *object, c *call) value { return in.runApp(o, c) }))
	c.vars.put("app_context", &native{name: "app_context", call: firstArg})
	c.vars.put("test_request_context", &native{name: "test_request_context", call: firstArg})
	c.vars.put("push", &native{name: "push", call: nothing})
	c.vars.put("before_first_request", method(beforeFirstRequest))
	return c
}

// method makes a native method out of a function that gets self apart.
func method(f func(in *interp, self *object, c *call) value) *native {
	return &native{name: "method", call: func(in *interp, c *call) value {
		if len(c.args) == 0 {
			return unknownf("a method without its object")
		}
		return each(c.args[0], func(v value) value {
			o, ok := in.selfObject(v)
			if !ok {
				return unknownf("a method of a value that is not known")
			}
			return f(in, o, &call{args: c.args[1:], kw: c.kw, open: c.open})
		})
	}}
}

// selfObject is the object behind v; current_app is the latest app.
func (in *interp) selfObject(v value) (*object, bool) {
	if e, ok := v.(*external); ok && isCurrentApp(e.path) {
		if n := len(in.apps); n > 0 {
			return in.apps[n-1].obj, true
		}
	}
	o, ok := v.(*object)
	return o, ok
}

func isCurrentApp(path string) bool {
	return path == "flask.current_app" || path == "flask.globals.current_app" || path == "flask.app.current_app"
}

func flaskInit(in *interp, c *call) value {
	if len(c.args) == 0 {
		return none{}
	}
	o, ok := c.args[0].(*object)
	if !ok {
		return none{}
	}
	in.newApp(o, &call{args: c.args[1:], kw: c.kw, open: c.open})
	return none{}
}

// newApp makes o a Flask app, as Flask.__init__ with these arguments.
func (in *interp) newApp(o *object, c *call) *app {
	a := &app{obj: o, at: in.here(), config: newDict()}
	if m := in.frame().module; m != nil && m.model {
		a.model = true
	}
	a.config.settings = true
	o.payload = a
	in.apps = append(in.apps, a)
	a.urlMap = in.newURLMap(a)
	a.urlMap.vars.put("host_matching", c.or(4, "host_matching", false))
	in.appAttrs(o, a, c)
	in.staticRule(a, c)
	return a
}

func (in *interp) appAttrs(o *object, a *app, c *call) {
	name := c.or(0, "import_name", "")
	o.vars.put("import_name", name)
	o.vars.put("name", name)
	o.vars.put("config", a.config)
	o.vars.put("url_map", a.urlMap)
	o.vars.put("blueprints", &dict{vals: map[value]value{}, open: true})
	o.vars.put("view_functions", &dict{vals: map[value]value{}, open: true})
	o.vars.put("extensions", &dict{vals: map[value]value{}, open: true})
	o.vars.put("subdomain_matching", c.or(5, "subdomain_matching", false))
	o.vars.put("debug", setting("debug"))
	o.vars.put("testing", setting("testing"))
	in.folderAttrs(o, c.or(1, "static_url_path", none{}), c.or(2, "static_folder", "static"))
	root := in.moduleDir()
	o.vars.put("root_path", root)
	o.vars.put("instance_path", c.or(7, "instance_path", filepath.ToSlash(filepath.Join(root, "instance"))))
}

// moduleDir is the directory of the project's module that is running.
func (in *interp) moduleDir() string {
	for i := len(in.frames) - 1; i >= 0; i-- {
		if m := in.frames[i].module; m != nil && !m.model && m.file != "" {
			return filepath.Dir(m.file)
		}
	}
	return in.loader.root
}

// appOf is the app behind an object whose class derives from Flask.
func (in *interp) appOf(o *object) *app {
	if a, ok := o.payload.(*app); ok {
		return a
	}
	if o.class != nil && o.class.subclassOf("flask.Flask") {
		return in.newApp(o, &call{})
	}
	return nil
}

func (in *interp) targetOf(o *object) target {
	if b, ok := o.payload.(*blueprint); ok {
		return b
	}
	if s, ok := o.payload.(*setupState); ok {
		return s
	}
	if a := in.appOf(o); a != nil {
		return a
	}
	if o.class != nil && o.class.subclassOf("flask.Blueprint") {
		return in.newBlueprint(o, &call{})
	}
	return nil
}

// targetsIn lists the apps and blueprints among the alternatives of v.
func (in *interp) targetsIn(v value) []target {
	var out []target
	for _, a := range alternatives(v) {
		if o, ok := in.selfObject(a); ok {
			if t := in.targetOf(o); t != nil {
				out = append(out, t)
			}
		}
	}
	return out
}

// staticRule adds the rule that Flask adds for static files
// (flask/app.py, Flask.__init__).
func (in *interp) staticRule(a *app, c *call) {
	path, has := in.staticPath(a.obj)
	if !has {
		return
	}
	host := c.or(3, "static_host", none{})
	if fn, ok := in.overridden(a); ok {
		for _, p := range alternatives(path) {
			in.callValue(fn, &call{args: []value{concat(p, "/<path:filename>")}, kw: []kwarg{{"endpoint", "static"}, {"host", host},
				{"view_func", &external{path: "flask.Flask.send_static_file"}}}})
		}
		return
	}
	in.addRuleCall(a, each(path, func(p value) value { return concat(p, "/<path:filename>") }),
		&call{kw: []kwarg{{"endpoint", "static"}, {"host", host}}})
}

func (in *interp) folderAttrs(o *object, urlPath, folder value) {
	o.vars.put("=static", newSeq(tupleSeq, urlPath, folder))
	o.vars.put("static_folder", each(folder, func(f value) value { return trimmedFolder(f) }))
	path, has := in.staticPath(o)
	if !has {
		path = none{}
	}
	o.vars.put("static_url_path", path)
	o.vars.put("has_static_folder", has)
}

func trimmedFolder(f value) value {
	if s, ok := pathString(f); ok {
		return strings.TrimRight(s, "/\\")
	}
	return f
}

// staticPath is Scaffold.static_url_path, and whether there is a static folder
// at all (flask/scaffold.py).
func (in *interp) staticPath(o *object) (value, bool) {
	set, ok := o.vars.get("=static")
	if !ok {
		return none{}, false
	}
	urlPath, folder := set.(*seq).items[0], set.(*seq).items[1]
	var paths []value
	for _, f := range known(folder) {
		if isNone(f) {
			continue
		}
		for _, u := range known(urlPath) {
			paths = append(paths, staticPathOf(u, f))
		}
	}
	return each(join(paths...), in.folderNames), len(paths) > 0
}

// unknownFolder stands for "/" + the name of a static folder that is not known.
var unknownFolder = partial("a static folder that is not known", "/", "")

// folderNames gives, for a static folder that is not known, the directories of
// the project that can be meant by their name; they must exist for the app to
// serve anything.
func (in *interp) folderNames(path value) value {
	if path != value(unknownFolder) {
		return path
	}
	var found []value
	for _, name := range in.loader.staticFolders() {
		found = append(found, "/"+name)
	}
	if len(found) == 0 {
		return path
	}
	return join(found...)
}

func staticPathOf(urlPath, folder value) value {
	switch u := urlPath.(type) {
	case string:
		return strings.TrimRight(u, "/")
	case none:
		if s, ok := pathString(folder); ok {
			return strings.TrimRight("/"+basename(strings.TrimRight(s, "/\\")), "/")
		}
		if u, ok := folder.(*unknown); ok && strings.Contains(u.tail, "/") {
			return "/" + basename(strings.TrimRight(u.tail, "/"))
		}
		return unknownFolder
	case *unknown:
		return &unknown{why: u.why, text: true, head: u.head, tail: u.tail, setting: u.setting}
	}
	return partial("a static path that is not known", "/", "")
}

// runApp is app.run(): nothing is registered by it.
func (in *interp) runApp(_ *object, c *call) value {
	if v, ok := c.get(2, "debug"); ok && in.truth(v) == yes {
		in.find(in.here(), "debug", "app.run(debug=True) serves the interactive debugger")
	}
	return none{}
}

// beforeFirstRequest runs what registers at the first request.
func beforeFirstRequest(in *interp, _ *object, c *call) value {
	fn, _ := c.get(0, "f")
	in.branch(func() flow {
		in.callValue(fn, &call{})
		return flowNext
	})
	return fn
}
