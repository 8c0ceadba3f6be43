package routes

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fuzzTables are tables with everything that could go wrong in one.
func fuzzTables(t testing.TB) []*Table {
	base := Options{
		StrictSlashes: true, MergeSlashes: true,
		Converters: map[string]Converter{
			"slow":    {Regex: `(a+)+b`, PartIsolating: true},
			"look":    {Regex: `(?!x)(?:a|aa)+$`, PartIsolating: true},
			"back":    {Regex: `(a*)*\1b`, PartIsolating: false, Weight: 200},
			"unknown": {},
		},
	}
	var routes []Route
	for i, rule := range []string{
		"/", "/a", "/a/", "/a/<x>", "/a/<int:x>/", "/a/<int(min=3,max=9):x>/b", "/<path:p>/edit", "/s/<slow:x>", "/l/<look:x>", "/b/<back:x>", "/u/<unknown:x>/<y>",
		"/<x>-<y>/<z>", "/<x>.<y>.<z>", "/f/<float:x>", "/any/<any(a,b):x>", "/<uuid:u>/<path:p>/", "/d/<a>/<b>/<c>/<d>/<e>/<f>/<g>/<h>/<i>/<j>", "/é/<x>",
	} {
		routes = append(routes, Route{Rule: rule, Endpoint: string(rune('a' + i)), StrictSlashes: i%3 != 0, MergeSlashes: true, Methods: []string{"GET", "HEAD", "OPTIONS"}})
	}
	var out []*Table
	for i, version := range []string{"2.2.2", "3.1.8"} {
		o := base
		o.Werkzeug = version
		if i == 1 {
			o.Server, o.Prefix, o.HostMatching = "gunicorn", "/app", false
		}
		p := &Project{Options: o, Routes: routes, Unresolved: []Unresolved{{Prefix: "/open"}}}
		out = append(out, mustTable(t, TableConfig{Project: p, Lists: DefaultLists(), Retired: []Route{{Rule: "/old/<x>"}}}))
	}
	return out
}

const (
	// fuzzBase and fuzzPerByte bound the time of one Match: generous, as the
	// machine is shared, but far below what a regex that backtracks takes.
	fuzzBase    = 500 * time.Millisecond
	fuzzPerByte = 20 * time.Microsecond
)

// FuzzMatch: no panic, no pathological input, and Explain agrees with Match.
func FuzzMatch(f *testing.F) {
	tables := fuzzTables(f)
	for _, target := range []string{
		"/", "", "*", "/a/7", "//a//b", "/s/" + strings.Repeat("a", 60), "/b/" + strings.Repeat("a", 60), "/l/" + strings.Repeat("a", 60), "/" + strings.Repeat("-", 200),
		"http://[::1]:80/a", "http://a@b:c/..;/", "/a%", "/%ff%fe/%00", "/app/a/5/b?x#y", "example.com:443", "/app//open///x", "/é/x", "/a b", "\x85\xa0/", "//é", strings.Repeat("/a", 100),
		"/.env", "/favicon.ico", "/old/x/", "/a/1/2", "/İ.PNG",
	} {
		f.Add("example.com", "GET", target, false)
	}
	f.Add("a..b", "get", "/", true)
	f.Fuzz(func(t *testing.T, host, method, target string, websocket bool) {
		for _, table := range tables {
			start := time.Now()
			table.match(host, method, target, websocket)
			if took := time.Since(start); took > fuzzBase+time.Duration(len(target))*fuzzPerByte {
				t.Fatalf("Match took %v for %d bytes", took, len(target))
			}
			e := agree(t, table, host, method, target, websocket)
			if e.Why == "" {
				t.Fatal("no reason given")
			}
		}
		if p := Path(target); utf8.ValidString(target) && !utf8.ValidString(p) {
			t.Fatalf("Path(%q) = %q is no UTF-8", target, p)
		}
	})
}

// FuzzRule: no rule or regex that an extractor may find in a source breaks the
// table or matches less than it could.
func FuzzRule(f *testing.F) {
	for _, rule := range []string{"/<int:x>", "/<", "/a<b>c<d>", "//a//<path:x>/", "/<any(a,'b',\"c,d\"):x>", "no slash", "/<string(length=x):a>", "/<nope(1):x>/y"} {
		f.Add(rule, `[a-z]{2,}`, "/x")
	}
	for _, regex := range []string{`(`, `a{99999}`, `(?P<n>a)(?P=n)`, `[^\W\d_]+`, `(?x) a`, `a++`, `\Z`, `(?<=a)b`, `[[:alpha:]]`, `[a-`, `\N{DASH}`, `(a|b)*c|(?:d)`, `{,3}`, `a{,3}?`, `[]]`, `[^]]`} {
		f.Add("/<own:x>", regex, "/ab")
	}
	f.Fuzz(func(t *testing.T, rule, regex, target string) {
		if len(regex) > 200 || len(rule) > 200 {
			return
		}
		p := &Project{Complete: true, Routes: []Route{{Rule: rule, Endpoint: "e", StrictSlashes: true, MergeSlashes: true}}}
		p.Options = Options{MergeSlashes: true, Converters: map[string]Converter{"own": {Regex: regex}}}
		table, err := NewTable(TableConfig{Project: p})
		if err != nil {
			t.Fatal(err)
		}
		agree(t, table, "h", "GET", target, false)
		if len(table.unresolved) == 1 && table.Complete() {
			t.Fatal("complete with an unresolved rule")
		}
		LintProject(p)
		if err := p.WriteOpenAPI(&strings.Builder{}); err != nil {
			t.Fatal(err)
		}
	})
}

// agree fails unless Match and Explain say the same. A regex that ran into its
// time-out counts as matching from then on, so they have as many tries as there
// are time-outs to be had.
func agree(t *testing.T, table *Table, host, method, target string, websocket bool) Explanation {
	t.Helper()
	var v Verdict
	var e Explanation
	for range 3*backtrackStrikes + 1 {
		v, e = table.match(host, method, target, websocket), table.explain(host, method, target, websocket)
		if v.Kind == e.Verdict && v.Route == e.Route {
			return e
		}
	}
	t.Fatalf("%s %q: Match says %v %v, Explain %v %v", method, target, v.Kind, v.Route, e.Verdict, e.Route)
	return e
}
