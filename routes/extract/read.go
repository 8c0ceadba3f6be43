package extract

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/routes"
	"github.com/flask2ban/flask2ban/routes/python"
)

// Options of reading; the zero value is right for most.
type Options struct {
	// Werkzeug is the version whose matching the project's Options name; empty
	// means the newest known.
	Werkzeug string
	// Prefix is where the app is mounted, for [routes.Options].
	Prefix string
	// Path is the interpreter's sys.path. An entry that is no file of the
	// current directory is searched there, and the source of extensions that
	// are not known is read there. Nothing else outside the project is read.
	Path []string
	// Env are environment variables of which the app's values are known. Where
	// they decide a route, the default in the source is kept beside.
	Env map[string]string
	// Limits bound the reading.
	Limits Limits

	noExtensions bool
}

// Limits bound what reading one app may cost. Where one bites, the project says
// so in an unresolved entry. Zero fields mean the defaults.
type Limits struct {
	// Steps is how many statements and expressions are evaluated; default
	// 5,000,000.
	Steps int
	// Time is how long evaluating may take; default 30 s.
	Time time.Duration
	// Files is how many files are read ahead; default 20,000.
	Files int
	// File bounds one file.
	File python.Limits
}

const (
	defaultSteps = 5_000_000
	defaultTime  = 30 * time.Second
	defaultFiles = 20_000
)

func (o Options) nestedSubdomains() bool { return o.Werkzeug == "" || o.Werkzeug >= "2.3" }

// Read evaluates what the entry registers.
func Read(ctx context.Context, e Entry, o Options) (*routes.Project, error) {
	if e.File == "" {
		found, err := e.locateInstalled(o.Path)
		if err != nil {
			return nil, err
		}
		e = found
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoader(ctx, e, o)
	in := &interp{ctx: ctx, opts: o, loader: l, budget: newBudget(o.Limits)}
	in.prepare()
	project := in.project(e)
	err := ctx.Err()
	cancel()
	l.wait.Wait()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.App, err)
	}
	return project, nil
}

func newLoader(ctx context.Context, e Entry, o Options) *loader {
	l := &loader{root: e.Root, only: e.Package, sysPath: slices.Clone(e.Installed), ctx: ctx, modules: map[string]*module{},
		files: map[string]*pending{}, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), limits: o.Limits.File, max: o.Limits.Files}
	l.limits.Lazy = true
	if l.max <= 0 {
		l.max = defaultFiles
	}
	l.top = projectTop(e.Root)
	l.installed.own, _, _ = strings.Cut(e.Module, ".")
	seen := map[string]bool{}
	for _, d := range append([]string{e.Root}, e.Path...) {
		if !seen[d] {
			seen[d] = true
			l.addPath(d)
		}
	}
	l.sysPath = append(l.sysPath, o.Path...)
	return l
}

// projectTop is the nearest directory above root that looks like a project's.
func projectTop(root string) string {
	dir := root
	for range 6 {
		for _, mark := range []string{".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile"} {
			if isFile(filepath.Join(dir, mark)) || isDir(filepath.Join(dir, mark)) {
				return dir
			}
		}
		dir = filepath.Dir(dir)
	}
	return root
}
