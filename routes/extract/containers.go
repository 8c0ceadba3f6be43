package extract

import "github.com/go-python/gpython/ast"

// iterate lists what a loop over v sees; open says that there may be more.
func (in *interp) iterate(v value) (items []value, open bool) {
	switch v := v.(type) {
	case *seq:
		in.charge(len(v.items) / 4)
		return append([]value(nil), v.items...), v.open
	case *dict:
		in.charge(len(v.keys) / 4)
		return append([]value(nil), v.keys...), v.open
	case string:
		for _, r := range v {
			items = append(items, string(r))
		}
		return items, false
	case *choice:
		for _, a := range known(v) {
			more, o := in.iterate(a)
			items, open = append(items, more...), open || o
		}
		return items, open
	case *class:
		if v.isEnum() {
			return in.enumMembers(v), false
		}
		return nil, true
	case *object:
		if s, ok := in.itemsOf(v); ok {
			return s.items, s.open
		}
		return nil, true
	case none:
		return nil, false
	}
	return nil, true
}

func (in *interp) enumMembers(c *class) []value {
	var out []value
	for _, n := range c.plainNames() {
		if len(n) > 0 && n[0] != '_' {
			v, _ := in.classAttr(c, n)
			out = append(out, v)
		}
	}
	return out
}

// itemsOf is what iterating over an object of the project gives.
func (in *interp) itemsOf(o *object) (*seq, bool) {
	if s, ok := o.payload.(*seq); ok {
		return s, true
	}
	v, ok := in.callMethod(o, "__iter__")
	if !ok {
		return nil, false
	}
	if v == value(o) || in.depth > maxEvalDepth/2 {
		return &seq{open: true}, true
	}
	in.depth += 1000 // objects that iterate over each other end soon
	items, open := in.iterate(v)
	in.depth -= 1000
	return &seq{items: items, open: open}, true
}

// item is on[key].
func (in *interp) item(on, key value) value {
	switch o := on.(type) {
	case *dict:
		return in.dictItem(o, key)
	case *seq:
		return seqItem(o, key)
	case string:
		if i, ok := key.(int64); ok {
			return charAt(o, i)
		}
	case *unknown:
		return &unknown{why: o.why, setting: o.setting}
	case *external:
		return in.externalItem(o, key)
	case *class:
		if v, ok := in.callMethod(o, "__class_getitem__", key); ok {
			return v
		}
		if s, ok := key.(string); ok && o.isEnum() {
			return in.getAttr(o, s)
		}
		return o
	case *object:
		if v, ok := in.callMethod(o, "__getitem__", key); ok {
			return v
		}
	}
	return unknownf("an element of a value that is not known")
}

func (in *interp) dictItem(d *dict, key value) value {
	if v, ok := d.get(key); ok {
		return d.marked(key, v)
	}
	if _, isUnknown := key.(*unknown); isUnknown && !d.open && len(d.keys) > 0 {
		vs := []value{}
		for _, k := range d.keys {
			vs = append(vs, d.vals[k])
		}
		return join(vs...)
	}
	if s, ok := key.(string); ok && d.settings {
		return setting(s)
	}
	return &unknown{why: "an element that is not known", setting: settingOf(key)}
}

// marked is v as read from a configuration that a deployment may change.
func (d *dict) marked(key, v value) value {
	s, ok := key.(string)
	if !ok || !d.settings {
		return v
	}
	switch v.(type) {
	case *object, *class, *function, *native:
		return v
	}
	return join(v, setting(s))
}

func seqItem(s *seq, key value) value {
	i, ok := key.(int64)
	if !ok || s.kind == setSeq { // which has no order that is known
		if s.open || len(s.items) == 0 {
			return unknownf("an element that is not known")
		}
		return join(s.items...)
	}
	if i < 0 && !s.open {
		i += int64(len(s.items))
	}
	if i < 0 || i >= int64(len(s.items)) {
		return unknownf("an element that is not known")
	}
	return s.items[i]
}

func charAt(s string, i int64) value {
	r := []rune(s)
	if i < 0 {
		i += int64(len(r))
	}
	if i < 0 || i >= int64(len(r)) {
		return unknownf("a character out of range")
	}
	return string(r[i])
}

// slice is on[a:b].
func (in *interp) slice(on value, s ast.Slicer) value {
	sl, ok := s.(*ast.Slice)
	if !ok || sl.Step != nil {
		return unknownf("a slice with steps")
	}
	switch o := on.(type) {
	case string:
		r := []rune(o)
		if a, b, ok := in.bounds(sl, len(r)); ok {
			return string(r[a:b])
		}
	case *seq:
		if a, b, ok := in.bounds(sl, len(o.items)); ok && !o.open {
			return newSeq(o.kind, o.items[a:b:b]...)
		}
		return &seq{kind: o.kind, items: o.items, open: true}
	case *unknown:
		return &unknown{why: o.why, text: o.text, setting: o.setting}
	}
	return unknownf("a slice of a value that is not known")
}

func (in *interp) bounds(s *ast.Slice, n int) (int, int, bool) {
	a, ok := in.boundAt(s.Lower, 0, n)
	b, ok2 := in.boundAt(s.Upper, n, n)
	if b < a {
		b = a
	}
	return a, b, ok && ok2
}

