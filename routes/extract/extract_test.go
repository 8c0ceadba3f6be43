package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flask2ban/flask2ban/routes"
)

// fixture is one project in testdata/apps: a txtar archive whose comment says
// what to expect.
//
//	entry: what Resolve is given
//	oracle: MODULE EXPRESSION, the app for the real Flask; absent where it can't run
//	also: METHODS RULE, in the table though this run of the app has it not
//	route: METHODS RULE [ENDPOINT], expected where there is no oracle
//	open: PREFIX, an unresolved prefix
type fixture struct {
	name, entry string
	oracle      []string
	also, open  []string
	routes      []string
	dir         string
}

func loadFixture(t *testing.T, file string) fixture {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), dir: t.TempDir()}
	for _, line := range strings.Split(string(a.Comment), "\n") {
		key, v, _ := strings.Cut(line, ": ")
		switch key {
		case "entry":
			f.entry = v
		case "oracle":
			f.oracle = strings.SplitN(v, " ", 2)
		case "also":
			f.also = append(f.also, v)
		case "open":
			f.open = append(f.open, v)
		case "route":
			f.routes = append(f.routes, v)
		}
	}
	unpack(t, f.dir, a)
	return f
}

func unpack(t *testing.T, dir string, a *txtar.Archive) {
	t.Helper()
	for _, file := range a.Files {
		name := filepath.Join(dir, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// readIn resolves and reads an entry as seen from dir.
func readIn(t *testing.T, dir, entry string, o Options) *routes.Project {
	t.Helper()
	e, err := resolveIn(dir, entry)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(context.Background(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rule is what is compared with the real Flask.
type rule struct {
	Rule, Endpoint, Host, Subdomain string
	Methods                         []string
	StrictSlashes                   bool           `json:"strict_slashes"`
	MergeSlashes                    bool           `json:"merge_slashes"`
	Defaults                        map[string]any `json:"defaults"`
}

func (r rule) String() string { return strings.Join(r.Methods, ",") + " " + r.Rule }

func tableOf(p *routes.Project) []rule {
	var out []rule
	for _, r := range p.Routes {
		out = append(out, rule{r.Rule, r.Endpoint, r.Host, r.Subdomain, r.Methods, r.StrictSlashes, r.MergeSlashes, jsonDefaults(r.Defaults)})
	}
	sortRules(out)
	return out
}

// jsonDefaults makes numbers what JSON makes of them.
func jsonDefaults(d map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range d {
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		out[k] = v
	}
	return out
}

func sortRules(rs []rule) {
	sort.Slice(rs, func(i, j int) bool { return fmt.Sprint(rs[i]) < fmt.Sprint(rs[j]) })
}

const python3 = "/usr/bin/python3" // Debian's, which has Flask

func askFlask(t *testing.T, f fixture) []rule {
	t.Helper()
	script, err := filepath.Abs("testdata/oracle.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python3, append([]string{"-B", "-W", "ignore", script}, f.oracle...)...)
	cmd.Dir = f.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var got struct{ Rules []rule }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	sortRules(got.Rules)
	return got.Rules
}

func TestAgainstRealFlask(t *testing.T) {
	files, err := filepath.Glob("testdata/apps/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			f := loadFixture(t, file)
			p := readIn(t, f.dir, f.entry, Options{Werkzeug: "2.2.2"})
			checkOpen(t, f, p)
			got := without(tableOf(p), f.also, t)
			if len(f.oracle) > 0 {
				if diff := cmp.Diff(askFlask(t, f), got); diff != "" {
					t.Errorf("Flask's url_map (-) and ours (+):\n%s", diff)
				}
				return
			}
			checkRoutes(t, f, got)
		})
	}
}

// without takes away the rules that are expected beyond the oracle's.
func without(rs []rule, also []string, t *testing.T) []rule {
	t.Helper()
	want := map[string]bool{}
	for _, a := range also {
		want[a] = true
	}
	var out []rule
	seen := map[string]bool{}
	for _, r := range rs {
		if want[r.String()] {
			seen[r.String()] = true
			continue
		}
		out = append(out, r)
	}
	for a := range want {
		if !seen[a] {
			t.Errorf("the table lacks %s", a)
		}
	}
	return out
}

func checkOpen(t *testing.T, f fixture, p *routes.Project) {
	t.Helper()
	var got []string
	for _, u := range p.Unresolved {
		got = append(got, u.Prefix)
		if u.Reason == "" || u.File == "" || u.Line == 0 {
			t.Errorf("unresolved without its place or reason: %+v", u)
		}
	}
	sort.Strings(got)
	sort.Strings(f.open)
	if diff := cmp.Diff(f.open, got); diff != "" {
		t.Errorf("unresolved prefixes expected (-) and found (+):\n%s\n%+v", diff, p.Unresolved)
	}
	if p.Complete != (len(f.open) == 0) {
		t.Errorf("complete is %v with %d unresolved", p.Complete, len(f.open))
	}
}

func checkRoutes(t *testing.T, f fixture, rs []rule) {
	t.Helper()
	var got []string
	for _, r := range rs {
		got = append(got, r.String()+" "+r.Endpoint)
	}
	sort.Strings(got)
	want := append([]string(nil), f.routes...)
	sort.Strings(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("expected (-) and found (+):\n%s", diff)
	}
}

// rulesOf lists the rules of a project, sorted.
func rulesOf(p *routes.Project) []string {
	var out []string
	for _, r := range p.Routes {
		out = append(out, r.Rule)
	}
	sort.Strings(out)
	return out
}
