package extract

import (
	"math"

	"github.com/go-python/gpython/ast"
	"github.com/go-python/gpython/py"

	"github.com/flask2ban/flask2ban/routes/python"
)

// maxEvalDepth bounds the nesting of expressions and calls.
const maxEvalDepth = 20_000

func (in *interp) eval(e ast.Expr) value {
	if e == nil {
		return none{}
	}
	in.depth++
	defer func() { in.depth-- }()
	if !in.step() || in.depth > maxEvalDepth {
		return unknownf("an expression too large to follow")
	}
	switch e := e.(type) {
	case *ast.Str:
		return string(e.S)
	case *ast.Bytes:
		return rawBytes(e.S)
	case *ast.Num:
		return number(e.N)
	case *ast.NameConstant:
		return constant(e.Value)
	case *ast.Name:
		return in.evalName(string(e.Id))
	case *ast.Attribute:
		return in.evalAttribute(e)
	case *ast.Call:
		return in.evalCall(e)
	case *ast.Subscript:
		return in.evalSubscript(e)
	case *ast.BinOp:
		return in.binary(e.Op, in.eval(e.Left), in.eval(e.Right))
	case *ast.BoolOp:
		return in.evalBoolOp(e)
	case *ast.UnaryOp:
		return in.evalUnary(e)
	case *ast.Compare:
		return in.evalCompare(e)
	case *ast.IfExp:
		return in.evalIfExp(e)
	case *ast.Lambda:
		return in.makeFunction("<lambda>", e.Args, nil, e.Body)
	}
	return in.evalCollection(e)
}

func (in *interp) evalCollection(e ast.Expr) value {
	switch e := e.(type) {
	case *ast.List:
		return in.evalSeq(listSeq, e.Elts)
	case *ast.Tuple:
		return in.evalSeq(tupleSeq, e.Elts)
	case *ast.Set:
		return in.evalSeq(setSeq, e.Elts)
	case *ast.Dict:
		return in.evalDict(e)
	case *ast.ListComp:
		return in.evalComp(listSeq, e.Elt, e.Generators)
	case *ast.SetComp:
		return in.evalComp(setSeq, e.Elt, e.Generators)
	case *ast.GeneratorExp:
		return in.evalComp(listSeq, e.Elt, e.Generators)
	case *ast.DictComp:
		return in.evalDictComp(e)
	case *ast.Starred:
		return in.eval(e.Value)
	case *ast.Yield:
		return in.evalYield(e)
	case *ast.YieldFrom:
		f := in.frame()
		items, open := in.iterate(in.eval(e.Value))
		f.yields = append(f.yields, items...)
		if open {
			f.yields = append(f.yields, unknownf("a generator that is not known"))
		}
		return none{}
	}
	return unknownf("an expression that is not read")
}

func (in *interp) evalYield(e *ast.Yield) value {
	var v value = none{}
	if e.Value != nil {
		v = in.eval(e.Value)
	}
	f := in.frame()
	f.yields = append(f.yields, v)
	return unknownf("what is sent to a generator")
}

func number(n py.Object) value {
	switch n := n.(type) {
	case py.Int:
		return int64(n)
	case py.Float:
		return float64(n)
	}
	return unknownf("a number")
}

func constant(v py.Object) value {
	switch v {
	case py.True:
		return true
	case py.False:
		return false
	}
	return none{}
}

func (in *interp) evalName(name string) value {
	f := in.frame()
	if v, ok := f.vars.get(name); ok && !f.globals[name] {
		return v
	}
	if f.globals[name] {
		if v, ok := f.module.vars.get(name); ok {
			return v
		}
	} else if v, ok := f.vars.parent.lookup(name); ok {
		return v
	}
	if name == python.Unknown {
		return unknownf("a formatted value")
	}
	if v, ok := in.builtins[name]; ok {
		return v
	}
	if isException(name) {
		return &external{path: "builtins." + name}
	}
	return unknownf("the name " + name + " is not known")
}

func (in *interp) evalAttribute(e *ast.Attribute) value {
	on := in.eval(e.Value)
	if c, ok := on.(*choice); ok {
		on = withoutNone(c)
	}
	return each(on, func(o value) value { return in.getAttr(o, string(e.Attr)) })
}

// withoutNone drops None, of which no attribute is ever read.
func withoutNone(c *choice) value {
	var kept []value
	for _, a := range c.of {
		if !isNone(a) {
			kept = append(kept, a)
		}
	}
	return join(kept...)
}

