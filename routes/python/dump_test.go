package python

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/go-python/gpython/ast"
	"github.com/go-python/gpython/py"
)

// dumper writes a module in the canonical form that testdata/canon.py writes
// of CPython's tree: one line a statement, its line and keyword first.
type dumper struct {
	b        strings.Builder
	opaque   int
	inString bool // f-strings' inner positions differ between CPythons
}

func dump(m *Module) string {
	d := &dumper{}
	d.list(m.Body, 0)
	return d.b.String()
}

func (d *dumper) list(list []*Stmt, indent int) {
	for _, s := range list {
		d.stmt(s, indent)
	}
}

func (d *dumper) stmt(s *Stmt, indent int) {
	pad := strings.Repeat(" ", indent)
	for _, dec := range s.Decorators {
		fmt.Fprintf(&d.b, "%s%d @ %s\n", pad, dec.Line, d.expr(dec.Expr))
	}
	text := ""
	switch {
	case s.Opaque != "":
		d.opaque++
		text = "OPAQUE " + s.Opaque + ": " + s.Text
	case s.Node != nil:
		text = d.header(s.Node)
	}
	line := fmt.Sprint(s.Line)
	if s.Keyword == "else" || s.Keyword == "finally" || s.Keyword == "case" {
		line = "-" // not in CPython's tree
	}
	fmt.Fprintln(&d.b, strings.TrimRight(fmt.Sprintf("%s%s %s %s", pad, line, s.Keyword, text), " "))
	d.list(s.Body, indent+1)
	d.list(s.Clauses, indent)
}

func (d *dumper) header(n ast.Stmt) string {
	switch x := n.(type) {
	case *ast.ExprStmt:
		return d.expr(x.Value)
	case *ast.Assign:
		return d.node("assign", d.exprs(x.Targets), d.expr(x.Value))
	case *ast.AugAssign:
		return d.node("aug", fmt.Sprint(x.Op), d.expr(x.Target), d.expr(x.Value))
	case *ast.Return:
		return d.node("return", d.expr(x.Value))
	case *ast.Delete:
		return d.node("del", d.exprs(x.Targets))
	case *ast.Raise:
		return d.node("raise", d.expr(x.Exc), d.expr(x.Cause))
	case *ast.Assert:
		return d.node("assert", d.expr(x.Test), d.expr(x.Msg))
	case *ast.Import:
		return d.node("import", aliases(x.Names))
	case *ast.ImportFrom:
		return d.node("from", fmt.Sprint(x.Level), string(x.Module), aliases(x.Names))
	case *ast.Global:
		return d.node("global", fmt.Sprint(x.Names))
	case *ast.Nonlocal:
		return d.node("nonlocal", fmt.Sprint(x.Names))
	case *ast.If:
		return d.expr(x.Test)
	case *ast.While:
		return d.expr(x.Test)
	case *ast.For:
		return d.node("for", d.expr(x.Target), d.expr(x.Iter))
	case *ast.With:
		var items []string
		for _, i := range x.Items {
			items = append(items, d.expr(i.ContextExpr)+" as "+d.expr(i.OptionalVars))
		}
		return d.node("with", items...)
	case *ast.Try:
		h := x.Handlers[0]
		return d.node("except", d.expr(h.ExprType), string(h.Name))
	case *ast.FunctionDef:
		return d.node("def", string(x.Name), d.arguments(x.Args), d.expr(x.Returns))
	case *ast.ClassDef:
		return d.node("class", string(x.Name), d.args(x.Bases, x.Keywords))
	}
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", n), "*ast."))
}

func (d *dumper) node(name string, parts ...string) string {
	return "(" + strings.Join(append([]string{name}, parts...), " ") + ")"
}

func aliases(list []*ast.Alias) string {
	var out []string
	for _, a := range list {
		out = append(out, string(a.Name)+":"+string(a.AsName))
	}
	return strings.Join(out, ",")
}

