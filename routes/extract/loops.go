package extract

import (
	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

func (in *interp) execFor(s *python.Stmt) flow {
	n, ok := s.Node.(*ast.For)
	if !ok {
		in.opaque(s)
		return in.perhaps(s.Body)
	}
	items, open := in.iterate(in.eval(n.Iter))
	names := targetNames(n.Target, nil)
	in.loop(names, 1)
	defer in.loop(names, -1)
	for _, item := range items {
		in.frame().line = s.Line
		in.bind(n.Target, item)
		switch f := in.execAll(s.Body); f {
		case flowBreak:
			return flowNext
		case flowReturn, flowRaise, flowStop:
			return f
		}
	}
	if open {
		in.bind(n.Target, unknownf("a loop over a value that is not known"))
		if f := in.perhaps(s.Body); f != flowNext {
			return f
		}
	}
	return in.execElse(s)
}

// loop marks the names that a loop binds as no setting of the module.
func (in *interp) loop(names []string, by int) {
	f := in.frame()
	if f.loops == nil {
		f.loops = map[string]int{}
	}
	for _, n := range names {
		f.loops[n] += by
	}
}

func targetNames(t ast.Expr, names []string) []string {
	switch t := t.(type) {
	case *ast.Name:
		return append(names, string(t.Id))
	case *ast.Tuple:
		for _, e := range t.Elts {
			names = targetNames(e, names)
		}
	case *ast.List:
		for _, e := range t.Elts {
			names = targetNames(e, names)
		}
	case *ast.Starred:
		return targetNames(t.Value, names)
	}
	return names
}

// perhaps runs a body that may run any number of times.
func (in *interp) perhaps(body []*python.Stmt) flow {
	o := in.branch(func() flow { return in.execAll(body) })
	in.merge(in.frame().vars, []outcome{o, {}})
	if o.flow == flowStop {
		return flowStop
	}
	return flowNext
}

func (in *interp) execElse(s *python.Stmt) flow {
	for _, c := range s.Clauses {
		if c.Keyword == "else" {
			return in.execAll(c.Body)
		}
	}
	return flowNext
}

// maxWhile bounds the rounds of a while whose condition is known.
const maxWhile = 1000

func (in *interp) execWhile(s *python.Stmt) flow {
	n, ok := s.Node.(*ast.While)
	if !ok {
		in.opaque(s)
		return in.perhaps(s.Body)
	}
	for range maxWhile {
		switch in.truth(in.eval(n.Test)) {
		case no:
			return in.execElse(s)
		case maybe:
			return in.perhaps(s.Body)
		}
		if _, endless := n.Test.(*ast.NameConstant); endless {
			return in.perhaps(s.Body)
		}
		switch f := in.execAll(s.Body); f {
		case flowBreak:
			return flowNext
		case flowReturn, flowRaise, flowStop:
			return f
		}
	}
	return flowNext
}
