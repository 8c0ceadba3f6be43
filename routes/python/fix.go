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
	first int // the statement's first token
	depth int
	limit int
	err   string // why the tree cannot be used
	// the last line looked up, which the next position is mostly on
	line, start, end int
}

// at corrects one position.
func (f *fixer) at(pos *ast.Pos) {
	f.set(pos, f.l.markAt(pos.Lineno, pos.ColOffset))
}

// set gives a position the place of a token; the statement's own where gpython
// knew none.
func (f *fixer) set(pos *ast.Pos, mark int) {
	pos.Lineno, pos.ColOffset = f.lineCol(f.l.marks[max(mark, f.first)].off)
}

// trailing corrects the position of an attribute or a subscript.
func (f *fixer) trailing(pos *ast.Pos) {
	f.set(pos, f.l.primary(f.l.markAt(pos.Lineno, pos.ColOffset)))
}

// parenthesis returns the one that stands before what is called, where it must
// have one: of a call with arguments gpython keeps no position. -1 for none.
func (f *fixer) parenthesis(called ast.Expr) int {
	switch called.(type) {
	case *ast.BoolOp, *ast.BinOp, *ast.UnaryOp, *ast.IfExp, *ast.Lambda, *ast.Compare, *ast.Yield, *ast.YieldFrom:
		mark := f.l.markAt(called.GetLineno(), called.GetColOffset())
		if mark > 0 && f.l.out[f.l.marks[mark-1].out] == '(' {
			return mark - 1
		}
	}
	return -1
}

// arity is how many arguments the calls have that lowering makes.
var arity = map[ast.Identifier]int{Walrus: 2, Star: 1, StarStar: 1}

// marker refuses what looks like a call of lowering and is none, so that those
// who read the tree need not check: `f(**)`, or a program with such a name.
func (f *fixer) marker(call *ast.Call) {
	name, ok := call.Func.(*ast.Name)
	if !ok {
		return
	}
	n, ok := arity[name.Id]
	if !ok {
		return
	}
	if len(call.Args) != n || len(call.Keywords) > 0 {
		f.err = "invalid use of " + string(name.Id)
		return
	}
	if _, isName := call.Args[0].(*ast.Name); name.Id == Walrus && !isName {
		f.err = "invalid use of :="
	}
}

// braced corrects the position of what stands in braces: gpython gives that
// of the first element.
func (f *fixer) braced(pos *ast.Pos) {
	mark := f.l.markAt(pos.Lineno, pos.ColOffset)
	if mark > 0 && f.l.out[f.l.marks[mark].out] != '{' {
		mark--
	}
	f.set(pos, mark)
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
		f.at(&x.Pos)
		f.arguments(x.Args)
		f.expr(x.Returns)
	case *ast.ClassDef:
		f.at(&x.Pos)
		f.exprs(x.Bases)
		f.keywords(x.Keywords)
	case *ast.If:
		f.at(&x.Pos)
		f.expr(x.Test)
	case *ast.While:
		f.at(&x.Pos)
		f.expr(x.Test)
	case *ast.For:
		f.at(&x.Pos)
		f.expr(x.Target)
		f.expr(x.Iter)
	case *ast.With:
		f.at(&x.Pos)
		for _, item := range x.Items {
			f.at(&item.Pos)
			f.expr(item.ContextExpr)
			f.expr(item.OptionalVars)
		}
	case *ast.Try:
		f.at(&x.Pos)
		for _, h := range x.Handlers {
			f.at(&h.Pos)
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
		f.at(&x.Pos)
	case *ast.Assign:
		f.exprs(x.Targets)
		f.expr(x.Value)
		f.at(&x.Pos)
	case *ast.AugAssign:
		f.expr(x.Target)
		f.expr(x.Value)
		f.at(&x.Pos)
	case *ast.Return:
		f.at(&x.Pos)
		f.expr(x.Value)
	case *ast.Delete:
		f.at(&x.Pos)
		f.exprs(x.Targets)
	case *ast.Raise:
		f.at(&x.Pos)
		f.expr(x.Exc)
		f.expr(x.Cause)
	case *ast.Assert:
		f.at(&x.Pos)
		f.expr(x.Test)
		f.expr(x.Msg)
	case *ast.Import:
		f.at(&x.Pos)
		f.aliases(x.Names)
	case *ast.ImportFrom:
		f.at(&x.Pos)
		f.aliases(x.Names)
	case *ast.Global:
		f.at(&x.Pos)
	case *ast.Nonlocal:
		f.at(&x.Pos)
	case *ast.Pass:
		f.at(&x.Pos)
	case *ast.Break:
		f.at(&x.Pos)
	case *ast.Continue:
		f.at(&x.Pos)
	}
}

func (f *fixer) aliases(names []*ast.Alias) {
	for _, a := range names {
		f.at(&a.Pos)
	}
}

