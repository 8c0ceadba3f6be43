package extract

import (
	"cmp"
	"slices"
	"strings"
)

// builtinTable maps the built-in functions that are followed.
func builtinTable() map[string]value {
	table := map[string]func(*interp, *call) value{
		"len": builtinLen, "range": builtinRange, "enumerate": builtinEnumerate, "zip": builtinZip, "map": builtinMap,
		"filter": builtinFilter, "sorted": builtinSorted, "reversed": builtinReversed, "list": toSeq(listSeq), "tuple": toSeq(tupleSeq),
		"set": toSeq(setSeq), "frozenset": toSeq(setSeq), "iter": toSeq(listSeq), "dict": builtinDict, "str": builtinStr, "repr": builtinRepr,
		"int": builtinInt, "float": builtinFloat, "bool": builtinBool, "isinstance": builtinIsinstance, "issubclass": builtinIssubclass, "getattr": builtinGetattr,
		"setattr": builtinSetattr, "hasattr": builtinHasattr, "callable": builtinCallable, "type": builtinType, "super": builtinSuper,
		"next": builtinNext, "vars": builtinVars, "dir": builtinDir, "globals": builtinGlobals, "locals": builtinLocals,
		"property": wrapper("property"), "classmethod": wrapper("class"), "staticmethod": wrapper("static"),
		"any": builtinAny, "all": builtinAll, "__import__": builtinImport, "print": nothing, "min": one, "max": one, "sum": builtinSum,
		"open": builtinOpen, "input": harmlessCall, "id": harmlessCall, "hash": harmlessCall, "ord": harmlessCall, "chr": harmlessCall, "round": harmlessCall, "abs": harmlessCall,
		"bytes": harmlessCall, "bytearray": harmlessCall, "object": harmlessCall, "memoryview": harmlessCall, "slice": harmlessCall, "exit": nothing, "quit": nothing,
		"delattr": nothing, "hex": harmlessCall, "oct": harmlessCall, "bin": harmlessCall, "format": harmlessCall, "exec": harmlessCall, "eval": harmlessCall, "compile": harmlessCall, "divmod": harmlessCall, "pow": harmlessCall,
	}
	out := map[string]value{"NotImplemented": unknownf("NotImplemented"), "Ellipsis": none{}, "__debug__": true}
	for name, f := range table {
		out[name] = &native{name: name, call: f}
	}
	out["object"] = &external{path: "object"}
	return out
}

func isException(name string) bool {
	return strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception") || strings.HasSuffix(name, "Warning") ||
		strings.HasSuffix(name, "Exit") || strings.HasSuffix(name, "Interrupt") || name == "StopIteration"
}

func nothing(*interp, *call) value { return none{} }

func harmlessCall(*interp, *call) value { return unknownf("what a built-in function gives") }

func one(in *interp, c *call) value {
	if len(c.args) == 1 {
		items, _ := in.iterate(c.args[0])
		return join(items...)
	}
	return join(c.args...)
}

func wrapper(kind string) func(*interp, *call) value {
	return func(_ *interp, c *call) value {
		fn, ok := c.get(0, "fget")
		if !ok {
			return unknownf("a property without a function")
		}
		return &wrapped{kind: kind, fn: fn}
	}
}

func builtinLen(in *interp, c *call) value {
	v, _ := c.get(0, "")
	switch v := v.(type) {
	case string:
		return int64(len([]rune(v)))
	case *seq:
		if v.kind == setSeq && !allDiffer(v.items) {
			return unknownf("how many elements of a set are the same")
		}
		if !v.open {
			return int64(len(v.items))
		}
	case *dict:
		if items, open := in.iterate(v); !open {
			return int64(len(items))
		}
	}
	return unknownf("a length that is not known")
}

// allDiffer says that no two of a set's elements are the same.
func allDiffer(items []value) bool {
	seen := map[value]bool{}
	for _, item := range items {
		switch item.(type) {
		case string, int64:
		default:
			return len(items) < 2
		}
		if seen[item] {
			return false
		}
		seen[item] = true
	}
	return true
}

// maxRange bounds the numbers that range gives.
const maxRange = 10_000

func builtinRange(_ *interp, c *call) value {
	var n [3]int64
	for i, a := range c.args {
		v, ok := a.(int64)
		if !ok || i > 2 {
			return &seq{open: true}
		}
		n[i] = v
	}
	from, to, by := int64(0), n[0], int64(1)
	if len(c.args) > 1 {
		from, to = n[0], n[1]
	}
	if len(c.args) > 2 && n[2] != 0 {
		by = n[2]
	}
	out := newSeq(listSeq)
	for i := from; (by > 0 && i < to) || (by < 0 && i > to); i += by {
		if len(out.items) == maxRange {
			out.open = true
			break
		}
		out.items = append(out.items, i)
	}
	return out
}

func builtinEnumerate(in *interp, c *call) value {
	v, _ := c.get(0, "iterable")
	start, _ := c.or(1, "start", int64(0)).(int64)
	items, open := in.iterate(v)
	out := &seq{open: open}
	for i, item := range items {
		out.items = append(out.items, newSeq(tupleSeq, start+int64(i), item))
	}
	return out
}

func builtinZip(in *interp, c *call) value {
	out := newSeq(listSeq)
	for i, a := range c.args {
		items, open := in.iterate(a)
		out.open = out.open || open
		if i == 0 {
			for range items {
				out.items = append(out.items, newSeq(tupleSeq))
			}
		}
		out.items = out.items[:min(len(out.items), len(items))]
		for j := range out.items {
			t := out.items[j].(*seq)
			t.items = append(t.items, items[j])
		}
	}
	return out
}

