package routes

import (
	"strings"
	"sync"
	"testing"
)

var getOnly = []string{"GET", "HEAD", "OPTIONS"}

// shop is a small app's project.
func shop() *Project {
	return &Project{App: "app.py", Complete: true, Options: Options{StrictSlashes: true, MergeSlashes: true}, Routes: []Route{
		{Rule: "/", Methods: getOnly, Endpoint: "index", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "app.py", Line: 3},
		{Rule: "/user/<int:id>", Methods: getOnly, Endpoint: "user", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "app.py", Line: 9},
		{Rule: "/user/<int:id>/edit", Methods: []string{"GET", "HEAD", "OPTIONS", "POST"}, Endpoint: "edit", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "app.py", Line: 14},
		{Rule: "/items/", Methods: getOnly, Endpoint: "items", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "shop/items.py", Line: 20},
		{Rule: "/items/<int(min=1,max=9):n>", Methods: getOnly, Endpoint: "item", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "shop/items.py", Line: 25},
		{Rule: "/<int:year>", Methods: getOnly, Endpoint: "year", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "app.py", Line: 30},
		{Rule: "/files/<path:name>", Methods: getOnly, Endpoint: "files", StrictSlashes: true, MergeSlashes: true, Source: Static, File: "app.py", Line: 40},
	}}
}

func shopTable(t testing.TB, change func(*TableConfig)) *Table {
	c := TableConfig{Project: shop(), Lists: DefaultLists()}
	if change != nil {
		change(&c)
	}
	return mustTable(t, c)
}

type expectation struct {
	method, target string
	want           Kind
	rule           string
}

func expect(t *testing.T, table *Table, cases []expectation) {
	t.Helper()
	for _, c := range cases {
		got := table.Match("example.com", c.method, c.target)
		rule := ""
		if got.Route != nil {
			rule = got.Route.Rule
		}
		if got.Kind != c.want || rule != c.rule {
			t.Errorf("%s %s: got %v %q, want %v %q", c.method, c.target, got.Kind, rule, c.want, c.rule)
		}
		if e := table.Explain("example.com", c.method, c.target); e.Verdict != got.Kind || e.Route != got.Route {
			t.Errorf("%s %s: Explain says %v %q, Match %v", c.method, c.target, e.Verdict, e.Rule, got.Kind)
		}
	}
}

func TestVerdictKinds(t *testing.T) {
	expect(t, shopTable(t, nil), []expectation{
		{"GET", "/", Found, "/"},
		{"GET", "/?x=/user/1", Found, "/"},
		{"get", "/user/7", Found, "/user/<int:id>"},
		{"GET", "/%75ser/7#frag", Found, "/user/<int:id>"},
		{"GET", "/items", Redirect, "/items/"},
		{"GET", "//user//7", Redirect, "/user/<int:id>"},
		{"DELETE", "/user/7", UnexpectedMethod, "/user/<int:id>"},
		{"BREW", "/user/7", UnexpectedMethod, "/user/<int:id>"},
		{"GET", "/user/abc", BadValue, "/user/<int:id>"},
		{"GET", "/user/abc/edit", BadValue, "/user/<int:id>/edit"},
		{"GET", "/items/10", BadValue, "/items/<int(min=1,max=9):n>"},
		{"GET", "/items/x/y", UnexpectedPath, ""},
		{"GET", "/abc", UnexpectedPath, ""}, // the shape of /<int:year>, but no literal says so
		{"GET", "/users/7", UnexpectedPath, ""},
		{"GET", "/files/", UnexpectedPath, ""},
		{"GET", "/files/a/b.txt", Found, "/files/<path:name>"},
		{"GET", "/files/.env", Found, "/files/<path:name>"},
		{"GET", "/.env", Honeypath, ""},
		{"GET", "/favicon.ico", Benign, ""},
		{"GET", "/user/7).", Benign, ""},
		{"GET", "/user/7\"", Benign, ""},
		{"GET", "/nothing).", UnexpectedPath, ""},
		{"GET", "/user/" + strings.Repeat("9", 5000), Failed, "/user/<int:id>"},
		{"GET", "/a b", BadRequest, ""},
		{"GET", "http://[bad/", BadRequest, ""},
		{"GET", "/" + strings.Repeat("a", 70000), BadRequest, ""},
		{"GET", "http://a..b/", BadHost, ""},
		{"GET", "", UnexpectedPath, ""},
		{"OPTIONS", "*", Benign, ""}, // a request about the server, RFC 9110 section 9.3.7
	})
}