func (in *interp) boundAt(e ast.Expr, otherwise, n int) (int, bool) {
	if e == nil {
		return otherwise, true
	}
	i, ok := in.eval(e).(int64)
	if !ok {
		if isNone(in.eval(e)) {
			return otherwise, true
		}
		return 0, false
	}
	if i < 0 {
		i += int64(n)
	}
	return int(max(0, min(i, int64(n)))), true
}

// methodOf is a method of a built-in type.
func (in *interp) methodOf(on value, name string) (value, bool) {
	switch o := on.(type) {
	case string:
		if name == "value" { // of an Enum of strings
			return o, true
		}
		return in.methodOfText(o, name), true
	case *seq:
		return &native{name: "list." + name, call: func(in *interp, c *call) value { return in.seqMethod(o, name, c) }}, true
	case *dict:
		return &native{name: "dict." + name, call: func(in *interp, c *call) value { return in.dictMethod(o, name, c) }}, true
	case rawBytes:
		return &native{name: "bytes." + name, call: func(*interp, *call) value { return partial("decoded bytes", "", "") }}, true
	case *object:
		if d, ok := o.payload.(*dict); ok {
			return in.methodOf(d, name)
		}
		if s, ok := o.payload.(*seq); ok {
			return in.methodOf(s, name)
		}
	case *wrapped:
		return propertyMethod(o, name)
	}
	return nil, false
}

// propertyMethod is @x.setter and its kin.
func propertyMethod(p *wrapped, name string) (value, bool) {
	if p.kind != "property" {
		return nil, false
	}
	return &native{name: "property." + name, call: func(in *interp, c *call) value {
		fn, _ := c.get(0, "")
		if name == "setter" && fn != nil {
			return &setter{of: p, fn: fn}
		}
		return p
	}}, true
}

// grow appends, as far as a list may grow.
func (s *seq) grow(items []value, open bool) {
	s.open = s.open || open
	if len(s.items)+len(items) > maxItems {
		s.open = true
		return
	}
	s.items = append(s.items, items...)
}

func (in *interp) seqMethod(s *seq, name string, c *call) value {
	arg, given := c.get(0, "")
	switch name {
	case "append", "add", "appendleft":
		if given {
			s.items = append(s.items, arg)
		}
	case "insert":
		if v, ok := c.get(1, ""); ok {
			s.items = append([]value{v}, s.items...)
		}
	case "extend", "update":
		for _, a := range c.args {
			items, open := in.iterate(a)
			s.grow(items, open)
		}
	case "copy":
		return &seq{kind: s.kind, items: append([]value(nil), s.items...), open: s.open}
	case "union":
		items, open := in.iterate(arg)
		return &seq{kind: s.kind, items: append(append([]value(nil), s.items...), items...), open: s.open || open}
	case "pop":
		return seqItem(s, c.or(0, "", int64(-1)))
	case "index", "count":
		return unknownf("a position in a list")
	case "sort", "reverse", "remove", "clear", "discard":
	default:
		return &seq{kind: s.kind, items: s.items, open: true}
	}
	return none{}
}

func (in *interp) dictMethod(d *dict, name string, c *call) value {
	switch name {
	case "get", "pop", "setdefault":
		return in.dictGet(d, name, c)
	case "items":
		out := &seq{open: d.open}
		for _, k := range d.keys {
			out.items = append(out.items, newSeq(tupleSeq, k, d.vals[k]))
		}
		return out
	case "keys":
		return &seq{items: append([]value(nil), d.keys...), open: d.open}
	case "values":
		out := &seq{open: d.open}
		for _, k := range d.keys {
			out.items = append(out.items, d.vals[k])
		}
		return out
	case "copy":
		return d.copy()
	case "update", "from_mapping":
		in.dictUpdate(d, c)
	case "from_object":
		in.configFrom(d, c)
	case "from_pyfile":
		in.configFromFile(d, c)
	case "from_envvar", "from_file", "from_json", "from_prefixed_env":
		d.open = true
	}
	return none{}
}

func (in *interp) dictGet(d *dict, name string, c *call) value {
	key, _ := c.get(0, "key")
	otherwise := c.or(1, "default", none{})
	return each(key, func(k value) value {
		if v, ok := d.get(k); ok {
			if name == "pop" && in.uncertain == 0 {
				d.remove(k)
			}
			return d.marked(k, v)
		}
		_, isUnknown := k.(*unknown)
		if name == "setdefault" && !isUnknown {
			d.set(k, otherwise)
			return otherwise
		}
		if s, ok := k.(string); ok && d.settings {
			return join(otherwise, setting(s))
		}
		if d.open || (isUnknown && len(d.keys) > 0) {
			return join(otherwise, unknownf("an element that is not known"))
		}
		return otherwise
	})
}

func (in *interp) dictUpdate(d *dict, c *call) {
	for _, a := range c.args {
		for _, v := range known(a) {
			switch v := v.(type) {
			case *dict:
				d.update(v)
			case *seq:
				in.updatePairs(d, v)
			case none:
			default:
				d.open = true
			}
		}
	}
	for _, k := range c.kw {
		d.set(k.name, k.v)
	}
	d.open = d.open || c.open
}

func (in *interp) updatePairs(d *dict, s *seq) {
	d.open = d.open || s.open
	for _, item := range s.items {
		if pair, ok := item.(*seq); ok && len(pair.items) == 2 && hashable(pair.items[0]) {
			d.set(pair.items[0], pair.items[1])
		}
	}
}
