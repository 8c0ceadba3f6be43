package extract

import "github.com/go-python/gpython/ast"

// narrow drops, from the names that a condition speaks of, the alternatives for
// which the condition cannot be what it was found to be.
func (in *interp) narrow(test ast.Expr, want tristate) {
	if test == nil || !simpleTest(test) {
		return
	}
	for _, name := range namesIn(test, nil) {
		v, ok := in.frame().vars.get(name)
		c, isChoice := v.(*choice)
		if !ok || !isChoice {
			continue
		}
		var kept []value
		for _, a := range c.of {
			in.frame().vars.put(name, a)
			if t := in.truth(in.eval(test)); t == want || t == maybe {
				kept = append(kept, a)
			}
		}
		in.frame().vars.put(name, v)
		if len(kept) > 0 && len(kept) < len(c.of) {
			in.assign(in.frame().vars, name, join(kept...))
		}
	}
}

// simpleTest says that evaluating a condition once more does nothing.
func simpleTest(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Name, *ast.NameConstant, *ast.Str, *ast.Num:
		return true
	case *ast.UnaryOp:
		return simpleTest(e.Operand)
	case *ast.BoolOp:
		return allSimple(e.Values)
	case *ast.Compare:
		return simpleTest(e.Left) && allSimple(e.Comparators)
	case *ast.Tuple:
		return allSimple(e.Elts)
	case *ast.Call:
		return isName(e.Func, "isinstance") && allSimple(e.Args)
	}
	return false
}

func allSimple(es []ast.Expr) bool {
	for _, e := range es {
		if !simpleTest(e) {
			return false
		}
	}
	return true
}

func namesIn(e ast.Expr, names []string) []string {
	switch e := e.(type) {
	case *ast.Name:
		return append(names, string(e.Id))
	case *ast.UnaryOp:
		return namesIn(e.Operand, names)
	case *ast.BoolOp:
		for _, v := range e.Values {
			names = namesIn(v, names)
		}
	case *ast.Compare:
		names = namesIn(e.Left, names)
		for _, v := range e.Comparators {
			names = namesIn(v, names)
		}
	case *ast.Call:
		if len(e.Args) > 0 {
			return namesIn(e.Args[0], names)
		}
	}
	return names
}
