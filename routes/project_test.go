package routes

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update to accept):\n%s", name, diff)
	}
}

// mall is a project with one of everything.
func mall() *Project {
	p := shop()
	p.Complete = false
	p.Unresolved = []Unresolved{{File: "shop/admin.py", Line: 12, Reason: "register_blueprint in a loop over a database query that nobody can know before the app runs", Prefix: "/admin"}}
	p.Routes = append(p.Routes,
		Route{Rule: "/ws", WebSocket: true, Endpoint: "ws", Source: Static, File: "app.py", Line: 50},
		Route{Rule: "/any", Endpoint: "any", Source: Learned},
		Route{Rule: "/img/<any(png,jpg):kind>/<float(min=0.5):scale>", Methods: []string{"GET", "PROPFIND"}, Endpoint: "img.scaled", Source: Runtime, Subdomain: "cdn"},
		Route{Rule: "/old", Methods: getOnly, Endpoint: "old", Source: Static, RedirectTo: "/items/", File: "a/rather/deep/package/with/long/names/views.py", Line: 1234, Defaults: map[string]any{"n": 1}},
		Route{Rule: "/b/<uuid:id>", Methods: getOnly, Endpoint: "b", Source: Static, Confirmed: true, BuildOnly: true},
		Route{Rule: "/user/<string(length=2):lang>", Methods: []string{"OPTIONS", "PUT"}, Endpoint: "lang", Source: Static, File: "app.py", Line: 60},
	)
	return p
}

