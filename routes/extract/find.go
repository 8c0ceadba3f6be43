package extract

import (
	"strings"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// runEntry runs the entry's module and gives the WSGI application in it.
func (in *interp) runEntry(e Entry) value {
	m := in.loadEntry(e)
	if m == nil {
		return unknownf("the entry cannot be read")
	}
	out := unknownf("the entry cannot be read")
	var found value = out
	in.enter(&frame{module: m, vars: m.vars}, func() flow {
		found = in.entryValue(m, e)
		return flowNext
	})
	return found
}

// loadEntry imports the packages around the entry first, as Python does.
func (in *interp) loadEntry(e Entry) *module {
	names := strings.Split(e.Module, ".")
	dir := e.Root
	var outer *module
	for i, n := range names[:len(names)-1] {
		p, ok := in.loader.inDir(dir, n)
		if !ok {
			break
		}
		outer = in.load(p, strings.Join(names[:i+1], "."))
		dir = dir + "/" + n
	}
	p := place{file: e.File}
	if strings.HasSuffix(e.File, "/__init__.py") {
		p.pkgDirs = []string{strings.TrimSuffix(e.File, "/__init__.py")}
	}
	in.script = e.File
	m := in.load(p, e.Module)
	if outer != nil {
		outer.vars.put(names[len(names)-1], m)
	}
	return m
}

func (in *interp) entryValue(m *module, e Entry) value {
	if e.Object == "" {
		return in.bestApp(m)
	}
	var v value = m
	for _, name := range strings.Split(e.Object, ".") {
		v = each(v, func(a value) value { return in.getAttr(a, name) })
	}
	if e.Factory {
		return in.callEntry(v, in.entryArgs(e.Args))
	}
	return each(v, func(a value) value {
		switch a.(type) {
		case *function, *class, *bound, *native:
			return in.callEntry(a, &call{})
		}
		return a
	})
}

func (in *interp) entryArgs(args string) *call {
	e, ok := python.ParseExpr("f(" + args + ")").(*ast.Call)
	if !ok {
		return &call{open: true}
	}
	return in.evalArgs(e.Args, e.Keywords)
}

// callEntry calls a factory. What the entry does not give has its default, or
// what another deployment gives.
func (in *interp) callEntry(v value, c *call) value {
	return each(v, func(a value) value {
		f := a
		if cls, ok := a.(*class); ok {
			f = none{}
			for _, name := range []string{"__init__", "__new__"} {
				if m, at, ok := cls.find(name); ok && at.module != nil {
					f = unwrap(m)
				}
			}
			c := in.filled(f, c, 1)
			return in.callValue(a, c)
		}
		return in.callValue(a, in.filled(f, c, 0))
	})
}

// filled completes the arguments of a factory.
func (in *interp) filled(v value, c *call, skip int) *call {
	f, ok := v.(*function)
	if !ok {
		return c
	}
	out := &call{args: c.args, kw: append([]kwarg(nil), c.kw...), open: c.open}
	n := len(f.args.Args)
	for i, p := range f.args.Args {
		name := string(p.Arg)
		if _, given := c.get(i-skip, name); given || i < skip || i-skip < len(c.args) {
			continue
		}
		d := i - (n - len(f.defaults))
		if d >= 0 {
			out.kw = append(out.kw, kwarg{name, join(f.defaults[d], setting("the argument "+name))})
		}
	}
	return out
}

// bestApp finds the app of a module as Flask does (flask/cli.py,
// find_best_app), and further.
func (in *interp) bestApp(m *module) value {
	var found []value
	for _, name := range []string{"app", "application"} {
		if v, ok := m.vars.get(name); ok && in.holdsApp(v) {
			found = append(found, v)
		}
	}
	if len(found) > 0 {
		return join(found...)
	}
	for _, name := range m.vars.order {
		if v, ok := m.vars.get(name); ok && in.holdsApp(v) {
			found = append(found, v)
		}
	}
	if len(found) > 0 {
		return join(found...)
	}
	if n := len(in.apps); n > 0 && !in.apps[n-1].model {
		return in.ownApps()
	}
	return in.factoryApp(m)
}

func (in *interp) ownApps() value {
	var found []value
	for _, a := range in.apps {
		if !a.model {
			found = append(found, a.obj)
		}
	}
	if len(found) == 0 {
		return unknownf("no app is made")
	}
	return join(found...)
}

func (in *interp) holdsApp(v value) bool {
	switch v.(type) {
	case *object, *choice, *external, *bound:
		w := &mounted{in: in, seen: map[any]bool{}}
		return w.find(v, "", 0)
	}
	return false
}

// factoryApp calls what looks like an application factory.
func (in *interp) factoryApp(m *module) value {
	names := []string{"create_app", "make_app", "create_application", "make_application", "app_factory", "get_app", "build_app", "init_app", "setup_app", "main"}
	for _, name := range m.vars.order {
		if strings.Contains(name, "app") || strings.Contains(name, "create") {
			names = append(names, name)
		}
	}
	names = append(names, m.vars.order...)
	tried := map[string]bool{}
	for _, name := range names {
		v, ok := m.vars.get(name)
		f, isFunction := v.(*function)
		if !ok || !isFunction || tried[name] {
			continue
		}
		tried[name] = true
		if out := in.callEntry(f, &call{}); in.holdsApp(out) {
			return out
		}
		if apps := in.ownApps(); in.holdsApp(apps) {
			return apps
		}
	}
	return unknownf("no app is made")
}
