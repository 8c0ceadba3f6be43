// Package layout holds the test of which package may import which.
package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/flask2ban/flask2ban/"

// allowed lists, for each package, the packages of this module that it may
// import. cmd/... may import everything and is not listed. A package that
// ought to be replaceable or testable on its own stands low in this list, and
// nothing may be added to it without a line in ARCHITECTURE.md.
var allowed = map[string][]string{
	"ban":                      {},
	"routes":                   {},
	"routes/python":            {},
	"routes/extract":           {"routes", "routes/python"},
	"internal/app":             {"routes", "internal/app/health", "internal/children"},
	"internal/app/health":      {},
	"internal/certs":           {},
	"internal/children":        {},
	"internal/clientip":        {},
	"internal/config":          {"internal/clientip", "internal/notify"},
	"internal/notify":          {},
	"internal/state":           {},
	"internal/metrics":         {},
	"internal/store":           {"ban"},
	"internal/store/redistest": {},
	"internal/live":            {"routes"},
	"internal/admin":           {"ban", "routes", "internal/app", "internal/metrics", "internal/overview", "internal/page", "internal/state"},
	"internal/page":            {"ban", "routes", "internal/app", "internal/overview", "internal/state"},
	"internal/overview":        {"ban", "routes", "internal/app", "internal/metrics"},
	"internal/cmdline":         {"internal/admin", "internal/app", "internal/config", "internal/handover", "internal/state", "internal/systemd"},
	"internal/systemd":         {},
	"internal/testbed":         {},
	"internal/handover":        {"internal/children"},
	"internal/hostname":        {},
	"internal/kernel":          {},
	"internal/layout":          {},
	"internal/reference":       {"internal/config"},
	"internal/replay":          {"ban", "routes", "internal/clientip", "internal/hostname", "proxy"},
	"proxy":                    {"ban", "routes", "internal/app", "internal/clientip", "internal/metrics"},
}

// onlyThese lists the packages from outside that a package may import, where
// that is bounded at all.
var onlyThese = map[string][]string{
	"ban": {"golang.org/x/time/rate"},
}

// TestImports holds the direction of imports: cmd → everything; ban knows no
// HTTP, no store and no routes; routes knows no ban.
func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "testdata", "bin", "node_modules"}, d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		checkFile(t, file, path.Dir(filepath.ToSlash(rel)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, file, pkg string) {
	t.Helper()
	if strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "bench") {
		return
	}
	may, ok := allowed[pkg]
	if !ok {
		t.Errorf("%s: package %s is not in the table of allowed imports", file, pkg)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, found := strings.CutPrefix(name, module); found {
			if !slices.Contains(may, ours) {
				t.Errorf("%s imports %s; allowed are %v", file, ours, may)
			}
			continue
		}
		outside := strings.Contains(strings.Split(name, "/")[0], ".")
		if only, bounded := onlyThese[pkg]; bounded && (outside && !slices.Contains(only, name) || strings.HasPrefix(name, "net/http")) {
			t.Errorf("%s imports %s; outside the standard library it may import %v, and no net/http", file, name, only)
		}
	}
}