func (f *fixer) exprs(list []ast.Expr) {
	for _, e := range list {
		f.expr(e)
	}
}

func (f *fixer) keywords(list []*ast.Keyword) {
	for _, k := range list {
		f.at(&k.Pos)
		f.expr(k.Value)
	}
}

func (f *fixer) arguments(a *ast.Arguments) {
	if a == nil {
		return
	}
	f.at(&a.Pos)
	for _, list := range [][]*ast.Arg{a.Args, a.Kwonlyargs, {a.Vararg, a.Kwarg}} {
		for _, arg := range list {
			if arg != nil {
				f.at(&arg.Pos)
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
		f.err = "expression nested too deeply"
	}
	if f.err == "" {
		f.trailer(e)
	}
	f.depth--
}

// trailer corrects calls, attributes and subscripts, which begin where what
// they are applied to begins.
func (f *fixer) trailer(e ast.Expr) {
	switch x := e.(type) {
	case *ast.Call:
		f.marker(x)
		mark := f.parenthesis(x.Func)
		f.expr(x.Func)
		f.exprs(x.Args)
		f.keywords(x.Keywords)
		x.Lineno, x.ColOffset = x.Func.GetLineno(), x.Func.GetColOffset()
		if mark >= 0 {
			f.set(&x.Pos, mark)
		}
	case *ast.Attribute:
		f.trailing(&x.Pos)
		f.expr(x.Value)
	case *ast.Subscript:
		f.trailing(&x.Pos)
		f.expr(x.Value)
		f.slice(x.Slice)
	default:
		f.atom(e)
	}
}

func (f *fixer) atom(e ast.Expr) {
	switch x := e.(type) {
	case *ast.Name:
		f.at(&x.Pos)
	case *ast.Str:
		f.at(&x.Pos)
		x.S = py.String(f.value(string(x.S)))
	case *ast.Bytes:
		f.at(&x.Pos)
		x.S = py.Bytes(f.value(string(x.S)))
	case *ast.Num:
		f.at(&x.Pos)
	case *ast.NameConstant:
		f.at(&x.Pos)
	case *ast.Ellipsis:
		f.at(&x.Pos)
	case *ast.Tuple:
		f.at(&x.Pos)
		f.exprs(x.Elts)
	case *ast.List:
		f.at(&x.Pos)
		f.exprs(x.Elts)
	case *ast.Set:
		f.braced(&x.Pos)
		f.exprs(x.Elts)
	case *ast.Dict:
		f.braced(&x.Pos)
		f.exprs(x.Keys)
		f.exprs(x.Values)
	case *ast.Starred:
		f.at(&x.Pos)
		f.expr(x.Value)
	default:
		f.operation(e)
	}
}

func (f *fixer) operation(e ast.Expr) {
	switch x := e.(type) {
	case *ast.BoolOp:
		f.at(&x.Pos)
		f.exprs(x.Values)
	case *ast.BinOp:
		f.at(&x.Pos)
		f.expr(x.Left)
		f.expr(x.Right)
	case *ast.UnaryOp:
		f.at(&x.Pos)
		f.expr(x.Operand)
	case *ast.Compare:
		f.at(&x.Pos)
		f.expr(x.Left)
		f.exprs(x.Comparators)
	case *ast.IfExp:
		f.at(&x.Pos)
		f.expr(x.Body)
		f.expr(x.Test)
		f.expr(x.Orelse)
	case *ast.Lambda:
		f.at(&x.Pos)
		f.arguments(x.Args)
		f.expr(x.Body)
	case *ast.Yield:
		f.at(&x.Pos)
		f.expr(x.Value)
	case *ast.YieldFrom:
		f.at(&x.Pos)
		f.expr(x.Value)
	default:
		f.comprehension(e)
	}
}

func (f *fixer) comprehension(e ast.Expr) {
	switch x := e.(type) {
	case *ast.ListComp:
		f.at(&x.Pos)
		f.expr(x.Elt)
		f.comprehensions(x.Generators)
	case *ast.SetComp:
		f.braced(&x.Pos)
		f.expr(x.Elt)
		f.comprehensions(x.Generators)
	case *ast.GeneratorExp:
		f.at(&x.Pos)
		f.expr(x.Elt)
		f.comprehensions(x.Generators)
	case *ast.DictComp:
		f.braced(&x.Pos)
		f.expr(x.Key)
		f.expr(x.Value)
		f.comprehensions(x.Generators)
	}
}

func (f *fixer) slice(s ast.Slicer) {
	switch x := s.(type) {
	case *ast.Index:
		f.at(&x.Pos)
		f.expr(x.Value)
	case *ast.Slice:
		f.at(&x.Pos)
		f.expr(x.Lower)
		f.expr(x.Upper)
		f.expr(x.Step)
	case *ast.ExtSlice:
		f.at(&x.Pos)
		for _, d := range x.Dims {
			f.slice(d)
		}
	}
}
