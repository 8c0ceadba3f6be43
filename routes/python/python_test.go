package python

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-python/gpython/ast"
)

// lowered pairs newer syntax with what Python 3.4 would have written: both
// must give the same tree. Where CPython can read the left side, its tree is
// compared too (TestTreesOfSnippets).
var lowered = []struct{ name, src, want string }{
	{"f-string", `f"/a/{X}/b"`, `__fstring__("/a/", X, "/b")`},
	{"f-string without fields", `f"/a/b"`, `"/a/b"`},
	{"f-string concatenated", `"/a" f"/{x}" '/b' rf"\d{y}"`, `__fstring__("/a/", x, "/b\\d", y)`},
	{"f-string conversion", `f"{x!r}{y:02d}{z!s}"`, `__fstring__(__unknown__, __unknown__, z)`},
	{"f-string debug", `f"{x=}{ y = !s}"`, `__fstring__("x=", __unknown__, " y = ", y)`},
	{"f-string nested quotes of 3.12", `f"{d["k"]}{f"{f"{1}"}"}"`, `__fstring__(d["k"], __fstring__(__fstring__(1)))`},
	{"f-string braces", `f"{{x}}{y}}}"`, `__fstring__("{x}", y, "}")`},
	{"f-string spec with field", `f"{x:{w}.{p}}/"`, `__fstring__(__unknown__, "/")`},
	{"f-string tuple", `f"{a, *b}"`, `__fstring__((a, *b))`},
	{"f-string lambda and walrus in parentheses", `f"{(lambda x: x)(1)}{(y := 2)}"`, `__fstring__((lambda x: x)(1), __walrus__(y, 2))`},
	{"f-string not equal", `f"{a != b}{a if b else c}"`, `__fstring__(a != b, a if b else c)`},
	{"f-string over lines", "f'''{\nx\n}/{y:\n}'''", `__fstring__(x, "/", __unknown__)`},
	{"f-string field over lines in single quotes", "f'{a[\n0]}'", `__fstring__(a[0])`},
	{"f-string named character", `f"\N{BULLET}{x}"`, `__fstring__("\u2022", x)`},
	{"raw f-string has no names", `rf"\N{x}"`, `__fstring__("\\N", x)`},
	{"f-string escaped brace", `f"\{x}"`, `__fstring__("\\", x)`},
	{"f-string broken", `f"{x!}"`, `__fstring__(__unknown__)`},
	{"t-string", `t"/a/{x}"`, `__tstring__("/a/", x)`},
	{"t-string without fields", `t"/a"`, `__tstring__("/a")`},
	{"walrus", `f(y := 1, *[z := 2, 3])`, `f(__walrus__(y, 1), __star__([__walrus__(z, 2), 3]))`},
	{"walrus in a comprehension", `[y := g(x), [z := a for a in b if (c := a)]]`, `[__walrus__(y, g(x)), [__walrus__(z, a) for a in b if __walrus__(c, a)]]`},
	{"walrus in a subscript", `a[i := 1]`, `a[__walrus__(i, 1)]`},
	{"walrus with a lambda", `(f := lambda a, b=1: a)`, `__walrus__(f, lambda a, b=1: a)`},
	{"stars in a call", `f(*a, c, *b, k=1, **d, **e,)`, `f(__star__(a), c, __star__(b), __starstar__(d), __starstar__(e), k=1)`},
	{"stars in displays", `[*a, 1], {*a, 1}, {**a, 'b': 1}, (*a,)`, `[*a, 1], {__star__(a), 1}, {__starstar__: a, 'b': 1}, (*a,)`},
	{"star in a subscript", `a[*b], a[1, *b]`, `a[__star__(b),], a[1, __star__(b)]`},
	{"star in return", `return *a, b`, `return (*a, b)`},
	{"star in yield", `x = yield *a, b`, `x = yield (*a, b)`},
	{"star in comprehension targets", `f(id for id, *_ in g(*c))`, `f(id for (id, *_) in g(__star__(c)))`},
	{"annotated assignment", `x: dict[str, int] = {1: 2}`, `x = {1: 2}`},
	{"annotated attribute", `self.x: int = y = 3`, `self.x = y = 3`},
	{"bare annotation", `x: int`, `pass`},
	{"annotation with a lambda", `x: lambda: 1 = 2`, `x = 2`},
	{"numeric underscores", `x = 1_000, 0x_ff, 1_0.0_1e1_0j`, `x = 1000, 0xff, 10.01e10j`},
	{"number before a keyword", `x = 1if y else 0x1for z in w`, `x = 1 if y else 0x1f or z in w`},
	{"infinite number", `x = 1e999`, `x = 1e308`},
	{"await", `await f(await g(), [await x for x in y])`, `f(g(), [x for x in y])`},
	{"async as a name", `x.async = async_(await_=1)`, `x.async = async_(await_=1)`},
	{"async comprehension", `[x async for x in y]`, `[x for x in y]`},
	{"matrix product", `x @= a @ b`, `x //= a // b`},
	{"type statement", `type X[T: int, *Ts] = list[T]`, `X = list[T]`},
	{"type as a name", `type = type(x)`, `type = type(x)`},
	{"positional only", `lambda a, /, b, *, c, d=1: 0`, `lambda a, b, *, c=__required__, d=1: 0`},
	{"adjacent literals", "x = ('a' \"b\" r'\\c'\n  u'd')", `x = 'ab\\cd'`},
	{"print is a name", `print(*a, sep='')`, `print(__star__(a), sep='')`},
	{"identifiers are normalised", `ﬁn = 1`, `fin = 1`},
	{"one-element loop target", "for x, in y: pass", "for (x,) in y: pass"},
	{"star in a loop", "for x in *a, b: pass", "for x in (*a, b): pass"},
	{"walrus in headers", "if x := f(): pass\nelif y := 1: pass\nwhile z := 2: pass", "if __walrus__(x, f()): pass\nelif __walrus__(y, 1): pass\nwhile __walrus__(z, 2): pass"},
	{"parenthesised with", "with (open(a) as f, open(b),): pass", "with open(a) as f, open(b): pass"},
	{"with a tuple", "with (a, b) as c: pass", "with (a, b) as c: pass"},
	{"with a call in parentheses", "with (a if b else c).d() as e: pass", "with (a if b else c).d() as e: pass"},
	{"except*", "try: pass\nexcept* (A, B) as e: pass", "try: pass\nexcept (A, B) as e: pass"},
	{"except without parentheses", "try: pass\nexcept A, B: pass", "try: pass\nexcept (A, B): pass"},
	{"async headers", "async def f():\n async with a as b: pass\n async for c in d: pass", "def f():\n with a as b: pass\n for c in d: pass"},
	{"type parameters", "def f[T: int = str](a: T) -> T: pass\nclass A[T, *Ts, **P](B): pass", "def f(a: T) -> T: pass\nclass A(B): pass"},
	{"parameters", "def f(a, b=1, /, c: int = 2, *args: *Ts, d, e=3, **kw: K,): pass", "def f(a, b=1, c: int = 2, *args: Ts, d=__required__, e=3, **kw: K): pass"},
	{"class arguments", "class A(*b, metaclass=M, **kw,): pass", "class A(__star__(b), __starstar__(kw), metaclass=M): pass"},
	{"decorators of any expression", "@a[0].b\n@x if y else z\n@(lambda f: f)\ndef f(): pass", "@(a[0].b)\n@(x if y else z)\n@(lambda f: f)\ndef f(): pass"},
	{"line continuation", "x = a \\\n  + b; y = 'c\\\nd'", "x = a  \\\n  + b; y = 'cd'"},
	{"form feed", "if x:\n  a\n\f\nb", "if x:\n  a\n\n\nb"},
	{"form feed resets the column", "if x:\n  a\n  \fb", "if x:\n  a\nb"},
	{"tabs", "if x:\n\ta\n        b\n", "if x:\n  a\n  b\n"},
	{"CR and CRLF", "if x:\r\n  a\r\rb", "if x:\n  a\n\nb"},
	{"BOM", "\ufeffx = 1", "x = 1"},
	{"suite on the header's line", "if x: a; b;\nelse: c", "if x:\\\n a; b\nelse:\\\n c"},
	{"comments", "x = [ # a [\n 1, # b\n]", "x = [\n 1,\n]"},
}

