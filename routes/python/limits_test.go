package python

import (
	"strings"
	"testing"
	"time"
)

// hostile are inputs that are meant to cost more than their size.
var hostile = []struct {
	name string
	unit string // repeated up to the file's limit
	end  string
}{
	{"open parentheses", "(", ""},
	{"open braces", "{", ""},
	{"unclosed calls", "f(\n", ""},
	{"unclosed calls before definitions", "f(\ndef g(\n", ""},
	{"unclosed decorators", "@a(\n@b\ndef g(\n", ""},
	{"not", "not ", "x"},
	{"minus", "-", "x"},
	{"powers", "a**", "a"},
	{"ternaries", "a if b else ", "a"},
	{"lambdas", "lambda:", "0"},
	{"lambdas with parameters", "lambda a,b:", "0"},
	{"comprehension", " for a, b in c", "]"},
	{"sum", "a+", "a"},
	{"attributes", "a.", "a"},
	{"calls", "()", ""},
	{"subscripts", "[0]", ""},
	{"adjacent literals", "'a'", ""},
	{"adjacent f-strings", "f'{a}'", ""},
	{"nested f-strings", `f"{`, ""},
	{"nested f-strings in different quotes", `f'{f"{`, ""},
	{"f-strings that never end", "f'{(\n", ""},
	{"triple f-strings that never end", "f'''{\n", ""},
	{"f-string specifications", "f'{a:{", ""},
	{"numbers", "1,", ""},
	{"floats", "1.5e3,", ""},
	{"digits", "9", ""},
	{"statements", "a;", ""},
	{"broken statements", "a b;", ""},
	{"blocks", "if a:\n", ""},
	{"decorators", "@a\n", ""},
	{"empty decorators", "@\n", ""},
	{"walruses", "(a:=", ""},
	{"stars", "*", "a"},
	{"starred items", "*a,", ""},
	{"imports", "import a\n", ""},
	{"import names", "import a,", ""},
	{"continuations", "\\\n", ""},
	{"names", "\\N{BULLET}", ""},
	{"comparison", "a<", "a"},
	{"assignments", "a=", "a"},
	{"annotations", "a:", "a"},
	{"cases", "match a:\n case b:\n", ""},
	{"unmatched closing brackets", ")", ""},
	{"quotes", "'", ""},
	{"backslashes", "\\", ""},
	{"form feeds", "\f", ""},
	{"at signs in brackets", "(\n@", ""},
	{"one line of everything", "f(a[b]{c}*d,e=f'{g}')", ""},
}

// TestHostileInputIsBounded reads 128 KiB of each. The bound is generous,
// for a busy machine under the race detector; what it holds off is quadratic
// time, which would be minutes.
func TestHostileInputIsBounded(t *testing.T) {
	const size = 1 << 17
	for _, c := range hostile {
		for _, prefix := range []string{"", "x = [a", "'"} {
			src := []byte(prefix + strings.Repeat(c.unit, size/len(c.unit)) + c.end)
			start := time.Now()
			Parse(src, Limits{})
			Skim(src)
			took := time.Since(start)
			t.Logf("%-40s %-8q %s", c.name, prefix, took.Round(time.Millisecond))
			if took > 30*time.Second {
				t.Errorf("%s after %q took %s", c.name, prefix, took)
			}
		}
	}
}

