package extract

import "github.com/go-python/gpython/ast"

type tristate uint8

const (
	no tristate = iota
	yes
	maybe
)

func (t tristate) value() value {
	switch t {
	case yes:
		return true
	case no:
		return false
	}
	return unknownf("a condition that is not known")
}

func (t tristate) not() value {
	switch t {
	case yes:
		return false
	case no:
		return true
	}
	return t.value()
}

func tri(b bool) tristate {
	if b {
		return yes
	}
	return no
}

// truth is bool(v).
func (in *interp) truth(v value) tristate {
	switch v := v.(type) {
	case none:
		return no
	case bool:
		return tri(v)
	case int64:
		return tri(v != 0)
	case float64:
		return tri(v != 0)
	case string:
		return tri(v != "")
	case rawBytes:
		return tri(v != "")
	case *seq:
		return sized(len(v.items), v.open)
	case *dict:
		return sized(len(v.keys), v.open)
	case *choice:
		return in.truthOfChoice(v)
	case *unknown:
		return sized(len(v.head)+len(v.tail), true)
	case *external:
		return maybe
	case *object:
		return in.truthOfObject(v)
	}
	return yes
}

func sized(n int, open bool) tristate {
	switch {
	case n > 0:
		return yes
	case open:
		return maybe
	}
	return no
}

func (in *interp) truthOfChoice(c *choice) tristate {
	t := in.truth(c.of[0])
	for _, a := range c.of[1:] {
		if in.truth(a) != t {
			return maybe
		}
	}
	return t
}

func (in *interp) truthOfObject(o *object) tristate {
	for _, name := range []string{"__bool__", "__len__"} {
		if _, ok := in.attrOf(o, name); ok {
			return maybe
		}
	}
	return yes
}

// soft is the truth of v as the defaults have it, and whether a setting may
// turn it around.
func (in *interp) soft(v value) (tristate, bool) {
	t := in.truth(v)
	if t != maybe || settingOf(v) == "" {
		return t, false
	}
	if _, ok := v.(*choice); ok {
		t = in.truth(join(known(v)...))
	}
	return t, true
}

// settingOf names a setting on which v depends.
func settingOf(v value) string {
	for _, a := range alternatives(v) {
		if u, ok := a.(*unknown); ok && u.setting != "" {
			return u.setting
		}
	}
	return ""
}

func (in *interp) evalCompare(e *ast.Compare) value {
	left := in.eval(e.Left)
	var result value = true
	for i, op := range e.Ops {
		right := in.eval(e.Comparators[i])
		if e, ok := right.(*external); ok && e.path == "os.environ" {
			result = in.inEnviron(op, left)
			continue
		}
		t := in.compare(op, left, right)
		switch {
		case t == no:
			return false
		case t == maybe:
			result = in.undecided(op, left, right)
		}
		left = right
	}
	return result
}

// inEnviron is whether the environment has a variable: as far as is known, no.
func (in *interp) inEnviron(op ast.CmpOp, name value) value {
	s, _ := name.(string)
	_, has := in.opts.Env[s]
	return join(has == (op == ast.In), setting(firstSet(s, "the environment")))
}

// undecided is a comparison that is not known: where only a setting decides,
// what the default gives comes first.
func (in *interp) undecided(op ast.CmpOp, a, b value) value {
	name := firstSet(settingOf(a), settingOf(b))
	if name == "" {
		return maybe.value()
	}
	if t := in.compare(op, join(known(a)...), join(known(b)...)); t != maybe {
		return join(t.value(), setting(name))
	}
	return setting(name)
}

// compare decides over all combinations of alternatives.
func (in *interp) compare(op ast.CmpOp, a, b value) tristate {
	var all []tristate
	for _, x := range alternatives(a) {
		for _, y := range alternatives(b) {
			all = append(all, in.compareOne(op, x, y))
		}
	}
	for _, t := range all[1:] {
		if t != all[0] {
			return maybe
		}
	}
	return all[0]
}

func (in *interp) compareOne(op ast.CmpOp, a, b value) tristate {
	switch op {
	case ast.Is, ast.Eq:
		return same(a, b, 0)
	case ast.IsNot, ast.NotEq:
		return flip(same(a, b, 0))
	case ast.In:
		return in.member(a, b)
	case ast.NotIn:
		return flip(in.member(a, b))
	}
	return ordered(op, a, b)
}

func flip(t tristate) tristate {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return maybe
}

// opaqueValue says that two of v may be equal or not.
func opaqueValue(v value) bool {
	switch v.(type) {
	case *unknown, *external:
		return true
	}
	return false
}

// maxSame bounds the nesting of lists that are compared.
const maxSame = 20

func same(a, b value, depth int) tristate {
	if a == b {
		return yes
	}
	if opaqueValue(a) || opaqueValue(b) {
		return sameText(a, b)
	}
	switch x := a.(type) {
	case *seq:
		if y, ok := b.(*seq); ok {
			return sameItems(x, y, depth+1)
		}
	case *dict, *object:
		if !isNone(b) {
			return maybe
		}
	}
	x, isNumber := asNumber(a)
	y, isNumber2 := asNumber(b)
	return tri(isNumber && isNumber2 && x == y)
}

// asNumber is v as Python compares it: True is 1.
func asNumber(v value) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// sameText uses what is known of a partial string.
func sameText(a, b value) tristate {
	u, ok := a.(*unknown)
	if !ok {
		u, ok = b.(*unknown)
		a, b = b, a
	}
	if !ok || !u.text {
		return maybe
	}
	s, ok := b.(string)
	if isNone(b) || (ok && (len(s) < len(u.head) || s[:len(u.head)] != u.head)) {
		return no
	}
	return maybe
}

func sameItems(a, b *seq, depth int) tristate {
	if a.open || b.open || depth > maxSame {
		return maybe
	}
	if a.kind != b.kind || len(a.items) != len(b.items) {
		return no
	}
	all := yes
	for i := range a.items {
		switch same(a.items[i], b.items[i], depth) {
		case no:
			return no
		case maybe:
			all = maybe
		}
	}
	return all
}

func (in *interp) member(a, b value) tristate {
	switch b := b.(type) {
	case *dict:
		if _, ok := b.get(a); ok {
			return yes
		}
		return sizedMember(b.open || opaqueValue(a))
	case *seq:
		open := b.open
		for _, x := range b.items {
			switch same(a, x, 0) {
			case yes:
				return yes
			case maybe:
				open = true
			}
		}
		return sizedMember(open)
	case string:
		if s, ok := a.(string); ok {
			return tri(containsText(b, s))
		}
	case *object:
		if items, ok := in.itemsOf(b); ok {
			return in.member(a, items)
		}
	}
	return maybe
}

func sizedMember(open bool) tristate {
	if open {
		return maybe
	}
	return no
}

func ordered(op ast.CmpOp, a, b value) tristate {
	x, ok := toFloat(a)
	y, ok2 := toFloat(b)
	if !ok || !ok2 {
		return maybe
	}
	switch op {
	case ast.Lt:
		return tri(x < y)
	case ast.LtE:
		return tri(x <= y)
	case ast.Gt:
		return tri(x > y)
	case ast.GtE:
		return tri(x >= y)
	}
	return maybe
}

func toFloat(v value) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
