package extract

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// partialCall is functools.partial.
func partialCall(in *interp, c *call) value {
	if len(c.args) == 0 {
		return unknownf("a partial of nothing")
	}
	fn, first := c.args[0], &call{args: c.args[1:], kw: c.kw, open: c.open}
	return &native{name: "partial", call: func(in *interp, more *call) value {
		all := &call{args: append(append([]value(nil), first.args...), more.args...), open: first.open || more.open}
		all.kw = append(append([]kwarg(nil), more.kw...), first.kw...)
		return in.callValue(fn, all)
	}}
}

// wraps is functools.wraps: the wrapper takes the name of what it wraps.
func wraps(_ *interp, c *call) value {
	of, _ := c.get(0, "wrapped")
	return &native{name: "wraps", call: func(in *interp, c *call) value {
		f, _ := c.get(0, "")
		return in.takeName(f, of)
	}}
}

func updateWrapper(in *interp, c *call) value {
	return in.takeName(c.or(0, "wrapper", none{}), c.or(1, "wrapped", none{}))
}

func (in *interp) takeName(wrapper, of value) value {
	if f, ok := wrapper.(*function); ok {
		for _, name := range []string{"__name__", "methods", "view_class", "required_methods", "provide_automatic_options"} {
			if v, ok := in.attrOf(of, name); ok {
				f.ownAttrs().put(name, v)
			}
		}
		if src, ok := of.(*function); ok && src.attrs != nil {
			for _, n := range src.attrs.order {
				if v, ok := src.attrs.get(n); ok {
					f.ownAttrs().put(n, v)
				}
			}
		}
	}
	return wrapper
}

func chain(in *interp, c *call) value {
	out := newSeq(listSeq)
	for _, a := range c.args {
		items, open := in.iterate(a)
		out.items, out.open = append(out.items, items...), out.open || open
	}
	return out
}

func chainFrom(in *interp, c *call) value {
	items, open := in.iterate(c.or(0, "", none{}))
	out := chain(in, &call{args: items}).(*seq)
	out.open = out.open || open
	return out
}

func product(in *interp, c *call) value {
	out := &seq{items: []value{newSeq(tupleSeq)}}
	for _, a := range c.args {
		items, open := in.iterate(a)
		out.open = out.open || open
		var next []value
		for _, t := range out.items {
			for _, item := range items {
				if len(next) > maxRange {
					out.open = true
					break
				}
				next = append(next, newSeq(tupleSeq, append(append([]value(nil), t.(*seq).items...), item)...))
			}
		}
		out.items = next
	}
	return out
}

func iterItems(in *interp, c *call) value {
	v, _ := c.get(0, "")
	if d, ok := v.(*dict); ok {
		return in.dictMethod(d, "items", &call{})
	}
	return &seq{open: true}
}

func defaultDict(in *interp, c *call) value {
	d := newDict()
	if len(c.args) > 1 {
		in.dictUpdate(d, &call{args: c.args[1:], kw: c.kw})
	}
	return d
}

func namedTuple(in *interp, c *call) value {
	name, _ := c.or(0, "typename", "").(string)
	cls := in.newClass(name)
	cls.module = in.frame().module
	fields := c.or(1, "field_names", "")
	if s, ok := fields.(string); ok {
		fields = texts(strings.Fields(strings.ReplaceAll(s, ",", " ")))
	}
	items, _ := in.iterate(fields)
	for _, f := range items {
		if s, ok := f.(string); ok {
			cls.vars.put(s, unknownf("the field "+s))
		}
	}
	return cls
}

func simpleNamespace(in *interp, c *call) value {
	cls := in.newClass("SimpleNamespace")
	o := &object{class: cls, vars: newScope(nil)}
	for _, k := range c.kw {
		o.vars.put(k.name, k.v)
	}
	return o
}

func importByName(in *interp, c *call) value {
	name := c.or(0, "name", none{})
	pkg := c.or(1, "package", none{})
	return each(name, func(n value) value {
		s, ok := n.(string)
		if !ok {
			return in.unknownImport(n)
		}
		if strings.HasPrefix(s, ".") {
			p, ok := pkg.(string)
			if !ok {
				return in.unknownImport(n)
			}
			level := len(s) - len(strings.TrimLeft(s, "."))
			parts := strings.Split(p, ".")
			parts = parts[:max(0, len(parts)-(level-1))]
			s = strings.Join(append(parts, strings.TrimLeft(s, ".")), ".")
		}
		return in.importModule(s)
	})
}

// unknownImport is an import whose name is not known: whatever it is may
// register by being imported.
func (in *interp) unknownImport(name value) value {
	u := unknownf("a module imported by a name that is not known")
	if part, ok := name.(*unknown); ok {
		u.setting = part.setting
		if part.head != "" {
			u.why = "a module imported by a name that begins with " + part.head
		}
	}
	return u
}

