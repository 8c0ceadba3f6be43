package extract

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Entry says where an app begins.
type Entry struct {
	// App is what the person wrote.
	App string
	// Dir is the directory to stand in, absolute.
	Dir string
	// File is the entry's Python file, absolute; empty where only Module is
	// known, which is then searched on [Options.Path].
	File string
	// Module is the dotted name under which File is imported.
	Module string
	// Object is the app or factory in the module; empty to search for one as
	// Flask does.
	Object string
	// Factory says that Object is to be called, with Args, the Python source
	// of its arguments.
	Factory bool
	Args    string
	// Root is the directory that reported files are relative to, and where the
	// project's modules are searched first.
	Root string
	// Path lists further directories to search for the project's modules.
	Path []string
	// Installed lists directories of installed packages, before those of
	// [Options.Path]: $PYTHONPATH may name some.
	Installed []string
	// Package is set where the entry lives among installed packages: only this
	// package's modules are then the project's.
	Package string
	// Script says that File is run (python app.py), not imported.
	Script bool
}

// ErrNoEntry is what [Resolve] and [Read] wrap where nothing can be found.
var ErrNoEntry = errors.New("no Flask app found")

// candidates are the files that Flask and its users name their entry.
var candidates = []string{"wsgi.py", "app.py", "application.py", "main.py", "run.py", "server.py", "web.py", "autoapp.py", "manage.py", "index.py", "api.py", "__init__.py"}

var appColon = regexp.MustCompile(`:[^\\/:]*$`)

// Resolve finds the entry that app names, seen from the current directory: a
// .py file, a directory, "module:object", "module:factory('x')", or a module's
// name. The directory may hold FLASK_APP in .flaskenv, as Flask reads it.
func Resolve(app string) (Entry, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Entry{}, fmt.Errorf("resolve %s: %w", app, err)
	}
	return resolveIn(dir, app)
}

func resolveIn(dir, app string) (Entry, error) {
	e := Entry{App: app, Dir: dir}
	name, object := splitObject(app)
	e.setObject(object)
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, name)
	}
	switch s, err := os.Stat(path); {
	case err == nil && s.IsDir() && (strings.ContainsAny(name, "/.") || object == "" || !isIdentifier(name)):
		return e.inDirectory(path)
	case err == nil && s.Mode().IsRegular():
		if err := readable(path); err != nil {
			return e, fmt.Errorf("%w: %w", ErrNoEntry, err)
		}
		return e.ofFile(path, object == ""), nil
	case errors.Is(err, fs.ErrPermission):
		return e, fmt.Errorf("%w: %w", ErrNoEntry, err)
	case strings.HasSuffix(name, ".py") || strings.ContainsAny(name, "/\\"):
		return e, fmt.Errorf("%w: there is no file %s", ErrNoEntry, path)
	}
	return e.ofModule(name)
}

// readable says why a file can't be read; nil where it can.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 1)); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// splitObject cuts "module:object(args)" in two.
func splitObject(app string) (string, string) {
	head, tail := app, ""
	if i := strings.IndexByte(app, '('); i >= 0 {
		head, tail = app[:i], app[i:]
	}
	at := appColon.FindStringIndex(head)
	if at == nil || at[0] == 1 && len(head) > 2 && (head[2] == '\\' || head[2] == '/') {
		return app, ""
	}
	return head[:at[0]], head[at[0]+1:] + tail
}

func (e *Entry) setObject(object string) {
	name, args, call := strings.Cut(object, "(")
	e.Object = strings.TrimSpace(name)
	e.Factory = call
	e.Args = strings.TrimSuffix(strings.TrimSpace(args), ")")
}

// ofFile places a file as Flask's prepare_import does: the first directory above
// that is no package is the root.
func (e Entry) ofFile(file string, script bool) Entry {
	e.File = filepath.Clean(file)
	e.Script = script
	root, name := filepath.Dir(e.File), strings.TrimSuffix(filepath.Base(e.File), ".py")
	names := []string{name}
	if name == "__init__" {
		names = nil
	}
	e.Path = append(e.Path, root)
	for isFile(filepath.Join(root, "__init__.py")) && filepath.Dir(root) != root {
		names = append([]string{filepath.Base(root)}, names...)
		root = filepath.Dir(root)
	}
	e.Module, e.Root = strings.Join(names, "."), root
	if packagesDir(root) {
		return e.amongInstalled(root)
	}
	return e
}

