package live

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

func project(rules ...string) *routes.Project {
	p := &routes.Project{App: "app.py", Complete: true, Options: routes.Options{StrictSlashes: true, MergeSlashes: true}}
	for _, r := range rules {
		p.Routes = append(p.Routes, route(r, routes.Static))
	}
	return p
}

func route(rule string, source routes.Source) routes.Route {
	return routes.Route{
		Rule: rule, Methods: []string{"GET", "HEAD", "OPTIONS"}, Endpoint: "e" + strings.Trim(rule, "/"),
		StrictSlashes: true, MergeSlashes: true, Source: source,
	}
}

func newTable(t *testing.T, c Config) *Table {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	table, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func kind(table *Table, target string) routes.Kind {
	now, _ := table.Current()
	return now.Match("app.example", "GET", target).Kind
}

func TestURLMapCompletesTheTable(t *testing.T) {
	t.Parallel()
	table := newTable(t, Config{Project: project("/", "/old")})
	if _, confirmed := table.Current(); confirmed {
		t.Error("confirmed before the app has reported")
	}
	if got := kind(table, "/admin"); got != routes.UnexpectedPath {
		t.Errorf("/admin before: %v", got)
	}
	table.SetURLMap(routes.URLMap{
		Flask: "2.2.2", Werkzeug: "2.2.2", Complete: true,
		Options: routes.Options{StrictSlashes: true, MergeSlashes: true},
		Routes:  []routes.Route{route("/", routes.Runtime), route("/admin", routes.Runtime)},
	})
	if _, confirmed := table.Current(); !confirmed {
		t.Error("not confirmed after the app has reported")
	}
	if got := kind(table, "/admin"); got != routes.Found {
		t.Errorf("/admin after: %v", got)
	}
	if got := kind(table, "/nowhere"); got != routes.UnexpectedPath {
		t.Errorf("/nowhere: %v", got)
	}
}

func TestLearn(t *testing.T) {
	t.Parallel()
	changes := 0
	table := newTable(t, Config{Project: project("/"), Changed: func(*routes.Project) { changes++ }})
	before := changes
	table.Learn("/later/<name>", "GET")
	table.Learn("/later/<name>", "GET") // twice is once
	if changes != before+1 {
		t.Errorf("%d changes for one route", changes-before)
	}
	if got := kind(table, "/later/x"); got != routes.Found {
		t.Errorf("GET of a learned route: %v", got)
	}
	now, _ := table.Current()
	if got := now.Match("h", "POST", "/later/x").Kind; got != routes.UnexpectedMethod {
		t.Errorf("POST of it: %v", got)
	}
	table.Learn("/later/<name>", "POST")
	now, _ = table.Current()
	if got := now.Match("h", "POST", "/later/x").Kind; got != routes.Found {
		t.Errorf("POST after it was learned: %v", got)
	}
	if n := len(table.Project().Routes); n != 2 {
		t.Errorf("%d routes, want 2", n)
	}
}

func TestLearnIsBounded(t *testing.T) {
	t.Parallel()
	table := newTable(t, Config{Project: project("/")})
	table.learned = make([]routes.Route, maxLearned)
	table.Learn("/one-more", "GET")
	if len(table.learned) != maxLearned {
		t.Errorf("%d learned, want at most %d", len(table.learned), maxLearned)
	}
}

func TestLearnOfNonsenseKeepsTheTable(t *testing.T) {
	t.Parallel()
	table := newTable(t, Config{Project: project("/")})
	table.Learn("/<unclosed", "GET")
	table.Learn("/sense", "GET")
	for _, target := range []string{"/", "/sense"} {
		if got := kind(table, target); got != routes.Found {
			t.Errorf("%s after nonsense: %v", target, got)
		}
	}
}

func TestRouteGrace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "routes.json")
	then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	open := func() *History {
		h, err := OpenHistory(path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if err := open().Note(project("/", "/gone", "/files/<path:name>", "/<path:all>"), then, Grace); err != nil {
		t.Fatal(err)
	}
	now := project("/")
	retired := open().Retired(now, then.Add(Grace-time.Minute), Grace)
	if len(retired) != 3 {
		t.Errorf("retired %+v, want what is gone", retired)
	}
	table := newTable(t, Config{Project: now, Retired: func(*routes.Project) []routes.Route { return retired }})
	for target, want := range map[string]routes.Kind{
		"/gone": routes.UnresolvedPath, "/files/2026/a.pdf": routes.UnresolvedPath, "/other": routes.UnexpectedPath,
	} {
		if got := kind(table, target); got != want {
			t.Errorf("%s within the grace: %v, want %v", target, got, want)
		}
	}
	if late := open().Retired(now, then.Add(Grace), Grace); len(late) != 0 {
		t.Errorf("after the grace: %+v", late)
	}
	// Routes not seen for that long leave the file.
	h := open()
	if err := h.Note(now, then.Add(2*Grace), Grace); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); strings.Contains(string(b), "/gone") {
		t.Errorf("the file still has /gone: %s", b)
	}
}

// TestFullHistory takes no more routes, but knows of those that it has that they
// are there still.
func TestFullHistory(t *testing.T) {
	t.Parallel()
	h, err := OpenHistory(filepath.Join(t.TempDir(), "routes.json"))
	if err != nil {
		t.Fatal(err)
	}
	rules := make([]string, maxHistory)
	for n := range rules {
		rules[n] = fmt.Sprint("/", n)
	}
	then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, day := range []int{0, 6} {
		if err := h.Note(project(append([]string{"/late"}, rules...)[day/6:]...), then.AddDate(0, 0, day), Grace); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.seen) != maxHistory {
		t.Errorf("%d routes are kept, want %d", len(h.seen), maxHistory)
	}
	retired := h.Retired(project("/late"), then.AddDate(0, 0, 8), Grace)
	if got, want := len(retired), maxHistory-1; got != want {
		t.Errorf("%d routes have a grace two days after they were last there, want %d", got, want)
	}
}

func TestHistoryOfGarbage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "routes.json")
	if err := os.WriteFile(path, []byte(`[{"rule":`), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(path)
	if err == nil || !strings.Contains(err.Error(), path+".corrupt") {
		t.Errorf("error %v, want one that names where the file went", err)
	}
	if h == nil {
		t.Fatal("no history to go on with")
	}
	if err := h.Note(project("/"), time.Now(), Grace); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + ".corrupt"); err != nil {
		t.Error(err)
	}
	if _, err := OpenHistory(path); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestHistoryWithoutAPlace(t *testing.T) {
	t.Parallel()
	h, err := OpenHistory(filepath.Join(t.TempDir(), "missing", "routes.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Note(project("/"), time.Now(), Grace); err == nil {
		t.Error("no error where the file can't be written")
	}
}
