package python

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSkimImports(t *testing.T) {
	src := `"""import no"""
import a, b.c as d; import e
from .x import (y, z as w, # import no
  v,)
from ... import *
from ..p.q import r
if True: import f
try:
  from g import h; x = 1
except ImportError: import i
def k():
  import l
  yield from m
  raise E from e
x = "import no"; y = f(a,
  b); import n
from __future__ import annotations \
  as later
`
	want := []Import{
		{Line: 2, Module: "a"}, {Line: 2, Module: "b.c"}, {Line: 2, Module: "e"},
		{Line: 3, Module: "x", Level: 1, Names: []string{"y", "z", "v"}},
		{Line: 5, Level: 3, Names: []string{"*"}},
		{Line: 6, Module: "p.q", Level: 2, Names: []string{"r"}},
		{Line: 7, Module: "f"},
		{Line: 9, Module: "g", Names: []string{"h"}},
		{Line: 10, Module: "i"}, {Line: 12, Module: "l"}, {Line: 16, Module: "n"},
		{Line: 17, Module: "__future__", Names: []string{"annotations"}},
	}
	if diff := cmp.Diff(want, Skim([]byte(src)).Imports); diff != "" {
		t.Error(diff)
	}
}

func TestSkimRegisters(t *testing.T) {
	cases := []struct {
		src                string
		registers, dynamic bool
	}{
		{"x = 1", false, false},
		{"# @app.route\nx = 'app.route'", false, false},
		{"@app.route('/')\ndef f(): pass", true, false},
		{"my_route(bp, '/')", true, false},
		{"app.add_url_rule('/', 'x')", true, false},
		{"from flask import Blueprint", true, false},
		{"import connexion", true, false},
		{"d.get('x')", false, false},
		{"@bp.get('/x')\ndef f(): pass", true, false},
		{"class A(Resource): pass", true, false},
		{"m = importlib.import_module(name)", false, true},
	}
	for _, c := range cases {
		out := Skim([]byte(c.src))
		if out.Registers != c.registers || out.Dynamic != c.dynamic {
			t.Errorf("%s: got registers %v, dynamic %v", c.src, out.Registers, out.Dynamic)
		}
	}
}

func TestMentions(t *testing.T) {
	src := []byte("x = 'route' # route\ny = app.add_url_rule")
	if Mentions(src, "route") || !Mentions(src, "route", "add_url_rule") {
		t.Error("route is in a string and a comment only, add_url_rule is a name")
	}
}

// TestSkimFindsWhatParseFinds compares both over the standard library.
func TestSkimFindsWhatParseFinds(t *testing.T) {
	files, _ := filepath.Glob("/usr/lib/python3*/*.py")
	if len(files) == 0 {
		t.Skip("no standard library of Python here: apt-get install python3")
	}
	found := 0
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range Skim(src).Imports {
			got = append(got, i.Module)
		}
		want := imports(Parse(src, Limits{}))
		if len(want) != len(got) {
			t.Errorf("%s: %s", f, cmp.Diff(want, got))
		}
		found += len(got)
	}
	t.Logf("%d imports in %d files", found, len(files))
}

func TestParseExpr(t *testing.T) {
	d := &dumper{}
	if got, want := d.expr(ParseExpr("f(*a, x := 1)")), "(call@1 f@1 [(call __star__ [a@1]) (call __walrus__ [x@1 #1])])"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{"", "x = 1", "x)", "(", "a b", "x;y"} {
		if e := ParseExpr(bad); e != nil && bad != "" {
			t.Errorf("%q is %s", bad, d.expr(e))
		}
	}
}

// TestLazyParsesOnDemand holds what Limits.Lazy promises.
func TestLazyParsesOnDemand(t *testing.T) {
	m := Parse([]byte("@a\ndef f():\n  x = 1\n  y = 2\n"), Limits{Lazy: true})
	f := m.Body[0]
	if f.Node != nil || f.Decorators[0].Expr != nil {
		t.Error("parsed before it was asked for")
	}
	f.Parse()
	f.Parse()
	if f.Node == nil || f.Decorators[0].Expr == nil || f.Body[0].Node != nil {
		t.Errorf("node %v, decorator %v, body %v", f.Node, f.Decorators[0].Expr, f.Body[0].Node)
	}
	ParseSuite(f.Body)
	if f.Body[0].Node == nil || f.Body[1].Node == nil {
		t.Error("the suite was not parsed")
	}
}
