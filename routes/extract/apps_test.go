package extract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// truth is the url_map of a real project (see the README of its data set).
type truth struct {
	Name, Dir, App string
	Path           []string
	Rules          []struct {
		Rule    string
		Methods []string
		Own     bool
	}
}

// TestRealApps reads real projects: FLASK2BAN_APPS names a directory with one
// project's sources in each folder, FLASK2BAN_TRUTH the one with their true
// url_maps as JSON, by the same names.
func TestRealApps(t *testing.T) {
	apps, truths := os.Getenv("FLASK2BAN_APPS"), os.Getenv("FLASK2BAN_TRUTH")
	if apps == "" || truths == "" {
		t.Skip("FLASK2BAN_APPS and FLASK2BAN_TRUTH name no directories of fetched projects")
	}
	files, err := filepath.Glob(filepath.Join(truths, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no truth in %s: %v", truths, err)
	}
	total, found, open := 0, 0, 0
	for _, file := range files {
		want := readTruth(t, file)
		total += len(want.Rules)
		t.Run(want.Name, func(t *testing.T) {
			start := time.Now()
			p := readApp(t, filepath.Join(apps, want.Name), want)
			took := time.Since(start)
			hit, wide := compareTruth(t, want, p)
			t.Logf("rules %4d found %4d unresolved %3d in %v", len(want.Rules), hit, len(p.Unresolved), took.Round(time.Millisecond))
			found += hit
			if wide {
				open++
			}
		})
	}
	t.Logf("found %d of %d, open everywhere %d of %d", found, total, open, len(files))
	if open > 4 || found*100 < total*96 {
		t.Errorf("found %d of %d rules, %d apps open everywhere", found, total, open)
	}
}

func readTruth(t *testing.T, file string) truth {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out truth
	if err := json.Unmarshal(src, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func readApp(t *testing.T, root string, want truth) *routes.Project {
	t.Helper()
	var path []string
	for _, p := range want.Path {
		path = append(path, filepath.Join(root, p))
	}
	t.Setenv("PYTHONPATH", strings.Join(path, ":"))
	return readIn(t, filepath.Join(root, want.Dir), want.App, Options{Path: sysPath(t)})
}

// compareTruth counts what was found, and fails for what was missed in silence.
func compareTruth(t *testing.T, want truth, p *routes.Project) (found int, wide bool) {
	t.Helper()
	have := map[string]map[string]bool{}
	for _, r := range p.Routes {
		rule := strings.ReplaceAll(r.Rule, " ", "")
		if have[rule] == nil {
			have[rule] = map[string]bool{}
		}
		for _, m := range r.Methods {
			have[rule][m] = true
		}
	}
	for _, u := range p.Unresolved {
		wide = wide || u.Prefix == "/"
	}
	for _, r := range want.Rules {
		methods, ok := have[strings.ReplaceAll(r.Rule, " ", "")]
		for _, m := range r.Methods {
			ok = ok && methods[m]
		}
		switch {
		case ok:
			found++
		case !opened(p, r.Rule):
			t.Errorf("%s: %s %v is missed in silence", want.Name, r.Rule, r.Methods)
		}
	}
	return found, wide
}

func opened(p *routes.Project, rule string) bool {
	for _, u := range p.Unresolved {
		if prefix := strings.TrimRight(u.Prefix, "/"); prefix == "" || rule == prefix || strings.HasPrefix(rule, prefix+"/") {
			return true
		}
	}
	return false
}
