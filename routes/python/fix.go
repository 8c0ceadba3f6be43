package python

import (
	"strconv"

	"github.com/go-python/gpython/ast"
	"github.com/go-python/gpython/py"
)

// fixer turns gpython's positions in the lowered text into the file's, puts
// string values in, and gives nodes the positions that gpython leaves out.
type fixer struct {
	l     *lowerer
	depth int
	limit int
	deep  bool
	// the last line looked up, which the next position is mostly on
	line, start, end int
}

// at corrects one position. fallback is taken where gpython has none.
func (f *fixer) at(pos *ast.Pos, fallback ast.Expr) {
	if pos.Lineno == 0 && fallback != nil {
		pos.Lineno, pos.ColOffset = fallback.GetLineno(), fallback.GetColOffset()
		return
	}
	off := f.l.origin(pos.Lineno, pos.ColOffset)
	if off < 0 {
		off = f.l.marks[0].off
	}
	pos.Lineno, pos.ColOffset = f.lineCol(off)
}

func (f *fixer) lineCol(off int) (int, int) {
	if off < f.start || off >= f.end {
		f.line, f.start = f.l.src.line(off)
		f.end = len(f.l.src.text) + 1
		if f.line < len(f.l.src.starts) {
			f.end = f.l.src.starts[f.line]
		}
	}
	return f.line, off - f.start
}

func (f *fixer) stmt(s ast.Stmt) {
	switch x := s.(type) {
	case *ast.FunctionDef:
		f.at(&x.Pos, nil)
		f.arguments(x.Args)
		f.expr(x.Returns)
	case *ast.ClassDef:
		f.at(&x.Pos, nil)
		f.exprs(x.Bases)
		f.keywords(x.Keywords)
	case *ast.If:
		f.at(&x.Pos, nil)
		f.expr(x.Test)
	case *ast.While:
		f.at(&x.Pos, nil)
		f.expr(x.Test)
	case *ast.For:
		f.at(&x.Pos, nil)
		f.expr(x.Target)
		f.expr(x.Iter)
	case *ast.With:
		f.at(&x.Pos, nil)
		for _, item := range x.Items {
			f.at(&item.Pos, nil)
			f.expr(item.ContextExpr)
			f.expr(item.OptionalVars)
		}
	case *ast.Try:
		f.at(&x.Pos, nil)
		for _, h := range x.Handlers {
			f.at(&h.Pos, nil)
			f.expr(h.ExprType)
		}
	default:
		f.simple(s)
	}
}

func (f *fixer) simple(s ast.Stmt) {
	switch x := s.(type) {
	case *ast.ExprStmt:
		f.expr(x.Value)
		f.at(&x.Pos, nil)
	case *ast.Assign:
		f.exprs(x.Targets)
		f.expr(x.Value)
		f.at(&x.Pos, nil)
	case *ast.AugAssign:
		f.expr(x.Target)
		f.expr(x.Value)
		f.at(&x.Pos, nil)
	case *ast.Return:
		f.at(&x.Pos, nil)
		f.expr(x.Value)
	case *ast.Delete:
		f.at(&x.Pos, nil)
		f.exprs(x.Targets)
	case *ast.Raise:
		f.at(&x.Pos, nil)
		f.expr(x.Exc)
		f.expr(x.Cause)
	case *ast.Assert:
		f.at(&x.Pos, nil)
		f.expr(x.Test)
		f.expr(x.Msg)
	case *ast.Import:
		f.at(&x.Pos, nil)
		f.aliases(x.Names)
	case *ast.ImportFrom:
		f.at(&x.Pos, nil)
		f.aliases(x.Names)
	case *ast.Global:
		f.at(&x.Pos, nil)
	case *ast.Nonlocal:
		f.at(&x.Pos, nil)
	case *ast.Pass:
		f.at(&x.Pos, nil)
	case *ast.Break:
		f.at(&x.Pos, nil)
	case *ast.Continue:
		f.at(&x.Pos, nil)
	}
}

func (f *fixer) aliases(names []*ast.Alias) {
	for _, a := range names {
		f.at(&a.Pos, nil)
	}
}

func (f *fixer) exprs(list []ast.Expr) {
	for _, e := range list {
		f.expr(e)
	}
}

func (f *fixer) keywords(list []*ast.Keyword) {
	for _, k := range list {
		f.at(&k.Pos, nil)
		f.expr(k.Value)
	}
}

func (f *fixer) arguments(a *ast.Arguments) {
	if a == nil {
		return
	}
	f.at(&a.Pos, nil)
	for _, list := range [][]*ast.Arg{a.Args, a.Kwonlyargs, {a.Vararg, a.Kwarg}} {
		for _, arg := range list {
			if arg != nil {
				f.at(&arg.Pos, nil)
				f.expr(arg.Annotation)
			}
		}
	}
	f.exprs(a.Defaults)
	for i, d := range a.KwDefaults {
		if name, ok := d.(*ast.Name); ok && name.Id == required {
			a.KwDefaults[i] = nil
			continue
		}
		f.expr(d)
	}
}