func TestLimitsAreProblems(t *testing.T) {
	cases := []struct {
		name, src string
		limits    Limits
		want      string // the first problem, or the reason of the last statement
	}{
		{"bytes", "x = 1\n", Limits{Bytes: 3}, "file has 6 bytes, more than the limit of 3: not read"},
		{"statements", "x\ny\nz\n", Limits{Statements: 2}, "more than 2 statements: the rest of the file is not read"},
		{"tokens", "x = 1\ny = 2\n", Limits{Tokens: 4}, "more than 4 tokens to parse: the rest of the file is opaque"},
		{"brackets", "x = [[[1]]]", Limits{Nesting: 2}, "brackets nested deeper than 2"},
		{"blocks", "if a:\n if b:\n  if c:\n   d", Limits{Nesting: 2}, "blocks nested deeper than 2: the rest of the file is not read"},
		{"unary", "x = - - - 1", Limits{Nesting: 2}, "expression nested too deeply"},
		{"ternary", "x = a if b else c if d else e if f else g", Limits{Nesting: 2}, "expression nested too deeply"},
		{"left-deep", "x = a" + strings.Repeat("+a", 30), Limits{Nesting: 2}, "expression nested too deeply"},
		{"number", "x = " + strings.Repeat("9", 5000), Limits{}, "number is too long"},
	}
	for _, c := range cases {
		m := Parse([]byte(c.src), c.limits)
		got := ""
		if n := len(m.Body); n > 0 {
			got = m.Body[n-1].Opaque
		}
		if len(m.Problems) > 0 {
			got = m.Problems[0].Reason
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestBrokenFilesCostOnlyTheirBrokenStatements is what tells this reader from
// CPython's: routes before and after the damage are still seen.
func TestBrokenFilesCostOnlyTheirBrokenStatements(t *testing.T) {
	const good = "@app.route('/a')\ndef a():\n  pass\n"
	cases := []struct{ name, damage, problem string }{
		{"unclosed call", "f(1,\n", "bracket is never closed"},
		{"unclosed call, two decorators after it", "f(1,\n@cache\n", "bracket is never closed"},
		{"unclosed list in a function", "def b():\n  return [1,\n", "bracket is never closed"},
		{"unclosed string", "x = 'abc\n", "string is never closed"},
		{"print statement", "print 'x'\n", ""},
		{"exec statement", "exec 'x' in y\n", ""},
		{"backticks", "x = `y`\n", "unexpected character '`'"},
		{"octal", "x = 0777\n", ""},
		{"raise with a comma", "raise E, 'x'\n", ""},
		{"merge conflict", "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> b\n", ""},
		{"template", "{% if x %}\n", ""},
		{"bad indentation", "if x:\n    a\n  b\n", "unindent does not match any outer level"},
		{"missing block", "if x:\n", "expected an indented block after \"if\""},
		{"unexpected indent", "x\n  y\n", "unexpected indent"},
		{"orphan else", "else:\n  x\n", "\"else\" without the statement it belongs to"},
		{"stray bracket", "x)\n", ""},
		{"null byte", "x = \x00\n", "unexpected character '\\x00'"},
		{"orphan decorator", "@x\ny = 1\n", "decorator without a definition"},
	}
	for _, c := range cases {
		m := Parse([]byte(good+c.damage+good), Limits{})
		seen := 0
		each(m.Body, func(s *Stmt) {
			if s.Keyword == "def" && s.Opaque == "" && strings.Contains(dump(&Module{Body: []*Stmt{s}}), `route) ["/a"`) {
				seen++
			}
		})
		if seen != 2 {
			t.Errorf("%s: %d of 2 routes\n%s", c.name, seen, dump(m))
		}
		got := ""
		if len(m.Problems) > 0 {
			got = m.Problems[0].Reason
		}
		if got != c.problem {
			t.Errorf("%s: got problem %q, want %q", c.name, got, c.problem)
		}
	}
}

func TestOpaqueStatementsShowTheirText(t *testing.T) {
	src := "print 'a', # comment\nif print x: # c\n  pass\n@print x\ndef f(): pass\nx = `" + strings.Repeat("é", 200) + "`"
	m := Parse([]byte(src), Limits{})
	got := []string{m.Body[0].Text, m.Body[1].Text, m.Body[2].Decorators[0].Text}
	want := []string{"print 'a',", "if print x", "@print x"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if n := len(m.Body[3].Text); n > maxText || n < maxText-4 {
		t.Errorf("text of %d bytes", n)
	}
}