func TestWriteTable(t *testing.T) {
	for name, width := range map[string]int{"table.golden": 0, "table80.golden": 80} {
		var b strings.Builder
		if err := mall().WriteTable(&b, TableFormat{Width: width}); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
				t.Errorf("a line has %d columns of %d: %s", n, width, line)
			}
		}
	}
	var b strings.Builder
	if err := shop().WriteTable(&b, TableFormat{Width: 200}); err != nil || !strings.HasSuffix(b.String(), "\n7 routes, nothing unresolved\n") {
		t.Errorf("got %v\n%s", err, b.String())
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	p := &Project{App: "app.py", Routes: []Route{{Rule: "/user/<username>", Methods: getOnly, Endpoint: "getuser", StrictSlashes: true, Source: Static, File: "app.py", Line: 9}}, Complete: true}
	if err := p.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	design := `{"app": "app.py", "complete": true, "unresolved": [],
	  "routes": [{"rule": "/user/<username>", "methods": ["GET","HEAD","OPTIONS"], "endpoint": "getuser", "host": "", "subdomain": "",
	              "strict_slashes": true, "defaults": {}, "source": "static", "file": "app.py", "line": 9}]}`
	if err := json.Unmarshal([]byte(design), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ReadJSON(strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "flask2ban routes --format json") {
		t.Errorf("the error does not say what to give: %v", err)
	}
}

func TestJSONGoesThereAndBack(t *testing.T) {
	var b bytes.Buffer
	if err := mall().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	back, err := ReadJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := DiffProjects(mall(), back); len(d.Added) > 1 || len(d.Removed) > 1 {
		t.Errorf("got %+v", d) // build_only is not in the JSON
	}
}

// TestExplanationIsTheDesignsJSON checks the names and values that DESIGN
// section 8 fixes.
func TestExplanationIsTheDesignsJSON(t *testing.T) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(shopTable(t, nil).Explain("example.com", "GET", "/2020")); err != nil {
		t.Fatal(err)
	}
	got := strings.TrimSpace(b.String())
	want := `{"method":"GET","target":"/2020","verdict":"route","rule":"/<int:year>","endpoint":"year","args":{"year":"2020"},"location":"","allow":[]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestExplainSaysWhatIsNearest(t *testing.T) {
	table := shopTable(t, nil)
	for target, want := range map[string]string{
		"/users/7":       "`/users/7` is not a route; nearest: `/user/<int:id>` (app.py:9)",
		"/user/7/edits":  "`/user/7/edits` is not a route; nearest: `/user/<int:id>/edit` (app.py:14)",
		"/item/":         "`/item/` is not a route; nearest: `/items/` (shop/items.py:20)",
		"/user":          "`/user` is not a route; nearest: `/user/<int:id>` (app.py:9)",
		"/completely/un": "`/completely/un` is not a route",
		"/user/x":        "it has the shape of this rule, and a converter refuses the value",
		"/favicon.ico":   "no route has it, and browsers, crawlers or systems ask for it unbidden",
	} {
		if got := table.Explain("h", "GET", target).Why; got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
	e := table.Explain("h", "GET", "/items/12")
	if len(e.Nearest) == 0 || e.Nearest[0].Why != `<n> refuses "12": out of its bounds` {
		t.Errorf("got %+v", e.Nearest)
	}
	if e := table.Explain("h", "DELETE", "/user/7/edit"); !slices.Equal(e.Allow, []string{"GET", "HEAD", "OPTIONS", "POST"}) {
		t.Errorf("got allow %q", e.Allow)
	}
}

func TestDiffProjects(t *testing.T) {
	old, now := shop(), shop()
	now.Routes = slices.Clone(now.Routes[1:])
	now.Routes[0].Line, now.Routes[0].Endpoint = 99, "renamed"
	now.Routes[1].Methods = []string{"GET", "HEAD", "OPTIONS", "DELETE"}
	now.Routes = append(now.Routes, Route{Rule: "/new", Methods: nil}, Route{Rule: "/hidden", BuildOnly: true})
	var b strings.Builder
	d := DiffProjects(old, now)
	if _, err := d.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := "- GET / (app.py:3)\n- POST /user/<int:id>/edit (app.py:14)\n+ any /new\n+ DELETE /user/<int:id>/edit (app.py:14)\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	if same := DiffProjects(old, old); len(same.Added)+len(same.Removed) > 0 {
		t.Errorf("a project differs from itself: %+v", same)
	}
}

func TestMerge(t *testing.T) {
	static := mall()
	report := URLMap{Flask: "3.0.3", Werkzeug: "3.0.4", Complete: true, Options: Options{StrictSlashes: true, MergeSlashes: true}, Mounts: []string{"/other/"}}
	for _, r := range shop().Routes[:5] {
		r.File, r.Line, r.Source = "", 0, ""
		report.Routes = append(report.Routes, r)
	}
	report.Routes[2].Methods = []string{"POST", "OPTIONS"}
	report.Routes = append(report.Routes, Route{Rule: "/admin/db", Methods: getOnly, Endpoint: "admin.db"})
	merged, d := static.Merge(report)
	if len(d.Confirmed) != 5 || len(d.RuntimeOnly) != 1 || len(d.StaticOnly) != 6 {
		t.Fatalf("got %d confirmed, %d runtime-only, %d static-only", len(d.Confirmed), len(d.RuntimeOnly), len(d.StaticOnly))
	}
	if r := merged.Routes[2]; !r.Confirmed || r.Line != 14 || r.Source != Static || !slices.Equal(r.Methods, []string{"POST", "OPTIONS"}) {
		t.Errorf("got %+v", r)
	}
	if r := merged.Routes[5]; r.Source != Runtime || r.Confirmed {
		t.Errorf("got %+v", r)
	}
	if merged.Complete || len(merged.Unresolved) != 1 || merged.Unresolved[0].Prefix != "/other" {
		t.Errorf("a mount must stay open: %+v", merged.Unresolved)
	}
	if merged.Options.Werkzeug != "3.0.4" || merged.Options.Flask != "3.0.3" {
		t.Errorf("got %+v", merged.Options)
	}
	expect(t, mustTable(t, TableConfig{Project: merged}), []expectation{
		{"GET", "/admin/nothing", UnexpectedPath, ""},
		{"GET", "/other/x", UnresolvedPath, ""},
		{"GET", "/any", Found, "/any"}, // learned routes stay
		{"GET", "/user/7/edit", UnexpectedMethod, "/user/<int:id>/edit"},
		{"GET", "/files/x", UnexpectedPath, ""},
	})
	if len(static.Routes) != len(mall().Routes) || static.Lint != nil {
		t.Error("Merge changed its receiver")
	}
	lint := LintProject(merged)
	if !slices.ContainsFunc(lint, func(f Finding) bool { return f.Check == CheckStaticOnly && f.Line == 40 }) {
		t.Errorf("no lint for a route that only the source has: %+v", lint)
	}
}

func TestMergeOfAnIncompleteReportKeepsEverything(t *testing.T) {
	static := mall()
	merged, _ := static.Merge(URLMap{Routes: static.Routes[:1]})
	if len(merged.Routes) != len(static.Routes) || len(merged.Unresolved) != 1 || merged.Complete {
		t.Errorf("got %d routes, unresolved %v, complete %v", len(merged.Routes), merged.Unresolved, merged.Complete)
	}
	whole, _ := static.Merge(URLMap{Routes: static.Routes, Complete: true})
	if !whole.Complete || len(whole.Unresolved) > 0 || !mustTable(t, TableConfig{Project: whole}).Complete() {
		t.Error("a complete report without mounts does not close the table")
	}
}

func TestLintProject(t *testing.T) {
	add := func(p *Project, line int, rule string, methods []string) {
		p.Routes = append(p.Routes, Route{Rule: rule, Methods: methods, Endpoint: "e" + rule, StrictSlashes: true, MergeSlashes: true, File: "x.py", Line: line})
	}
	p := shop()
	p.Lint = []Finding{{File: "app.py", Line: 99, Check: "debug", Message: "app.run(debug=True)"}}
	p.Unresolved = []Unresolved{{File: "y.py", Line: 2, Reason: "exec", Prefix: "/"}}
	add(p, 1, "/user/<int:id>", getOnly)
	add(p, 2, "/user/<int:number>", getOnly)
	add(p, 3, "/user/<int:id>", []string{"DELETE", "OPTIONS"})
	add(p, 4, "/<path:rest>", getOnly)
	add(p, 5, "/console", getOnly)
	add(p, 6, "/hook/d41d8cd98f00b204e9800998ecf8427e", []string{"POST"})
	add(p, 7, "/login/<user>/<password>", []string{"POST"})
	add(p, 8, "/nothing", []string{"OPTIONS"})
	add(p, 9, "/typo", []string{"GET", "PSOT"})
	add(p, 10, "/bad/<int:>", getOnly)
	add(p, 11, "/page/<slug>", getOnly)
	add(p, 12, "/page/about", getOnly)
	add(p, 13, "/terms-and-conditions-of-use-2024", getOnly)
	add(p, 14, "/scim/v2/ServiceProviderConfigList", getOnly)
	want := []string{
		"app.py:99 debug app.run(debug=True)",
		"x.py:1 duplicate GET /user/<int:id> is registered twice; only user (app.py:9) answers",
		"x.py:2 shadowed /user/<int:number> is never reached: /user/<int:id> (app.py:9) answers its paths first",
		"x.py:4 catch-all /<path:rest> matches nearly every path, so unknown paths are no evidence for GET",
		"x.py:5 console /console is where Werkzeug's interactive debugger has its console; flask2ban refuses it unless --allow-debugger",
		"x.py:6 secret a segment of /hook/d41d… looks like a secret; everyone who sees a log has it",
		`x.py:7 secret /login/<user>/<password> takes "password" from the URL, where logs, proxies and referrers keep it`,
		"x.py:8 no-handler /nothing answers no method but OPTIONS: its view has no handler",
		`x.py:9 method /typo: "PSOT" is no method of HTTP`,
		`x.py:10 broken-rule /bad/<int:>: malformed rule "/bad/<int:>": werkzeug refuses it at "<int:>"`,
		"y.py:2 unresolved routes may be registered anywhere here, so no unknown path is evidence: exec",
	}
	var got []string
	for _, f := range LintProject(p) {
		got = append(got, placeWord(Route{File: f.File, Line: f.Line})+" "+f.Check+" "+f.Message)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if clean := LintProject(shop()); clean != nil {
		t.Errorf("a clean project has findings: %v", clean)
	}
}