func (f *fixer) comprehensions(list []ast.Comprehension) {
	for _, c := range list {
		f.expr(c.Target)
		f.expr(c.Iter)
		f.exprs(c.Ifs)
	}
}

// value takes the string that an index in a literal stands for.
func (f *fixer) value(index string) string {
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(f.l.values) {
		return ""
	}
	return f.l.values[i]
}

func (f *fixer) expr(e ast.Expr) {
	if e == nil {
		return
	}
	if f.depth++; f.depth > f.limit {
		f.deep = true
	}
	if !f.deep {
		f.trailer(e)
	}
	f.depth--
}

// trailer corrects calls, attributes and subscripts, which begin where what
// they are applied to begins.
func (f *fixer) trailer(e ast.Expr) {
	switch x := e.(type) {
	case *ast.Call:
		f.expr(x.Func)
		f.exprs(x.Args)
		f.keywords(x.Keywords)
		x.Pos = ast.Pos{}
		f.at(&x.Pos, x.Func)
	case *ast.Attribute:
		f.expr(x.Value)
		x.Pos = ast.Pos{}
		f.at(&x.Pos, x.Value)
	case *ast.Subscript:
		f.expr(x.Value)
		f.slice(x.Slice)
		x.Pos = ast.Pos{}
		f.at(&x.Pos, x.Value)
	default:
		f.atom(e)
	}
}

func (f *fixer) atom(e ast.Expr) {
	switch x := e.(type) {
	case *ast.Name:
		f.at(&x.Pos, nil)
	case *ast.Str:
		f.at(&x.Pos, nil)
		x.S = py.String(f.value(string(x.S)))
	case *ast.Bytes:
		f.at(&x.Pos, nil)
		x.S = py.Bytes(f.value(string(x.S)))
	case *ast.Num:
		f.at(&x.Pos, nil)
	case *ast.NameConstant:
		f.at(&x.Pos, nil)
	case *ast.Ellipsis:
		f.at(&x.Pos, nil)
	case *ast.Tuple:
		f.at(&x.Pos, nil)
		f.exprs(x.Elts)
	case *ast.List:
		f.at(&x.Pos, nil)
		f.exprs(x.Elts)
	case *ast.Set:
		f.at(&x.Pos, nil)
		f.exprs(x.Elts)
	case *ast.Dict:
		f.at(&x.Pos, nil)
		f.exprs(x.Keys)
		f.exprs(x.Values)
	case *ast.Starred:
		f.at(&x.Pos, nil)
		f.expr(x.Value)
	default:
		f.operation(e)
	}
}

func (f *fixer) operation(e ast.Expr) {
	switch x := e.(type) {
	case *ast.BoolOp:
		f.at(&x.Pos, nil)
		f.exprs(x.Values)
	case *ast.BinOp:
		f.at(&x.Pos, nil)
		f.expr(x.Left)
		f.expr(x.Right)
	case *ast.UnaryOp:
		f.at(&x.Pos, nil)
		f.expr(x.Operand)
	case *ast.Compare:
		f.at(&x.Pos, nil)
		f.expr(x.Left)
		f.exprs(x.Comparators)
	case *ast.IfExp:
		f.at(&x.Pos, nil)
		f.expr(x.Body)
		f.expr(x.Test)
		f.expr(x.Orelse)
	case *ast.Lambda:
		f.at(&x.Pos, nil)
		f.arguments(x.Args)
		f.expr(x.Body)
	case *ast.Yield:
		f.at(&x.Pos, nil)
		f.expr(x.Value)
	case *ast.YieldFrom:
		f.at(&x.Pos, nil)
		f.expr(x.Value)
	default:
		f.comprehension(e)
	}
}

func (f *fixer) comprehension(e ast.Expr) {
	switch x := e.(type) {
	case *ast.ListComp:
		f.at(&x.Pos, nil)
		f.expr(x.Elt)
		f.comprehensions(x.Generators)
	case *ast.SetComp:
		f.at(&x.Pos, nil)
		f.expr(x.Elt)
		f.comprehensions(x.Generators)
	case *ast.GeneratorExp:
		f.at(&x.Pos, nil)
		f.expr(x.Elt)
		f.comprehensions(x.Generators)
	case *ast.DictComp:
		f.at(&x.Pos, nil)
		f.expr(x.Key)
		f.expr(x.Value)
		f.comprehensions(x.Generators)
	}
}

func (f *fixer) slice(s ast.Slicer) {
	switch x := s.(type) {
	case *ast.Index:
		f.at(&x.Pos, nil)
		f.expr(x.Value)
	case *ast.Slice:
		f.at(&x.Pos, nil)
		f.expr(x.Lower)
		f.expr(x.Upper)
		f.expr(x.Step)
	case *ast.ExtSlice:
		f.at(&x.Pos, nil)
		for _, d := range x.Dims {
			f.slice(d)
		}
	}
}
