package extract

import (
	"sort"
	"strconv"
	"strings"
)

func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func builtinGetattr(in *interp, c *call) value {
	on, _ := c.get(0, "")
	name, _ := c.get(1, "")
	otherwise, hasDefault := c.get(2, "")
	return pairs(on, name, func(o, n value) value {
		s, ok := n.(string)
		if !ok {
			return &unknown{why: "an attribute whose name is not known", setting: settingOf(n)}
		}
		if in.hasAttr(o, s) == no && hasDefault {
			return otherwise
		}
		v := in.getAttr(o, s)
		if u, isUnknown := v.(*unknown); isUnknown && hasDefault {
			return join(otherwise, u)
		}
		return v
	})
}

func builtinSetattr(in *interp, c *call) value {
	if len(c.args) == 3 {
		for _, n := range alternatives(c.args[1]) {
			if s, ok := n.(string); ok {
				in.setAttr(c.args[0], s, c.args[2])
			}
		}
	}
	return none{}
}

func builtinHasattr(in *interp, c *call) value {
	on, _ := c.get(0, "")
	name, _ := c.get(1, "")
	return pairs(on, name, func(o, n value) value {
		if s, ok := n.(string); ok {
			return in.hasAttr(o, s).value()
		}
		return unknownf("an attribute whose name is not known")
	})
}

func (in *interp) hasAttr(on value, name string) tristate {
	switch o := on.(type) {
	case *external, *unknown:
		return maybe
	case *module:
		if _, ok := o.vars.get(name); ok {
			return yes
		}
		return tri(in.loader.submodule(o, name) != "")
	case *object:
		if _, ok := in.attrOf(o, name); ok {
			return yes
		}
		if o.class.foreign || o.class.harmless() {
			return maybe
		}
	case *class:
		if _, ok := in.attrOf(o, name); ok {
			return yes
		}
		if o.foreign {
			return maybe
		}
	case *seq, *dict, string:
		return maybe
	}
	_, ok := in.attrOf(on, name)
	return tri(ok)
}

func builtinCallable(in *interp, c *call) value {
	v, _ := c.get(0, "")
	return each(v, func(a value) value {
		switch a := a.(type) {
		case *function, *native, *bound, *class:
			return true
		case *object:
			return in.hasAttr(a, "__call__").value()
		case *external, *unknown:
			return unknownf("whether a value can be called")
		}
		return false
	})
}

func builtinType(in *interp, c *call) value {
	if len(c.args) == 3 {
		name, _ := c.args[0].(string)
		bases, _ := in.iterate(c.args[1])
		cls := in.newClass(name, bases...)
		cls.module = in.frame().module
		if d, ok := c.args[2].(*dict); ok {
			for _, k := range d.keys {
				if s, ok := k.(string); ok {
					cls.vars.put(s, d.vals[k])
				}
			}
		}
		in.subclassed(cls, nil)
		return cls
	}
	v, _ := c.get(0, "")
	return each(v, func(a value) value {
		if o, ok := a.(*object); ok {
			return o.class
		}
		if _, ok := a.(*class); ok {
			return in.builtins["type"]
		}
		return unknownf("a type")
	})
}

func builtinSuper(in *interp, c *call) value {
	if len(c.args) == 2 {
		if cls, ok := c.args[0].(*class); ok {
			return &super{self: c.args[1], after: cls}
		}
		return unknownf("super of a value that is not known")
	}
	for i := len(in.frames) - 1; i >= 0; i-- {
		f := in.frames[i]
		if f.fn != nil && f.class != nil && len(f.fn.args.Args) > 0 {
			self, _ := f.vars.get(string(f.fn.args.Args[0].Arg))
			return &super{self: self, after: f.class}
		}
	}
	return unknownf("super outside a class")
}

func builtinVars(in *interp, c *call) value {
	v, ok := c.get(0, "")
	if !ok {
		return scopeDict(in.frame().vars)
	}
	switch v := v.(type) {
	case *object:
		return scopeDict(v.vars)
	case *class:
		return scopeDict(v.vars)
	case *module:
		return scopeDict(v.vars)
	}
	return &dict{vals: map[value]value{}, open: true}
}

func builtinGlobals(in *interp, _ *call) value {
	if m := in.frame().module; m != nil {
		return scopeDict(m.vars)
	}
	return newDict()
}