// importString is werkzeug.utils.import_string: "module:name" or "module.name".
func importString(in *interp, c *call) value {
	return each(c.or(0, "import_name", none{}), func(n value) value {
		s, ok := n.(string)
		if !ok {
			return in.unknownImport(n)
		}
		s = strings.ReplaceAll(s, ":", ".")
		i := strings.LastIndexByte(s, '.')
		if i < 0 {
			return in.importModule(s)
		}
		m := in.importModule(s[:i])
		return each(m, func(v value) value { return in.getAttr(v, s[i+1:]) })
	})
}

// iterModules is pkgutil.iter_modules and walk_packages: (finder, name, ispkg).
func iterModules(in *interp, c *call) value {
	prefix, _ := c.or(1, "prefix", "").(string)
	dirs, open := in.iterate(c.or(0, "path", none{}))
	out := &seq{open: open}
	for _, d := range dirs {
		dir, ok := in.inProject(d)
		if !ok {
			out.open = true
			continue
		}
		for _, name := range modulesIn(dir) {
			t := newSeq(tupleSeq, unknownf("a module finder"), prefix+name, isFile(filepath.Join(dir, name, "__init__.py")))
			out.items = append(out.items, in.moduleInfo(t))
		}
	}
	return out
}

// moduleInfo is pkgutil.ModuleInfo, a tuple with names.
func (in *interp) moduleInfo(t *seq) value {
	o := &object{class: in.newClass("ModuleInfo"), vars: newScope(nil), payload: t}
	o.vars.put("name", t.items[1])
	o.vars.put("ispkg", t.items[2])
	return o
}

func modulesIn(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".py")
		switch {
		case e.Name() == "__init__.py" || e.Name() == "__main__.py" || !isIdentifier(name):
		case name != e.Name(), isFile(filepath.Join(dir, name, "__init__.py")):
			out = append(out, name)
		}
	}
	return out
}

// findModules is werkzeug.utils.find_modules.
func findModules(in *interp, c *call) value {
	name, _ := c.or(0, "import_path", "").(string)
	m, ok := in.importModule(name).(*module)
	if !ok {
		return &seq{open: true}
	}
	packages := in.truth(c.or(1, "include_packages", false)) != no
	recursive := in.truth(c.or(2, "recursive", false)) != no
	out := newSeq(listSeq)
	for _, dir := range m.dirs {
		in.findIn(dir, m.name, packages, recursive, out)
	}
	return out
}

func (in *interp) findIn(dir, name string, packages, recursive bool, out *seq) {
	for _, n := range modulesIn(dir) {
		sub := filepath.Join(dir, n)
		isPkg := isFile(filepath.Join(sub, "__init__.py"))
		if !isPkg || packages {
			out.items = append(out.items, name+"."+n)
		}
		if isPkg && recursive {
			in.findIn(sub, name+"."+n, packages, recursive, out)
		}
	}
}

func findPackages(*interp, *call) value { return &seq{open: true} }

// getMembers is inspect.getmembers of a module, class or object.
func getMembers(in *interp, c *call) value {
	on, _ := c.get(0, "object")
	names := builtinDir(in, &call{args: []value{on}}).(*seq)
	out := &seq{open: names.open}
	test, filtered := c.get(1, "predicate")
	for _, n := range names.items {
		v := in.getAttr(on, n.(string))
		if filtered && in.truth(in.callValue(test, &call{args: []value{v}})) == no {
			continue
		}
		out.items = append(out.items, newSeq(tupleSeq, n, v))
	}
	return out
}

func isClass(_ *interp, c *call) value {
	v, _ := c.get(0, "")
	switch v.(type) {
	case *class:
		return true
	case *external, *unknown:
		return unknownf("whether a value is a class")
	}
	return false
}

func isFunction(_ *interp, c *call) value {
	v, _ := c.get(0, "")
	switch v.(type) {
	case *function:
		return true
	case *external, *unknown:
		return unknownf("whether a value is a function")
	}
	return false
}

// addPath is sys.path.insert and append with a directory of the project.
func addPath(in *interp, c *call) value {
	for _, a := range c.args {
		if dir, ok := in.inProject(a); ok && in.loader.only == "" && !isNumber(a) {
			in.loader.addPath(dir)
		}
	}
	return none{}
}

func isNumber(v value) bool {
	_, ok := v.(int64)
	return ok
}

func rootPath(in *interp, c *call) value {
	name, _ := c.or(0, "import_name", "").(string)
	if m, ok := in.importModule(name).(*module); ok && m.file != "" {
		return path.Dir(m.file)
	}
	return partial("a root path", "", "")
}