func TestUnresolvedPrefixes(t *testing.T) {
	table := shopTable(t, func(c *TableConfig) {
		c.Project.Complete = false
		c.Project.Unresolved = []Unresolved{
			{File: "b.py", Line: 3, Reason: "a loop over a query", Prefix: "/admin"},
			{File: "a.py", Line: 9, Reason: "a url_prefix that is not text", Prefix: "/user/<name>"},
		}
	})
	expect(t, table, []expectation{
		{"GET", "/admin", UnresolvedPath, ""},
		{"GET", "/admin/x/.env", UnresolvedPath, ""},
		{"GET", "/admin/robots.png", UnresolvedPath, ""},
		{"GET", "/user/abc", UnresolvedPath, ""},
		{"GET", "/user/7", Found, "/user/<int:id>"},
		{"PUT", "/user/7", UnexpectedMethod, "/user/<int:id>"},
		{"GET", "/nothing", UnexpectedPath, ""},
		{"GET", "/.env", Honeypath, ""},
		{"GET", "/favicon.ico", Benign, ""},
	})
	if table.Complete() {
		t.Error("complete with unresolved entries")
	}
	if got := table.Unresolved(); got[0].File != "a.py" {
		t.Errorf("unresolved entries are not in order: %v", got)
	}
	why := table.Explain("h", "GET", "/admin/x").Why
	if want := "no known route has it, and unknown ones may lie here: b.py:3: a loop over a query"; why != want {
		t.Errorf("got why %q, want %q", why, want)
	}
}

func TestUnresolvedAtTheRootOpensEverything(t *testing.T) {
	for _, prefix := range []string{"/", "", "/<lang>/x"} {
		table := shopTable(t, func(c *TableConfig) { c.Project.Unresolved = []Unresolved{{Reason: "eval", Prefix: prefix}} })
		expect(t, table, []expectation{
			{"GET", "/nothing/at/all", UnresolvedPath, ""},
			{"GET", "/wp-login.php", UnresolvedPath, ""},
			{"GET", "/robots.txt", Benign, ""},
			{"GET", "/user/7", Found, "/user/<int:id>"},
		})
	}
}

func TestRetiredRoutesAreNoEvidence(t *testing.T) {
	table := shopTable(t, func(c *TableConfig) {
		c.Retired = []Route{
			{Rule: "/old/<int:id>", Methods: getOnly, StrictSlashes: true},
			{Rule: "/gone/<path:p>", Methods: getOnly},
			{Rule: "/<path:all>", Methods: getOnly},
			{Rule: "/<lang>/<path:all>", Methods: getOnly},
			{Rule: "/user/<int:id>", Methods: getOnly},
			{Rule: "/broken/<int", Methods: getOnly},
		}
	})
	expect(t, table, []expectation{
		{"GET", "/old/3", UnresolvedPath, "/old/<int:id>"},
		{"POST", "/old/3", UnresolvedPath, "/old/<int:id>"},
		{"GET", "/old/x", UnexpectedPath, ""},
		{"GET", "/gone/a/b", UnresolvedPath, "/gone/<path:p>"},
		{"GET", "/elsewhere/a/b", UnexpectedPath, ""},
		{"GET", "/user/3", Found, "/user/<int:id>"},
	})
	if why := table.Explain("h", "GET", "/old/3").Why; why != "a route that the app had until lately matches it: `/old/<int:id>`" {
		t.Errorf("got why %q", why)
	}
}

func TestPrefixMount(t *testing.T) {
	table := shopTable(t, func(c *TableConfig) { c.Project.Options.Prefix = "/shop" })
	expect(t, table, []expectation{
		{"GET", "/shop/user/7", Found, "/user/<int:id>"},
		{"GET", "/shop/", Found, "/"},
		{"GET", "/shop", Redirect, "/"},
		{"GET", "/shop//user/7", Found, "/user/<int:id>"},
		{"GET", "/shopping/user/7", UnexpectedPath, ""},
		{"GET", "/user/7", UnexpectedPath, ""},
		{"GET", "/favicon.ico", Benign, ""},
		{"GET", "/shop/.env", Honeypath, ""},
		{"GET", "/.env", Honeypath, ""},
		{"GET", "/x.css", Benign, ""},
	})
	if got := table.Explain("h", "GET", "/shop/items?x=1").Location; got != "http://h/shop/items/?x=1" {
		t.Errorf("got location %s", got)
	}
	if why := table.Explain("h", "GET", "/user/7").Why; why != "the app is mounted below /shop" {
		t.Errorf("got why %q", why)
	}
	for _, prefix := range []string{"shop", "/shop/", "/"} {
		if _, err := NewTable(TableConfig{Project: &Project{Options: Options{Prefix: prefix}}}); err == nil {
			t.Errorf("prefix %q is accepted", prefix)
		}
	}
}

func TestBrokenRulesBecomeUnresolved(t *testing.T) {
	table := shopTable(t, func(c *TableConfig) {
		c.Project.Routes = append(c.Project.Routes,
			Route{Rule: "/broken/<int:>", File: "x.py", Line: 5},
			Route{Rule: "/len/<string(length=a):x>/z", File: "x.py", Line: 6})
	})
	expect(t, table, []expectation{
		{"GET", "/broken/5", UnresolvedPath, ""},
		{"GET", "/len/a/z", UnresolvedPath, ""},
		{"GET", "/user/7", Found, "/user/<int:id>"},
	})
	if table.Complete() || len(table.Unresolved()) != 2 {
		t.Errorf("complete %v, unresolved %v", table.Complete(), table.Unresolved())
	}
	if _, err := NewTable(TableConfig{}); err == nil || !strings.Contains(err.Error(), "TableConfig.Project") {
		t.Errorf("no project: got %v", err)
	}
}