func builtinLocals(in *interp, _ *call) value { return scopeDict(in.frame().vars) }

func builtinDir(in *interp, c *call) value {
	names := map[string]bool{}
	open := false
	v, _ := c.get(0, "")
	switch v := v.(type) {
	case *module:
		addNames(names, v.vars)
	case *class:
		for _, k := range v.linear {
			addNames(names, k.vars)
		}
		open = v.foreign
	case *object:
		addNames(names, v.vars)
		for _, k := range v.class.linear {
			addNames(names, k.vars)
		}
		open = v.class.foreign
	default:
		open = true
	}
	out := &seq{open: open}
	for _, n := range sortedNames(names) {
		out.items = append(out.items, n)
	}
	return out
}

func addNames(into map[string]bool, s *scope) {
	for n := range s.names {
		if n[0] != '=' {
			into[n] = true
		}
	}
}

func sortedNames(set map[string]bool) []string {
	var out []string
	for n := range set {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

func builtinIsinstance(in *interp, c *call) value {
	if len(c.args) != 2 {
		return unknownf("whether a value is an instance")
	}
	return pairs(c.args[0], c.args[1], func(v, t value) value {
		if u, ok := v.(*unknown); ok && u.setting != "" {
			return u
		}
		return in.instanceOf(v, t).value()
	})
}

func (in *interp) instanceOf(v, t value) tristate {
	if s, ok := t.(*seq); ok {
		out := no
		for _, one := range s.items {
			switch in.instanceOf(v, one) {
			case yes:
				return yes
			case maybe:
				out = maybe
			}
		}
		return out
	}
	if e, ok := v.(*external); ok && notOurs(e) {
		if _, isModel := t.(*class); isModel {
			return no
		}
	}
	if opaqueValue(v) {
		return maybe
	}
	switch t := t.(type) {
	case *native:
		return builtinInstance(v, t.name)
	case *class:
		o, ok := v.(*object)
		if !ok {
			return no
		}
		if o.class.is(t) {
			return yes
		}
		return sizedMember(o.class.foreign)
	case *external:
		return in.externalInstance(v, t)
	}
	return maybe
}

// notOurs says that e is a thing of the standard library or of Flask by name, and
// so no app, blueprint or object of the project.
func notOurs(e *external) bool {
	top, _, _ := strings.Cut(e.path, ".")
	plain := !strings.ContainsAny(e.path, "()[]")
	return plain && (isStdlib(top) || top == "flask" || top == "werkzeug") && !isCurrentApp(e.path)
}

// builtinInstance is isinstance(v, str) and the like.
func builtinInstance(v value, name string) tristate {
	switch v := v.(type) {
	case string:
		return tri(name == "str")
	case int64:
		return tri(name == "int")
	case bool:
		return tri(name == "bool" || name == "int")
	case float64:
		return tri(name == "float")
	case *dict:
		return tri(name == "dict")
	case *class:
		return tri(name == "type")
	case *seq:
		return tri(name == map[seqKind]string{listSeq: "list", tupleSeq: "tuple", setSeq: "set"}[v.kind])
	case *object:
		return sizedMember(v.class.foreign)
	}
	return no
}

func (in *interp) externalInstance(v value, t *external) tristate {
	switch o := v.(type) {
	case *object:
		for _, b := range o.class.externalBases() {
			if b.path == t.path {
				return yes
			}
		}
		return sizedMember(len(o.class.externalBases()) > 0)
	case string, bool, int64, none, float64:
		return no
	}
	return maybe
}

func builtinIssubclass(in *interp, c *call) value {
	if len(c.args) != 2 {
		return unknownf("whether a class derives from another")
	}
	return pairs(c.args[0], c.args[1], func(a, b value) value {
		cls, ok := a.(*class)
		base, ok2 := b.(*class)
		switch {
		case ok && ok2 && cls.is(base):
			return true
		case ok && ok2 && !cls.foreign:
			return false
		case isNone(a):
			return false
		}
		if s, isSeq := b.(*seq); isSeq && ok {
			for _, x := range s.items {
				if k, isClass := x.(*class); isClass && cls.is(k) {
					return true
				}
			}
		}
		return unknownf("whether a class derives from another")
	})
}