// inDirectory finds the entry of a project's directory.
func (e Entry) inDirectory(dir string) (Entry, error) {
	e.Dir = dir
	if isFile(filepath.Join(dir, "__init__.py")) {
		return e.ofFile(filepath.Join(dir, "__init__.py"), false), nil
	}
	if named := flaskApp(dir); named != "" && e.Object == "" {
		if out, err := resolveIn(dir, named); err == nil {
			out.App = e.App
			out.Script = false
			return out, nil
		}
	}
	for _, c := range candidates {
		if file := filepath.Join(dir, c); isFile(file) && mentionsFlask(file) {
			return e.ofFile(file, false), nil
		}
	}
	if file, ok := packageIn(dir); ok {
		return e.ofFile(file, false), nil
	}
	return e, fmt.Errorf("%w: %s has neither FLASK_APP in .flaskenv nor one of %s; name the file or module:object", ErrNoEntry, dir, strings.Join(candidates[:5], ", "))
}

// packageIn finds the one package or file of a directory that makes an app.
func packageIn(dir string) (string, bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false
	}
	for _, en := range entries {
		for _, name := range []string{"__init__.py", "app.py", "main.py", "wsgi.py"} {
			file := filepath.Join(dir, en.Name(), name)
			if en.IsDir() && en.Name() != "tests" && isFile(file) && makesFlask(file) {
				return file, true
			}
		}
	}
	for _, en := range entries {
		if file := filepath.Join(dir, en.Name()); strings.HasSuffix(file, ".py") && makesFlask(file) {
			return file, true
		}
	}
	return "", false
}

func makesFlask(file string) bool {
	src, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(src), "Flask(")
}

// mentionsFlask says that a file may be an entry at all: that it isn't empty of
// what an app needs.
func mentionsFlask(file string) bool {
	src, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for _, w := range []string{"Flask", "app", "application"} {
		if strings.Contains(string(src), w) {
			return true
		}
	}
	return false
}

// flaskApp is FLASK_APP of a directory: of .flaskenv, then .env.
func flaskApp(dir string) string {
	for _, name := range []string{".flaskenv", ".env"} {
		if v := readEnv(filepath.Join(dir, name))["FLASK_APP"]; v != "" {
			return v
		}
	}
	return os.Getenv("FLASK_APP")
}

// readEnv reads a file of KEY=value lines.
func readEnv(file string) map[string]string {
	out := map[string]string{}
	src, err := os.ReadFile(file)
	if err != nil {
		return out
	}
	for _, line := range strings.Split(string(src), "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		k, v, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(line, "#") {
			out[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return out
}

// ofModule finds a dotted name below the current directory, $PYTHONPATH and
// src; elsewhere it is left to [Options.Path].
func (e Entry) ofModule(name string) (Entry, error) {
	for _, part := range strings.Split(name, ".") {
		if !isIdentifier(part) {
			return e, fmt.Errorf("%w: %s is no file, directory or module name", ErrNoEntry, name)
		}
	}
	e.Module = name
	for _, d := range append([]string{e.Dir}, pythonPath()...) {
		if packagesDir(d) {
			e.Installed = append(e.Installed, d)
		} else {
			e.Path = append(e.Path, d)
		}
	}
	e.Path = append(e.Path, filepath.Join(e.Dir, "src"))
	for _, d := range e.Path {
		if file, ok := moduleFile(d, name); ok {
			e.File, e.Root = file, d
			return e, nil
		}
	}
	if found, err := e.locateInstalled(e.Installed); err == nil {
		return found, nil
	}
	return e, nil
}

// pythonPath is $PYTHONPATH as absolute directories.
func pythonPath() []string {
	var out []string
	for _, d := range filepath.SplitList(os.Getenv("PYTHONPATH")) {
		if abs, err := filepath.Abs(d); err == nil && d != "" {
			out = append(out, abs)
		}
	}
	return out
}

// amongInstalled is an entry whose package lies among those of others in dir.
func (e Entry) amongInstalled(dir string) Entry {
	e.Root, e.Path = dir, []string{dir}
	e.Package, _, _ = strings.Cut(e.Module, ".")
	e.Installed = append([]string{dir}, e.Installed...)
	return e
}

// moduleFile is the file of a dotted name below dir.
func moduleFile(dir, name string) (string, bool) {
	l := &loader{}
	parts := strings.Split(name, ".")
	for i, part := range parts {
		p, ok := l.inDir(dir, part)
		if !ok || (i < len(parts)-1 && !p.isPackage()) {
			return "", false
		}
		if i == len(parts)-1 {
			return p.file, p.file != ""
		}
		dir = filepath.Join(dir, part)
	}
	return "", false
}

func (p place) isPackage() bool { return len(p.pkgDirs) > 0 }

// locateInstalled finds a module among the interpreter's packages.
func (e Entry) locateInstalled(path []string) (Entry, error) {
	for _, d := range path {
		if file, ok := moduleFile(d, e.Module); ok {
			e.File = file
			return e.amongInstalled(d), nil
		}
	}
	return e, fmt.Errorf("%w: no module %s below %s nor in the interpreter's packages; name the file, or start in the project's directory", ErrNoEntry, e.Module, e.Dir)
}