func TestUnknownConvertersMatchWidely(t *testing.T) {
	p := &Project{Complete: true, Options: Options{MergeSlashes: true, Converters: map[string]Converter{
		"slug": {PartIsolating: true}, "own": {Regex: `[a-z]+`, PartIsolating: true}, "arg": {RegexFromArg: true, PartIsolating: true}, "int": {Regex: `x+`, PartIsolating: true},
	}}}
	for _, rule := range []string{"/a/<slug:x>/z", "/b/<never_heard_of(1):x>", "/c/<own:x>", "/d/<arg:x>", "/e/<int:x>", "/f/<x>"} {
		p.Routes = append(p.Routes, Route{Rule: rule, Methods: getOnly, StrictSlashes: true, MergeSlashes: true})
	}
	p.Routes[5].Converters = map[string]Converter{"x": {Regex: `\d`, PartIsolating: true}}
	expect(t, mustTable(t, TableConfig{Project: p}), []expectation{
		{"GET", "/a/what ever/z"[:7] + "/z", Found, "/a/<slug:x>/z"},
		{"GET", "/a/b/c/z", UnexpectedPath, ""},
		{"GET", "/b/c/d/e", Found, "/b/<never_heard_of(1):x>"},
		{"GET", "/b/", Found, "/b/<never_heard_of(1):x>"},
		{"GET", "/c/abc", Found, "/c/<own:x>"},
		{"GET", "/c/1", BadValue, "/c/<own:x>"},
		{"GET", "/d/any%20thing", Found, "/d/<arg:x>"},
		{"GET", "/e/xx", Found, "/e/<int:x>"},
		{"GET", "/e/7", BadValue, "/e/<int:x>"},
		{"GET", "/f/7", Found, "/f/<x>"},
		{"GET", "/f/x", BadValue, "/f/<x>"},
	})
}

// TestReportedBuiltinsStayNative: a running app reports its built-in converters
// by their regex, which must not cost them their bounds.
func TestReportedBuiltinsStayNative(t *testing.T) {
	p := &Project{Routes: []Route{{Rule: "/n/<int(max=9):x>", Converters: map[string]Converter{"x": {Regex: `\d+`, Weight: 50, PartIsolating: true}}}}}
	expect(t, mustTable(t, TableConfig{Project: p}), []expectation{
		{"GET", "/n/9", Found, "/n/<int(max=9):x>"},
		{"GET", "/n/10", BadValue, "/n/<int(max=9):x>"},
	})
}

func TestCatchAll(t *testing.T) {
	for rule, want := range map[string]bool{
		"/<path:p>": true, "/<path:p>/": true, "/<p>": false, "/a/<path:p>": false, "/<path:p>/edit": false, "/<unknown:p>": true,
	} {
		p := &Project{Routes: []Route{{Rule: rule}}}
		if got := mustTable(t, TableConfig{Project: p}).CatchAll() != nil; got != want {
			t.Errorf("%s: catch-all %v, want %v", rule, got, want)
		}
	}
}

func TestServerNameRestrictsBeforeFlask31(t *testing.T) {
	p := shop()
	p.Options.ServerName = "example.com"
	for _, c := range []struct {
		werkzeug, flask, host string
		want                  Kind
	}{
		{"2.2.2", "", "127.0.0.1", UnexpectedPath},
		{"2.2.2", "", "example.com", Found},
		{"3.1.3", "3.0.0", "127.0.0.1", UnexpectedPath},
		{"3.1.3", "3.1.0", "127.0.0.1", Found},
		{"", "", "127.0.0.1", Found},
	} {
		p.Options.Werkzeug, p.Options.Flask = c.werkzeug, c.flask
		if got := mustTable(t, TableConfig{Project: p}).Match(c.host, "GET", "/user/7"); got.Kind != c.want {
			t.Errorf("%+v: got %v", c, got.Kind)
		}
	}
}

// TestMatchIsSafeForConcurrentUse is for the race detector.
func TestMatchIsSafeForConcurrentUse(t *testing.T) {
	table := fuzzTables(t)[0]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, target := range []string{"/a/7/", "/%61/x", "/s/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "/.env", "//a//é", "/x-y/z"} {
				table.Match("example.com", "GET", target)
				table.Explain("example.com", "POST", target)
				table.Listed(target)
			}
		})
	}
	wg.Wait()
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := thousand(t)
	for _, target := range []string{
		"/section77/search", "/section77/12345?x=1", "/section77/by/J%C3%B6rg", "/static/a/b/c.css", "/nothing/at/all", "/wp-login.php", "/favicon.ico", "/section77", "/section77/x",
	} {
		if n := testing.AllocsPerRun(100, func() { table.Match("example.com", "GET", target) }); n > 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}

func TestKindWords(t *testing.T) {
	want := "route redirect unexpected_path unexpected_method bad_value honeypath benign unresolved bad_request bad_host websocket error unknown"
	var got []string
	for k := Found; k <= Failed+1; k++ {
		got = append(got, k.String())
	}
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