// place is what snippets that only a function may hold are put in.
func wrapSnippet(src string) string {
	if strings.HasPrefix(src, "return") || strings.Contains(src, "yield") || strings.Contains(src, "await") || strings.Contains(src, "async for") {
		return "async def f():\n  " + src
	}
	return src
}

func TestLowering(t *testing.T) {
	for _, c := range lowered {
		got, want := Parse([]byte(c.src), Limits{}), Parse([]byte(c.want), Limits{})
		if diff := firstDifference(withoutLines(dump(got)), withoutLines(dump(want))); diff != "" {
			t.Errorf("%s: %s\n%s", c.name, c.src, diff)
		}
		if len(got.Problems) > 0 || strings.Contains(dump(got), "OPAQUE") {
			t.Errorf("%s: %v\n%s", c.name, got.Problems, dump(got))
		}
	}
}

// withoutLines drops positions, which differ where the two sides of a case
// have different lines.
func withoutLines(tree string) string {
	return positions.ReplaceAllString(tree, "$1")
}

// TestTreesOfSnippets holds every construct against CPython's own tree.
func TestTreesOfSnippets(t *testing.T) {
	o := newOracle(t)
	file := filepath.Join(t.TempDir(), "snippet.py")
	agreed := 0
	for _, c := range lowered {
		if err := os.WriteFile(file, []byte(wrapSnippet(c.src)), 0o600); err != nil {
			t.Fatal(err)
		}
		want, ok := o.tree(t, file)
		if !ok {
			continue // newer than this CPython
		}
		agreed++
		if diff := firstDifference(dump(Parse([]byte(wrapSnippet(c.src)), Limits{})), want); diff != "" {
			t.Errorf("%s: %s\n%s", c.name, c.src, diff)
		}
	}
	if agreed < len(lowered)/2 {
		t.Errorf("CPython read %d of %d snippets", agreed, len(lowered))
	}
}

