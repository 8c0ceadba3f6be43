package extract

import (
	"strings"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

func (in *interp) execClass(s *python.Stmt) flow {
	n, ok := s.Node.(*ast.ClassDef)
	if !ok {
		in.opaque(s)
		return flowNext
	}
	bases, kws := in.classBases(n)
	c := in.newClass(string(n.Name), bases...)
	c.module, c.line = in.frame().module, s.Line
	f := &frame{module: c.module, vars: c.vars, line: s.Line, class: c}
	c.vars.parent = in.frame().vars
	if end := in.enter(f, func() flow { return in.execAll(s.Body) }); end == flowStop {
		return end
	}
	c.vars.parent = nil
	if c.meta = metaclassOf(c, kws); c.meta != nil {
		in.runMetaclass(c.meta, c)
	}
	in.subclassed(c, kws)
	v := in.decorate(c, s.Decorators)
	in.assign(in.scopeFor(c.name), c.name, v)
	return flowNext
}

func (in *interp) classBases(n *ast.ClassDef) ([]value, []kwarg) {
	var bases []value
	for _, b := range n.Bases {
		if star, ok := starred(b); ok {
			items, _ := in.iterate(in.eval(star))
			bases = append(bases, items...)
			continue
		}
		bases = append(bases, alternatives(in.eval(b))...)
	}
	var kws []kwarg
	for _, k := range n.Keywords {
		kws = append(kws, kwarg{string(k.Arg), in.eval(k.Value)})
	}
	return bases, kws
}

func (in *interp) newClass(name string, bases ...value) *class {
	c := &class{name: name, bases: bases, vars: newScope(nil)}
	c.linear = linearize(c)
	for _, b := range bases {
		switch b := b.(type) {
		case *class:
			c.foreign = c.foreign || b.foreign
		case *external:
			c.foreign = c.foreign || !plainBase(b.path)
		default:
			c.foreign = true
		}
	}
	return c
}

// linearize is Python's method resolution order: of a class met twice, the last
// place counts.
func linearize(c *class) []*class {
	var all []*class
	for _, b := range c.bases {
		if b, ok := b.(*class); ok {
			all = append(all, b.linear...)
		}
	}
	last := map[*class]int{}
	for i, b := range all {
		last[b] = i
	}
	out := []*class{c}
	for i, b := range all {
		if last[b] == i {
			out = append(out, b)
		}
	}
	return out
}

// subclassed tells the bases of a new class about it.
func (in *interp) subclassed(c *class, kws []kwarg) {
	for _, b := range c.linear[1:] {
		if hook, ok := b.vars.get("__init_subclass__"); ok {
			if w, ok := hook.(*wrapped); ok {
				hook = w.fn
			}
			in.callValue(hook, &call{args: []value{c}, kw: kws})
			return
		}
	}
}

// metaclassOf is the one given, or that of a base.
func metaclassOf(c *class, kws []kwarg) *class {
	for _, k := range kws {
		if m, ok := k.v.(*class); ok && k.name == "metaclass" {
			return m
		}
	}
	for _, b := range c.linear[1:] {
		if b.meta != nil {
			return b.meta
		}
	}
	if v, ok := c.vars.get("__metaclass__"); ok {
		m, _ := v.(*class)
		return m
	}
	return nil
}

func (in *interp) runMetaclass(m, c *class) {
	if init, at, ok := m.find("__init__"); ok && at.module != nil {
		in.callValue(init, &call{args: []value{c, c.name, newSeq(tupleSeq, c.bases...), scopeDict(c.vars)}})
	}
}

func (c *class) find(name string) (value, *class, bool) {
	for _, k := range c.linear {
		if v, ok := k.vars.get(name); ok {
			return v, k, true
		}
	}
	return nil, nil, false
}

// is says whether c is, or derives from, base.
func (c *class) is(base *class) bool {
	for _, k := range c.linear {
		if k == base {
			return true
		}
	}
	return false
}

// subclassOf says whether c derives from a model of this name.
func (c *class) subclassOf(path string) bool {
	for _, k := range c.linear {
		if k.module == nil && k.name == path {
			return true
		}
	}
	return false
}

// externalBases lists the bases outside the project, whatever the depth.
func (c *class) externalBases() []*external {
	var out []*external
	for _, k := range c.linear {
		for _, b := range k.bases {
			if e, ok := b.(*external); ok {
				out = append(out, e)
			}
		}
	}
	return out
}

func (c *class) isEnum() bool {
	for _, e := range c.externalBases() {
		if strings.HasPrefix(e.path, "enum.") {
			return true
		}
	}
	return false
}

// enumMember is a member of an Enum: a string one serves as its own value.
func (in *interp) enumMember(c *class, name string, v value) value {
	switch v.(type) {
	case *function, *native, *wrapped:
		return in.bindMethod(v, nil, c)
	}
	if s, ok := v.(string); ok && c.textual() {
		return s
	}
	o := &object{class: c, vars: newScope(nil)}
	o.vars.put("value", v)
	o.vars.put("name", name)
	return o
}

func (c *class) textual() bool {
	for _, k := range c.linear {
		for _, b := range k.bases {
			if n, ok := b.(*native); ok && n.name == "str" {
				return true
			}
			if e, ok := b.(*external); ok && e.path == "enum.StrEnum" {
				return true
			}
		}
	}
	return false
}

// plainBase says that a base outside the project adds no URL methods to views.
func plainBase(path string) bool {
	switch {
	case path == "object", strings.HasPrefix(path, "abc."), strings.HasPrefix(path, "typing."), strings.HasPrefix(path, "enum."),
		strings.HasPrefix(path, "typing_extensions."), strings.HasPrefix(path, "builtins."):
		return true
	}
	return false
}

// harmless says that attributes of c's objects that no model knows belong to an
// extension that registers nothing by them.
func (c *class) harmless() bool { return c.harmlessPath() != "" }

func (c *class) harmlessPath() string {
	for _, k := range c.linear {
		if k.module == nil {
			return k.name
		}
		if k.module.model {
			return k.module.name + "." + k.name
		}
	}
	if ext := c.externalBases(); len(ext) > 0 {
		return ext[0].path + "()"
	}
	return ""
}
