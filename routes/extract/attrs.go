package extract

import (
	"strings"
)

// getAttr is on.name; on is no choice.
func (in *interp) getAttr(on value, name string) value {
	switch o := on.(type) {
	case *module:
		return in.moduleAttr(o, name)
	case *external:
		return in.externalAttr(o, name)
	case *unknown:
		return &unknown{why: o.why, setting: o.setting}
	}
	if v, ok := in.attrOf(on, name); ok {
		return v
	}
	if v, ok := in.methodOf(on, name); ok {
		return v
	}
	return in.missingAttr(on, name)
}

// missingAttr is an attribute that nothing in sight sets.
func (in *interp) missingAttr(on value, name string) value {
	if o, ok := on.(*object); ok {
		if get, ok := in.attrOf(o, "__getattr__"); ok && !strings.HasPrefix(name, "__") {
			return in.callValue(get, &call{args: []value{name}})
		}
		if o.class != nil && o.class.harmless() {
			return &external{path: o.class.harmlessPath() + "." + name}
		}
	}
	if s, ok := on.(*super); ok {
		if cls, _ := classOf(s.self); cls != nil && cls.harmless() {
			return &external{path: cls.harmlessPath() + "." + name}
		}
	}
	return unknownf("the attribute " + name + " is not known")
}

// attrOf finds what the project or a model gave on: attributes of objects,
// classes and functions.
func (in *interp) attrOf(on value, name string) (value, bool) {
	switch o := on.(type) {
	case *object:
		return in.objectAttr(o, name)
	case *class:
		return in.classAttr(o, name)
	case *function:
		return functionAttr(o, name)
	case *bound:
		if f, ok := o.fn.(*function); ok {
			return functionAttr(f, name)
		}
	case *super:
		return in.superAttr(o, name)
	}
	return nil, false
}

func (in *interp) objectAttr(o *object, name string) (value, bool) {
	if v, ok := o.vars.get(name); ok {
		return v, true
	}
	switch name {
	case "__class__":
		return o.class, true
	case "__dict__":
		return scopeDict(o.vars), true
	}
	v, _, ok := o.class.find(name)
	if !ok {
		return nil, false
	}
	return in.bindMethod(v, o, o.class), true
}

func (in *interp) classAttr(c *class, name string) (value, bool) {
	switch name {
	case "__name__", "__qualname__":
		return c.name, true
	case "__module__":
		if c.module != nil {
			return c.module.name, true
		}
	case "__bases__":
		return newSeq(tupleSeq, c.bases...), true
	case "__mro__":
		return classes(c.linear), true
	case "__dict__":
		return scopeDict(c.vars), true
	}
	v, _, ok := c.find(name)
	if !ok && c.meta != nil {
		if v, _, ok = c.meta.find(name); ok {
			if _, isFunction := v.(*function); isFunction {
				return &bound{c, v}, true
			}
		}
		return v, ok
	}
	if !ok {
		return nil, false
	}
	if c.isEnum() {
		return in.enumMember(c, name, v), true
	}
	return in.bindMethod(v, nil, c), true
}

func classes(cs []*class) *seq {
	out := newSeq(tupleSeq)
	for _, c := range cs {
		out.items = append(out.items, c)
	}
	return out
}

// bindMethod is the descriptor protocol: what v, found on cls, is when read from
// self (nil for the class itself).
func (in *interp) bindMethod(v value, self *object, cls *class) value {
	switch f := v.(type) {
	case *function, *native:
		if self != nil {
			return &bound{self, f}
		}
	case *wrapped:
		switch {
		case f.kind == "static":
			return f.fn
		case f.kind == "class":
			return &bound{cls, f.fn}
		case self != nil:
			return in.callValue(f.fn, &call{args: []value{self}})
		}
	case *choice:
		return each(f, func(a value) value { return in.bindMethod(a, self, cls) })
	}
	return v
}

func functionAttr(f *function, name string) (value, bool) {
	if f.attrs != nil {
		if v, ok := f.attrs.get(name); ok {
			return v, true
		}
	}
	switch name {
	case "__name__", "__qualname__":
		return f.name, true
	case "__module__":
		return f.module.name, true
	case "__doc__":
		return partial("a docstring", "", ""), true
	case "__wrapped__":
		return nil, false
	case "__dict__":
		return newDict(), true
	}
	return nil, false
}

func (in *interp) superAttr(s *super, name string) (value, bool) {
	cls, self := classOf(s.self)
	if cls == nil {
		return nil, false
	}
	after := false
	for _, c := range cls.linear {
		if after {
			if v, ok := c.vars.get(name); ok {
				return in.bindMethod(v, self, cls), true
			}
		}
		after = after || c == s.after
	}
	return nil, false
}

func classOf(v value) (*class, *object) {
	switch v := v.(type) {
	case *object:
		return v.class, v
	case *class:
		return v, nil
	}
	return nil, nil
}

func scopeDict(s *scope) *dict {
	d := newDict()
	for _, n := range s.order {
		if v, ok := s.names[n]; ok {
			d.set(n, v)
		}
	}
	return d
}

// setAttr is on.name = v.
func (in *interp) setAttr(on value, name string, v value) {
	for _, o := range alternatives(on) {
		switch o := o.(type) {
		case *object:
			if in.setProperty(o, name, v) {
				continue
			}
			in.assign(o.vars, name, v)
		case *class:
			in.assign(o.vars, name, v)
		case *module:
			in.assign(o.vars, name, v)
		case *function:
			in.assign(o.ownAttrs(), name, v)
		case *bound:
			if f, ok := o.fn.(*function); ok {
				in.assign(f.ownAttrs(), name, v)
			}
		}
	}
}

func (f *function) ownAttrs() *scope {
	if f.attrs == nil {
		f.attrs = newScope(nil)
	}
	return f.attrs
}

// setProperty calls the setter that a model or the project defines.
func (in *interp) setProperty(o *object, name string, v value) bool {
	set, _, ok := o.class.find("=" + name)
	if !ok {
		return false
	}
	in.callValue(set, &call{args: []value{o, v}})
	return true
}

// callMethod calls on.name where it exists.
func (in *interp) callMethod(on value, name string, args ...value) (value, bool) {
	m, ok := in.attrOf(on, name)
	if !ok {
		return nil, false
	}
	return in.callValue(m, &call{args: args}), true
}