// TestTreeOfExample holds a file with a bit of everything by its whole tree.
func TestTreeOfExample(t *testing.T) {
	src, err := os.ReadFile("testdata/everything.py.txt")
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/everything.tree"
	got := dump(Parse(src, Limits{}))
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := firstDifference(got, string(want)); diff != "" {
		t.Error(diff)
	}
}

func TestStringsDecodeAsCPython(t *testing.T) {
	cases := []struct{ src, want string }{
		{`'\a\b\f\n\r\t\v\\\'\"'`, "\a\b\f\n\r\t\v\\'\""},
		{`'\0\08\101\777'`, "\x00\x008A\u01ff"},
		{`'\x41\u00e9\U0001F600'`, "Aé😀"},
		{`'\d\<\ '`, `\d\<\ `},
		{"'a\\\nb'", "ab"},
		{"r'a\\\nb\\''", "a\\\nb\\'"},
		{`'\N{LATIN SMALL LETTER E WITH ACUTE}\N{bullet}'`, "é•"},
		{`'\N{CJK UNIFIED IDEOGRAPH-4E2D}\N{HANGUL SYLLABLE HAN}\N{LINE FEED}'`, "中한\n"},
		{`'\ud800'`, "\ufffd"},
		{"'''a\n'b''c'''", "a\n'b''c"},
		{`R"\n" u'\n' U"\t"`, "\\n\n\t"},
	}
	for _, c := range cases {
		m := Parse([]byte(c.src), Limits{})
		stmt, ok := m.Body[0].Node.(*ast.ExprStmt)
		if !ok {
			t.Errorf("%s: %s", c.src, dump(m))
			continue
		}
		if got := string(stmt.Value.(*ast.Str).S); got != c.want {
			t.Errorf("%s: got %q, want %q", c.src, got, c.want)
		}
	}
}

func TestBytesDecodeAsCPython(t *testing.T) {
	m := Parse([]byte(`b'\xff\0\u1234\N{x}' Rb'\n' bR'\x'`), Limits{})
	got := string(m.Body[0].Node.(*ast.ExprStmt).Value.(*ast.Bytes).S)
	if want := "\xff\x00\\u1234\\N{x}\\n\\x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEncodings(t *testing.T) {
	cases := []struct{ name, src, want, problem string }{
		{"utf-8", "x = 'é'", "é", ""},
		{"latin-1", "# -*- coding: latin-1 -*-\nx = '\xe9'", "é", ""},
		{"second line", "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nx = '\x80'", "€", ""},
		{"third line does not count", "#\n#\n# coding: cp1252\nx = 'é'", "é", ""},
		{"code before does not count", "y = 1\n# coding: cp1252\nx = 'é'", "é", ""},
		{"CRLF", "# coding: latin-1\r\nx = '\xe9'", "é", ""},
		{"japanese", "# coding: euc-jp\nx = '\xc6\xfc'", "日", ""},
		{"koi8", "# coding: koi8-r\nx = '\xd1'", "я", ""},
		{"BOM wins", "\ufeff# coding: latin-1\nx = 'é'", "é", ""},
		{"not utf-8", "x = '\xe9'", "é", "not UTF-8; read as Latin-1: declare the encoding (PEP 263)"},
		{"unknown", "# coding: klingon\nx = '\xe9'", "é", `unknown encoding "klingon"; read as Latin-1`},
	}
	for _, c := range cases {
		m := Parse([]byte(c.src), Limits{})
		last := m.Body[len(m.Body)-1].Node.(*ast.Assign)
		if got := string(last.Value.(*ast.Str).S); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		problem := ""
		if len(m.Problems) > 0 {
			problem = m.Problems[0].Reason
		}
		if problem != c.problem {
			t.Errorf("%s: got problem %q, want %q", c.name, problem, c.problem)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// positions are the line at the beginning of a dumped statement and those
// after the @ of expressions.
var positions = regexp.MustCompile(`(?m)^( *)\d+|@\d+`)