func (in *interp) evalSeq(kind seqKind, elts []ast.Expr) value {
	out := newSeq(kind)
	for _, e := range elts {
		if star, ok := starred(e); ok {
			items, open := in.iterate(in.eval(star))
			out.items = append(out.items, items...)
			out.open = out.open || open
			continue
		}
		out.items = append(out.items, in.eval(e))
	}
	return out
}

// starred is the expression behind * in a display, also where the parser could
// only write it as a marker call.
func starred(e ast.Expr) (ast.Expr, bool) {
	switch e := e.(type) {
	case *ast.Starred:
		return e.Value, true
	case *ast.Call:
		if n, ok := e.Func.(*ast.Name); ok && string(n.Id) == python.Star && len(e.Args) == 1 {
			return e.Args[0], true
		}
	}
	return nil, false
}

func (in *interp) evalDict(e *ast.Dict) value {
	d := newDict()
	for i, k := range e.Keys {
		if k == nil || isName(k, python.StarStar) {
			in.spread(d, in.eval(e.Values[i]))
			continue
		}
		key := in.eval(k)
		in.setKey(d, key, in.eval(e.Values[i]), hashable(key))
	}
	return d
}

func isName(e ast.Expr, name string) bool {
	n, ok := e.(*ast.Name)
	return ok && string(n.Id) == name
}

// spread is ** in a display.
func (in *interp) spread(d *dict, v value) {
	if more, ok := v.(*dict); ok {
		d.update(more)
		return
	}
	d.open = true
}

func hashable(v value) bool {
	return !opaqueValue(v)
}

func (in *interp) evalBoolOp(e *ast.BoolOp) value {
	var maybes []value
	for i, x := range e.Values {
		v := in.eval(x)
		last := i == len(e.Values)-1
		var pass []value
		for _, a := range alternatives(v) {
			t := in.truth(a)
			decides := (t == yes) == (e.Op == ast.Or) && t != maybe
			switch {
			case last || decides || t == maybe:
				maybes = append(maybes, a)
				if !decides && !last {
					pass = append(pass, a)
				}
			default:
				pass = append(pass, a)
			}
		}
		if len(pass) == 0 {
			break
		}
	}
	return join(maybes...)
}

func (in *interp) evalIfExp(e *ast.IfExp) value {
	t, soft := in.soft(in.eval(e.Test))
	soft = soft || in.isSetting(e.Test)
	first, second := e.Body, e.Orelse
	if t == no {
		first, second = second, first
	}
	v := in.evalUnder(e.Test, first, first == e.Body)
	if t != maybe && !soft {
		return v
	}
	other := in.evalUnder(e.Test, second, second == e.Body)
	if t != maybe && !plausible(other) {
		return v
	}
	return join(v, other)
}

// evalUnder evaluates e where a condition holds or does not.
func (in *interp) evalUnder(test, e ast.Expr, holds bool) value {
	if !simpleTest(test) {
		return in.eval(e)
	}
	var v value
	in.branch(func() flow {
		in.narrow(test, tri(holds))
		v = in.eval(e)
		return flowNext
	})
	return v
}

func (in *interp) evalUnary(e *ast.UnaryOp) value {
	v := in.eval(e.Operand)
	if e.Op == ast.Not {
		return each(v, func(a value) value {
			if u, ok := a.(*unknown); ok && u.setting != "" && in.truth(a) == maybe {
				return u
			}
			return in.truth(a).not()
		})
	}
	return each(v, func(a value) value {
		n, isInt := a.(int64)
		x, isFloat := a.(float64)
		switch {
		case isInt && e.Op == ast.USub && n != math.MinInt64:
			return -n
		case isInt && e.Op == ast.Invert:
			return ^n
		case isFloat && e.Op == ast.USub:
			return -x
		case (isInt || isFloat) && e.Op == ast.UAdd:
			return a
		}
		return unknownf("an operator on a value that is not known")
	})
}

func (in *interp) evalSubscript(e *ast.Subscript) value {
	on := in.eval(e.Value)
	key, ok := in.subscriptKey(e.Slice)
	if !ok {
		return each(on, func(o value) value { return in.slice(o, e.Slice) })
	}
	return pairs(on, key, in.item)
}

// subscriptKey is the index; not ok for a slice.
func (in *interp) subscriptKey(s ast.Slicer) (value, bool) {
	ix, ok := s.(*ast.Index)
	if !ok {
		return nil, false
	}
	return in.eval(ix.Value), true
}