func builtinMap(in *interp, c *call) value {
	if len(c.args) < 2 {
		return &seq{open: true}
	}
	items, open := in.iterate(c.args[1])
	out := &seq{open: open}
	for _, item := range items {
		out.items = append(out.items, in.callValue(c.args[0], &call{args: []value{item}}))
	}
	return out
}

func builtinFilter(in *interp, c *call) value {
	if len(c.args) < 2 {
		return &seq{open: true}
	}
	items, open := in.iterate(c.args[1])
	out := &seq{open: open}
	for _, item := range items {
		keep := in.truth(item)
		if !isNone(c.args[0]) {
			keep = in.truth(in.callValue(c.args[0], &call{args: []value{item}}))
		}
		if keep != no {
			out.items = append(out.items, item)
		}
	}
	return out
}

// builtinSorted keeps all items. Where their order can't be told they are as in a
// set: to go through, not to choose from.
func builtinSorted(in *interp, c *call) value {
	v, _ := c.get(0, "iterable")
	items, open := in.iterate(v)
	keys := slices.Clone(items)
	if key := c.or(-1, "key", none{}); !isNone(key) {
		for i, item := range items {
			keys[i] = in.callValue(key, &call{args: []value{item}})
		}
	}
	sign, known := 1, in.truth(c.or(-1, "reverse", false))
	if known == yes {
		sign = -1
	}
	if known == maybe || !sortable(keys) {
		return &seq{kind: setSeq, items: items, open: open}
	}
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return sign * compareKeys(keys[i], keys[j]) })
	sorted := make([]value, len(items))
	for i, from := range order {
		sorted[i] = items[from]
	}
	return &seq{items: sorted, open: open}
}

// sortable says that all keys are texts, or all are whole numbers.
func sortable(keys []value) bool {
	texts, numbers := 0, 0
	for _, key := range keys {
		switch key.(type) {
		case string:
			texts++
		case int64:
			numbers++
		}
	}
	return texts == len(keys) || numbers == len(keys)
}

func compareKeys(a, b value) int {
	if x, ok := a.(int64); ok {
		return cmp.Compare(x, b.(int64))
	}
	return cmp.Compare(a.(string), b.(string))
}

func builtinReversed(in *interp, c *call) value {
	v, _ := c.get(0, "")
	items, open := in.iterate(v)
	out := &seq{open: open}
	for i := len(items) - 1; i >= 0; i-- {
		out.items = append(out.items, items[i])
	}
	return out
}

func toSeq(kind seqKind) func(*interp, *call) value {
	return func(in *interp, c *call) value {
		out := newSeq(kind)
		if v, ok := c.get(0, ""); ok {
			out.items, out.open = in.iterate(v)
		}
		return out
	}
}

func builtinDict(in *interp, c *call) value {
	d := newDict()
	in.dictUpdate(d, c)
	return d
}

func builtinStr(in *interp, c *call) value {
	v, ok := c.get(0, "object")
	if !ok {
		return ""
	}
	return each(v, in.text)
}

func builtinRepr(*interp, *call) value { return partial("a representation", "", "") }

func builtinInt(_ *interp, c *call) value {
	v, _ := c.get(0, "")
	return each(v, func(a value) value {
		switch a := a.(type) {
		case int64:
			return a
		case float64:
			return int64(a)
		case bool:
			if a {
				return int64(1)
			}
			return int64(0)
		case string:
			if n, ok := parseInt(a); ok {
				return n
			}
		case *unknown:
			return &unknown{why: a.why, setting: a.setting}
		}
		return unknownf("a number that is not known")
	})
}

func builtinFloat(in *interp, c *call) value {
	v, _ := c.get(0, "")
	if f, ok := toFloat(v); ok {
		return f
	}
	return unknownf("a number that is not known")
}

func builtinBool(in *interp, c *call) value {
	v, ok := c.get(0, "")
	if !ok {
		return false
	}
	return each(v, func(a value) value { return in.truth(a).value() })
}

func builtinNext(in *interp, c *call) value {
	v, _ := c.get(0, "")
	items, open := in.iterate(v)
	if len(items) > 0 {
		return items[0]
	}
	if !open {
		if d, ok := c.get(1, "default"); ok {
			return d
		}
	}
	return unknownf("the next of a value that is not known")
}

func builtinAny(in *interp, c *call) value {
	v, _ := c.get(0, "")
	items, open := in.iterate(v)
	out := no
	for _, item := range items {
		switch in.truth(item) {
		case yes:
			return true
		case maybe:
			out = maybe
		}
	}
	return sizedMember(open || out == maybe).value()
}

func builtinAll(in *interp, c *call) value {
	v, _ := c.get(0, "")
	items, open := in.iterate(v)
	sure := !open
	for _, item := range items {
		switch in.truth(item) {
		case no:
			return false
		case maybe:
			sure = false
		}
	}
	if sure {
		return true
	}
	return unknownf("a condition that is not known")
}

func builtinSum(in *interp, c *call) value {
	v, _ := c.get(0, "")
	items, open := in.iterate(v)
	start, ok := c.get(1, "start")
	if list, isList := start.(*seq); ok && isList {
		out := &seq{kind: list.kind, items: append([]value(nil), list.items...), open: list.open || open}
		for _, item := range items {
			more, o := in.iterate(item)
			out.items, out.open = append(out.items, more...), out.open || o
		}
		return out
	}
	return unknownf("a sum")
}
