package extract

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/go-python/gpython/ast"
)

func containsText(s, part string) bool { return strings.Contains(s, part) }

// text is str(v).
func (in *interp) text(v value) value {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case none:
		return "None"
	case *unknown:
		if v.text {
			return v
		}
		return &unknown{why: v.why, text: true, setting: v.setting}
	case *object:
		if p, ok := v.payload.(pathText); ok {
			return string(p)
		}
		for _, name := range []string{"__str__", "__repr__"} {
			if out, ok := in.callMethod(v, name); ok {
				return out
			}
		}
	case *choice:
		return each(v, in.text)
	}
	return partial("the text of a value that is not known", "", "")
}

// concat is a + b of two texts, either perhaps known at one end only.
func concat(a, b value) value {
	x, okA := a.(string)
	y, okB := b.(string)
	u, partA := a.(*unknown)
	w, partB := b.(*unknown)
	if e, ok := a.(*external); ok && okB {
		u, partA = partial(e.path+" is not known", "", ""), true
	}
	if e, ok := b.(*external); ok && okA {
		w, partB = partial(e.path+" is not known", "", ""), true
	}
	switch {
	case okA && okB && len(x)+len(y) > maxText:
		return tooLong(x)
	case okA && okB:
		return x + y
	case okA && partB:
		return &unknown{why: w.why, text: true, head: begin(begin(x) + w.head), tail: w.tail, setting: w.setting}
	case partA && okB:
		return &unknown{why: u.why, text: true, head: u.head, tail: end(u.tail + end(y)), setting: u.setting}
	case partA && partB:
		return &unknown{why: u.why, text: true, head: u.head, tail: w.tail, setting: firstSet(u.setting, w.setting)}
	}
	return unknownf("a sum of values that are not text")
}

// tooLong is a text that is not computed, as it is longer than maxText; start is
// known to begin it.
func tooLong(start string) value {
	return partial("a text that grows too long", start[:min(len(start), 200)], "")
}

// maxEnd bounds what is kept of the known ends of a text that is not known.
const maxEnd = 4096

// begin and end are what is kept of a text's first and last bytes.
func begin(s string) string { return s[:min(len(s), maxEnd)] }
func end(s string) string   { return s[max(0, len(s)-maxEnd):] }

func firstSet(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// binary is a op b.
func (in *interp) binary(op ast.OperatorNumber, a, b value) value {
	return pairs(a, b, func(x, y value) value { return in.binaryOne(op, x, y) })
}

func (in *interp) binaryOne(op ast.OperatorNumber, a, b value) value {
	if m, ok := operators[op]; ok {
		if o, isObject := a.(*object); isObject {
			if p, isPath := o.payload.(pathText); isPath && op == ast.Div {
				return in.joinPath(o.class, p, b)
			}
			if v, ok := in.callMethod(o, m, b); ok {
				return v
			}
		}
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return arithmetic(op, x, y)
		}
	case *seq:
		return addSeq(op, x, b)
	case *dict:
		if y, ok := b.(*dict); ok && op == ast.BitOr {
			out := x.copy()
			out.update(y)
			return out
		}
	}
	switch op {
	case ast.Add:
		if isText(a) || isText(b) {
			return concat(a, b)
		}
	case ast.Modulo:
		if isText(a) {
			return in.percent(a, b)
		}
	case ast.Mult:
		if s, ok := a.(string); ok {
			if n, ok := b.(int64); ok && repeats(len(s), n, maxText) {
				return strings.Repeat(s, int(n))
			}
		}
	}
	return unknownf("an operator on a value that is not known")
}

// maxText bounds the length of strings that are computed.
const maxText = 1 << 16

// maxItems bounds the length of lists that are computed.
const maxItems = 50_000

// operators are the methods that objects may define for them.
var operators = map[ast.OperatorNumber]string{
	ast.Add: "__add__", ast.Div: "__truediv__", ast.Modulo: "__mod__", ast.BitOr: "__or__", ast.Mult: "__mul__",
}

func isText(v value) bool {
	switch v := v.(type) {
	case string:
		return true
	case *unknown:
		return v.text
	}
	return false
}

// arithmetic is Python's, as long as it fits in 64 bits.
func arithmetic(op ast.OperatorNumber, x, y int64) value {
	exact := new(big.Int)
	a, b := big.NewInt(x), big.NewInt(y)
	switch {
	case op == ast.Add:
		exact.Add(a, b)
	case op == ast.Sub:
		exact.Sub(a, b)
	case op == ast.Mult:
		exact.Mul(a, b)
	case op == ast.FloorDiv && y != 0: // towards minus infinity
		remainder := new(big.Int)
		if exact.QuoRem(a, b, remainder); remainder.Sign() != 0 && remainder.Sign() != b.Sign() {
			exact.Sub(exact, big.NewInt(1))
		}
	case op == ast.Modulo && y != 0: // of the divisor's sign
		if exact.Rem(a, b); exact.Sign() != 0 && exact.Sign() != b.Sign() {
			exact.Add(exact, b)
		}
	default:
		return unknownf("arithmetic")
	}
	if !exact.IsInt64() {
		return unknownf("a number of more than 64 bits")
	}
	return exact.Int64()
}

