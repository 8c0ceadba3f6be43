package python

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-python/gpython/ast"
)

// brokenSeeds are sources that are no Python, or only parts of it.
var brokenSeeds = []string{
	"", "\\", "\n\\\n", "(", ")", "(]", "'", `"""`, `f"`, `f"{`, `f"{x`, `f"{x!`, `f"{x:`, `f"{x:{`, `f'{f"{`, `f"}"`, `f"{}"`, `f"{{}"`,
	"f'{a;b}'", "f'{a\n\n'", "@", "@\n@a; b\ndef f(): pass", "if", "if x", "if x:", "else:", "elif x: y", "case x:", "match x:\n", "match x:\n case", "match x:\n  pass",
	"def", "def f", "def f(", "def f(*", "def f(*):", "def f(a b): pass", "def f[T", "class", "class A(", "lambda", "lambda *", "lambda x", "x :=", "x := (y :=",
	"*", "**", "f(*)", "f(**)", "{**}", "x[*]", "type X", "type X[", "type", "for", "for in", "for x", "with", "with (", "with ()", "with (a as b", "except", "try:\nexcept*",
	"x: ", ": x", "x: y: z = 1", "import", "from", "from .", "from . import", "from . import (", "import a as", "0x", "0b_", "1e", "1_", "0777", "1__0",
	"'\\x'", "'\\N{'", "'\\N{}'", "b'\\u1'", "'\\U00110000'", "\x00", "a\x00b", "\xff\xfe", "# coding: utf-16\nx", "# coding: klingon\n\xff", "\ufeff\ufeff",
	"if x:\n\ty\n        z\n    w", "  x\n y\nz", "print 'x'", "exec 'x' in y", "`x`", "x <> y", "raise E, 'm'", "async", "await", "async x", "await = 1", "yield *", "return *",
	strings.Repeat("(", 300), strings.Repeat("[", 199) + strings.Repeat("]", 199), strings.Repeat("not ", 500) + "x", strings.Repeat("-", 500) + "x",
	strings.Repeat("lambda: ", 300), strings.Repeat("x if ", 300), strings.Repeat("a**", 300) + "a", strings.Repeat("f'{", 50), "[x " + strings.Repeat("for x in y ", 300) + "]",
	"x = " + strings.Repeat("'a' ", 500), strings.Repeat("a.", 500) + "b", strings.Repeat("a+", 3000) + "b", strings.Repeat("if x:\n", 10),
}

func addSeeds(f *testing.F) {
	for _, c := range lowered {
		f.Add([]byte(c.src))
	}
	for _, s := range brokenSeeds {
		f.Add([]byte(s))
	}
}

// FuzzParse holds that any bytes are read without a panic, that lazy and
// eager reading agree, and that all positions are in the file.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			return
		}
		limits := Limits{Nesting: 50, Statements: 500, Tokens: 20_000}
		m := Parse(src, limits)
		lines := 1 + bytes.Count(src, []byte("\n")) + bytes.Count(src, []byte("\r"))
		checkTree(t, m, lines)
		limits.Lazy = true
		lazy := Parse(src, limits)
		parseDepthFirst(lazy.Body)
		if diff := firstDifference(dump(lazy), dump(m)); diff != "" && len(m.Problems) == 0 {
			t.Errorf("lazy and eager differ:\n%s", diff)
		}
	})
}

// FuzzSkim holds the same of Skim, and that what Parse reads as imports Skim
// finds.
func FuzzSkim(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		out := Skim(src)
		m := Parse(src, Limits{Nesting: 50, Statements: 500, Tokens: 20_000})
		want := imports(m)
		if len(m.Problems) > 0 {
			return
		}
		if got := len(out.Imports); got < len(want) {
			t.Errorf("skim found %d imports, parse %d: %v", got, len(want), want)
		}
		Mentions(src, "x")
	})
}

func FuzzParseExpr(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		ParseExpr(string(src))
	})
}

func parseDepthFirst(list []*Stmt) {
	for _, s := range list {
		s.Parse()
		parseDepthFirst(s.Body)
		parseDepthFirst(s.Clauses)
	}
}

// checkTree holds what python.go promises of every statement.
func checkTree(t *testing.T, m *Module, lines int) {
	t.Helper()
	each(m.Body, func(s *Stmt) {
		if s.Line < 1 || s.Line > lines {
			t.Errorf("statement at line %d of %d", s.Line, lines)
		}
		bare := s.Keyword == "else" || s.Keyword == "try" || s.Keyword == "finally"
		if (s.Node == nil) != (s.Opaque != "" || bare) {
			t.Errorf("line %d: %q has node %v, opaque %q", s.Line, s.Keyword, s.Node, s.Opaque)
		}
		if len(s.Text) > maxText || (s.Text != "" && s.Opaque == "") {
			t.Errorf("line %d: text %q, opaque %q", s.Line, s.Text, s.Opaque)
		}
		if s.Node == nil {
			return
		}
		ast.Walk(s.Node, func(n ast.Ast) bool {
			if n == nil {
				return true
			}
			if l := n.GetLineno(); l < 1 || l > lines {
				if _, pass := n.(*ast.Pass); !pass {
					t.Errorf("%T at line %d of %d", n, l, lines)
				}
			}
			return true
		})
	})
}

// imports are the modules that a tree's statements import.
func imports(m *Module) []string {
	var out []string
	each(m.Body, func(s *Stmt) {
		switch x := s.Node.(type) {
		case *ast.Import:
			for _, a := range x.Names {
				out = append(out, string(a.Name))
			}
		case *ast.ImportFrom:
			out = append(out, string(x.Module))
		}
	})
	return out
}
