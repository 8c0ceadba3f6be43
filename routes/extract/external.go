package extract

import "strings"

// sameThing maps other names of what a model knows to the model's.
var sameThing = map[string]string{
	"flask.app.Flask": "flask.Flask", "flask.sansio.app.App": "flask.Flask", "flask.blueprints.Blueprint": "flask.Blueprint",
	"flask.sansio.blueprints.Blueprint": "flask.Blueprint", "flask.views.http_method_funcs": "flask.views.http_method_funcs",
	"werkzeug.wsgi.DispatcherMiddleware": "werkzeug.middleware.dispatcher.DispatcherMiddleware", "werkzeug.routing.ValidationError": "werkzeug.routing.ValidationError",
}

// canonical is the name under which models are kept.
func canonical(path string) string {
	if to, ok := sameThing[path]; ok {
		return to
	}
	for _, sub := range []string{"rules.", "map.", "converters."} {
		if rest, ok := strings.CutPrefix(path, "werkzeug.routing."+sub); ok {
			return "werkzeug.routing." + rest
		}
	}
	return path
}

// modelled is what a dotted name outside the project stands for, where it is
// followed.
func (in *interp) modelled(path string) (value, bool) {
	path = canonical(path)
	if v, ok := in.models[path]; ok {
		return v, true
	}
	v, ok := in.pure[path]
	return v, ok
}

func (in *interp) externalAttr(e *external, name string) value {
	if isCurrentApp(e.path) {
		if o, ok := in.selfObject(e); ok {
			if name == "_get_current_object" {
				return &native{name: name, call: func(*interp, *call) value { return o }}
			}
			return in.getAttr(o, name)
		}
	}
	path := e.path + "." + name
	if v, ok := in.modelled(path); ok {
		return v
	}
	if src, ok := knownModule(path); ok {
		return in.loadModel(path, src)
	}
	if path == "sys.modules" {
		return in.loadedModules()
	}
	if name == "__name__" {
		return e.name
	}
	return &external{path: path, parent: e, name: name}
}

// loadedModules is sys.modules, as far as it is the project's.
func (in *interp) loadedModules() value {
	d := newDict()
	for _, k := range sortedModules(in.loader.modules) {
		if m := in.loader.modules[k]; !m.model && !m.foreign {
			d.set(m.name, m)
		}
	}
	return d
}

func (in *interp) externalItem(e *external, key value) value {
	if e.path == "os.environ" {
		return each(key, func(k value) value {
			s, ok := k.(string)
			if !ok {
				return unknownf("an environment variable whose name is not known")
			}
			if v, ok := in.opts.Env[s]; ok {
				return join(v, setting(s))
			}
			return setting(s)
		})
	}
	return &external{path: e.path + "[]", parent: e}
}

// callExternal calls something outside the project. What it decorates it is
// taken to give back.
func (in *interp) callExternal(e *external, c *call) value {
	in.judge(e, c)
	if len(c.args) == 1 && len(c.kw) == 0 && decorated(c.args[0]) {
		return c.args[0]
	}
	return &external{path: e.path + "()", parent: e, call: c}
}

// prefixGiven is the url_prefix among the arguments that made e.
func (e *external) prefixGiven() value {
	for x := e; x != nil; x = x.parent {
		if x.call == nil {
			continue
		}
		for _, name := range []string{"url_prefix", "prefix", "path", "endpoint"} {
			if v, ok := x.call.get(-1, name); ok && startsWithSlash(v) {
				return v
			}
		}
	}
	return none{}
}

func startsWithSlash(v value) bool {
	for _, a := range alternatives(v) {
		switch a := a.(type) {
		case string:
			if !strings.HasPrefix(a, "/") {
				return false
			}
		case *unknown:
			if !strings.HasPrefix(a.head, "/") {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// realize reads the source of an installed extension, to follow what is known
// of it only by name.
func (in *interp) realize(e *external) (value, bool) {
	if e.parent == nil || (e.call == nil && e.name == "") {
		return in.realModule(e.path)
	}
	on, ok := in.realize(e.parent)
	if !ok {
		return in.realModule(e.path)
	}
	var v value
	if e.call != nil {
		v = in.callValue(on, e.call)
	} else {
		v = in.getAttr(on, e.name)
	}
	return v, !opaqueValue(v)
}

func (in *interp) realModule(path string) (value, bool) {
	parts := strings.Split(path, ".")
	at, ok := in.loader.inSysPath(parts[0])
	if !ok || in.opts.noExtensions {
		return nil, false
	}
	m := in.load(at, parts[0])
	for _, p := range parts[1:] {
		if m = in.importSub(m, p); m == nil {
			return nil, false
		}
	}
	return m, true
}