// repeats says whether n times a length is at most limit, and n no more either:
// also n times nothing takes its time.
func repeats(length int, n int64, limit int) bool {
	return n >= 0 && n <= int64(limit) && int(n)*length <= limit
}

func addSeq(op ast.OperatorNumber, x *seq, b value) value {
	y, ok := b.(*seq)
	if op == ast.Add || op == ast.BitOr {
		out := &seq{kind: x.kind, items: append([]value(nil), x.items...), open: x.open || !ok}
		if ok && len(x.items)+len(y.items) > maxItems {
			out.open = true
			return out
		}
		if ok {
			out.items = append(out.items, y.items...)
			out.open = out.open || y.open
		}
		return out
	}
	if n, isInt := b.(int64); isInt && op == ast.Mult && repeats(len(x.items), n, maxItems) {
		out := &seq{kind: x.kind, open: x.open}
		for range n {
			out.items = append(out.items, x.items...)
		}
		return out
	}
	return &seq{kind: x.kind, items: x.items, open: true}
}

// percent is format % args.
func (in *interp) percent(format, args value) value {
	f, ok := format.(string)
	if !ok {
		u := format.(*unknown)
		return &unknown{why: u.why, text: true, head: beforeByte(u.head, '%'), setting: u.setting}
	}
	next := 0
	items := []value{args}
	if t, ok := args.(*seq); ok && t.kind == tupleSeq {
		items = t.items
	}
	var out value = ""
	for {
		i := strings.IndexByte(f, '%')
		if i < 0 || i+1 >= len(f) {
			return concat(out, f)
		}
		out = pairs(out, f[:i], concat)
		var part value
		part, f = in.directive(f[i+1:], args, items, &next)
		out = pairs(out, part, concat)
	}
}

// directive is what one % directive stands for, and what follows it.
func (in *interp) directive(f string, args value, items []value, next *int) (value, string) {
	if f[0] == '%' {
		return "%", f[1:]
	}
	var v value
	if f[0] == '(' {
		end := strings.IndexByte(f, ')')
		if end < 0 || end+1 >= len(f) {
			return partial("a format that is not read", "", ""), ""
		}
		if d, ok := args.(*dict); ok {
			v, _ = d.get(f[1:end])
		}
		f = f[end+1:]
	} else if *next < len(items) {
		v = items[*next]
		*next++
	}
	if v == nil || (f[0] != 's' && f[0] != 'd') {
		cut := strings.IndexAny(f, "sdifrxXgeEFGoc")
		return partial("a formatted value", "", ""), f[cut+1:]
	}
	return each(v, in.text), f[1:]
}

func beforeByte(s string, b byte) string {
	if i := strings.IndexByte(s, b); i >= 0 {
		return s[:i]
	}
	return s
}

// format is "...".format(...).
func (in *interp) format(f string, c *call) value {
	var out value = ""
	next := 0
	for {
		i := strings.IndexAny(f, "{}")
		if i < 0 {
			return pairs(out, f, concat)
		}
		out = pairs(out, f[:i], concat)
		if i+1 < len(f) && f[i+1] == f[i] {
			out = pairs(out, f[i:i+1], concat)
			f = f[i+2:]
			continue
		}
		end := strings.IndexByte(f[i:], '}')
		if f[i] == '}' || end < 0 {
			return pairs(out, partial("a format that is not read", "", ""), concat)
		}
		out = pairs(out, in.field(f[i+1:i+end], c, &next), concat)
		f = f[i+end+1:]
	}
}

// field is one {...} of a format.
func (in *interp) field(name string, c *call, next *int) value {
	if strings.ContainsAny(name, ":![") {
		return partial("a formatted value", "", "")
	}
	path := strings.Split(name, ".")
	var v value
	ok := false
	if n, err := strconv.Atoi(path[0]); err == nil {
		v, ok = c.get(n, "")
	} else if path[0] == "" {
		v, ok = c.get(*next, "")
		*next++
	} else {
		v, ok = c.get(-1, path[0])
	}
	if !ok {
		return partial("a formatted value", "", "")
	}
	for _, attr := range path[1:] {
		v = each(v, func(a value) value { return in.getAttr(a, attr) })
	}
	return each(v, in.text)
}