func (d *dumper) exprs(list []ast.Expr) string {
	var out []string
	for _, e := range list {
		out = append(out, d.expr(e))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// args writes arguments: positional, then keywords, then ** ones.
func (d *dumper) args(args []ast.Expr, keywords []*ast.Keyword) string {
	var out, stars []string
	for _, a := range args {
		if c, ok := a.(*ast.Call); ok {
			if n, ok := c.Func.(*ast.Name); ok && n.Id == StarStar {
				stars = append(stars, "**"+d.expr(c.Args[0]))
				continue
			}
		}
		out = append(out, d.expr(a))
	}
	for _, k := range keywords {
		out = append(out, string(k.Arg)+"="+d.expr(k.Value))
	}
	return "[" + strings.Join(append(out, stars...), " ") + "]"
}

func (d *dumper) arguments(a *ast.Arguments) string {
	arg := func(a *ast.Arg) string {
		if a == nil {
			return "-"
		}
		return string(a.Arg) + ":" + d.expr(a.Annotation)
	}
	var args, kw []string
	for _, x := range a.Args {
		args = append(args, arg(x))
	}
	for _, x := range a.Kwonlyargs {
		kw = append(kw, arg(x))
	}
	return d.node("args", fmt.Sprint(args), d.exprs(a.Defaults), arg(a.Vararg), fmt.Sprint(kw), d.exprs(a.KwDefaults), arg(a.Kwarg))
}

// quote writes a string with everything but printable ASCII escaped.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, "\\{%x}", r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func number(o py.Object) string {
	switch x := o.(type) {
	case py.Float:
		return fmt.Sprintf("%016x", math.Float64bits(float64(x)))
	case py.Complex:
		return fmt.Sprintf("j%016x", math.Float64bits(imag(complex128(x))))
	case py.Int:
		return fmt.Sprint(int64(x))
	case *py.BigInt:
		return (*big.Int)(x).String()
	}
	return fmt.Sprintf("%T", o)
}

func (d *dumper) expr(e ast.Expr) string {
	if e == nil {
		return "-"
	}
	at := fmt.Sprintf("@%d", e.GetLineno())
	if d.inString {
		at = ""
	}
	switch x := e.(type) {
	case *ast.Call:
		if n, ok := x.Func.(*ast.Name); ok && (n.Id == FString || n.Id == TString) && !d.inString {
			d.inString = true
			defer func() { d.inString = false }()
		}
		if n, ok := x.Func.(*ast.Name); ok && strings.HasPrefix(string(n.Id), "__") && strings.HasSuffix(string(n.Id), "__") {
			at = ""
		}
		return d.node("call"+at, d.expr(x.Func), d.args(x.Args, x.Keywords))
	case *ast.Attribute:
		return d.node("attr"+at, d.expr(x.Value), string(x.Attr))
	case *ast.Subscript:
		return d.node("sub"+at, d.expr(x.Value), d.slice(x.Slice))
	case *ast.Name:
		if strings.HasPrefix(string(x.Id), "__") {
			return string(x.Id)
		}
		return string(x.Id) + at
	case *ast.Str:
		if !utf8.ValidString(string(x.S)) {
			return "INVALID UTF-8"
		}
		return quote(string(x.S)) + at
	case *ast.Bytes:
		return fmt.Sprintf("b%x", []byte(x.S))
	case *ast.Num:
		return "#" + number(x.N)
	case *ast.NameConstant:
		return map[py.Object]string{py.None: "None", py.True: "true", py.False: "false"}[x.Value]
	case *ast.Ellipsis:
		return "..."
	case *ast.Tuple:
		return d.node("tuple", d.exprs(x.Elts))
	case *ast.List:
		return d.node("list", d.exprs(x.Elts))
	case *ast.Set:
		return d.node("set", d.exprs(x.Elts))
	case *ast.Dict:
		return d.node("dict", d.exprs(x.Keys), d.exprs(x.Values))
	case *ast.Starred:
		return "*" + d.expr(x.Value)
	}
	return d.operation(e)
}

func (d *dumper) operation(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BoolOp:
		return d.node(fmt.Sprint(x.Op), d.exprs(x.Values))
	case *ast.BinOp:
		return d.node(fmt.Sprint(x.Op), d.expr(x.Left), d.expr(x.Right))
	case *ast.UnaryOp:
		return d.node(fmt.Sprint(x.Op), d.expr(x.Operand))
	case *ast.Compare:
		return d.node("compare", d.expr(x.Left), fmt.Sprint(x.Ops), d.exprs(x.Comparators))
	case *ast.IfExp:
		return d.node("ifexp", d.expr(x.Test), d.expr(x.Body), d.expr(x.Orelse))
	case *ast.Lambda:
		return d.node("lambda", d.arguments(x.Args), d.expr(x.Body))
	case *ast.Yield:
		return d.node("yield", d.expr(x.Value))
	case *ast.YieldFrom:
		return d.node("yieldfrom", d.expr(x.Value))
	case *ast.ListComp:
		return d.node("listcomp", d.expr(x.Elt), d.comprehensions(x.Generators))
	case *ast.SetComp:
		return d.node("setcomp", d.expr(x.Elt), d.comprehensions(x.Generators))
	case *ast.GeneratorExp:
		return d.node("genexp", d.expr(x.Elt), d.comprehensions(x.Generators))
	case *ast.DictComp:
		return d.node("dictcomp", d.expr(x.Key), d.expr(x.Value), d.comprehensions(x.Generators))
	}
	return fmt.Sprintf("%T", e)
}

func (d *dumper) comprehensions(list []ast.Comprehension) string {
	var out []string
	for _, c := range list {
		out = append(out, d.node("for", d.expr(c.Target), d.expr(c.Iter), d.exprs(c.Ifs)))
	}
	return strings.Join(out, " ")
}

func (d *dumper) slice(s ast.Slicer) string {
	switch x := s.(type) {
	case *ast.Index:
		return d.expr(x.Value)
	case *ast.Slice:
		return d.node("slice", d.expr(x.Lower), d.expr(x.Upper), d.expr(x.Step))
	case *ast.ExtSlice:
		var out []string
		for _, dim := range x.Dims {
			out = append(out, d.slice(dim))
		}
		return "(tuple [" + strings.Join(out, " ") + "])"
	}
	return "?"
}
