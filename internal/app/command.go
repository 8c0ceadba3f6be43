package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// launch is how the app is started.
type launch uint8

const (
	// asCommand runs what the operator wrote after "--".
	asCommand launch = iota
	// asScript runs "python app.py".
	asScript
	// asObject imports "module:object" and serves it as flask run does.
	asObject
)

// target is what to run.
type target struct {
	launch launch
	// argv is the command of asCommand.
	argv []string
	// path is the script of asScript, spec the object of asObject.
	path, spec string
	// dir is the working directory; empty means ours.
	dir string
	// home is where the app's own files are: whose owner it runs as, and
	// where its virtual environment is looked for.
	home string
}

// directoryScripts are looked for in a directory, in this order; flask run
// knows the first two, and imports them.
var directoryScripts = []string{"app.py", "wsgi.py", "main.py", "run.py", "application.py"}

// resolveTarget finds out what c means by its App and Command.
func resolveTarget(c Config) (target, error) {
	if info, err := os.Stat(c.Dir); c.Dir != "" && (err != nil || !info.IsDir()) {
		return target{}, fmt.Errorf("working directory %s: there is no such directory", c.Dir)
	}
	t := target{dir: c.Dir, home: c.Dir}
	if t.home == "" {
		t.home = "."
	}
	if len(c.Command) > 0 {
		t.launch, t.argv = asCommand, c.Command
		if info, err := os.Stat(t.at(c.App)); err == nil && c.App != "" {
			t.home = homeOf(t.at(c.App), info)
		}
		return t, nil
	}
	if c.App == "" {
		return target{}, errors.New("no app to run: name a .py file, a directory or module:object, or give a command after --")
	}
	info, err := os.Stat(t.at(c.App))
	switch {
	case err == nil && info.IsDir():
		return t.ofDirectory(c.App)
	case err == nil:
		t.launch, t.path, t.home = asScript, c.App, homeOf(t.at(c.App), info)
		return t, nil
	case errors.Is(err, fs.ErrPermission):
		return target{}, fmt.Errorf("run %s: %w", c.App, err)
	case strings.HasSuffix(c.App, ".py") || strings.ContainsRune(c.App, filepath.Separator) && !strings.Contains(c.App, ":"):
		return target{}, fmt.Errorf("run %s: there is no such file", c.App)
	}
	return t.ofObject(c.App), nil
}

// at is where a name stands that the operator wrote for the app's working
// directory.
func (t target) at(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(t.dir, name)
}

func homeOf(path string, info os.FileInfo) string {
	if info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

// ofDirectory finds the program in a directory: a package, what "python DIR"
// runs, or a script of a usual name.
func (t target) ofDirectory(name string) (target, error) {
	t.home = t.at(name)
	if exists(filepath.Join(t.home, "__main__.py")) {
		t.launch, t.path = asScript, name
		return t, nil
	}
	if exists(filepath.Join(t.home, "__init__.py")) {
		t.launch, t.spec = asObject, name
		return t, nil
	}
	for _, script := range directoryScripts {
		if exists(filepath.Join(t.home, script)) {
			t.launch, t.path = asScript, filepath.Join(name, script)
			return t, nil
		}
	}
	return target{}, fmt.Errorf("run %s: found no __init__.py, __main__.py, %s in it; name the file or module:object",
		name, strings.Join(directoryScripts, ", "))
}

// ofObject keeps the working directory as the module's place: the owner of an
// installed package says nothing about the app.
func (t target) ofObject(spec string) target {
	t.launch, t.spec = asObject, spec
	module, _, _ := strings.Cut(spec, ":")
	if path := t.at(module); exists(path) {
		t.home = filepath.Dir(path)
	}
	return t
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// command is what to execute, by an interpreter and a hook directory.
func (t target) command(python, hookDir string) []string {
	switch t.launch {
	case asScript:
		return []string{python, t.path}
	case asObject:
		return []string{python, filepath.Join(hookDir, runnerFile), t.spec}
	default:
		return t.argv
	}
}

// asImported is the same program served as flask run would, for a script
// that defines an app and ends without serving it.
func (t target) asImported() target {
	t.launch, t.spec = asObject, t.path
	return t
}

// needsPython says whether we choose the interpreter.
func (t target) needsPython() bool { return t.launch != asCommand }

// owned is the file or directory whose owner the app belongs to.
func (t target) owned() string {
	if t.launch == asScript {
		return t.at(t.path)
	}
	return t.home
}

// module is the top-level package that asObject imports by name; empty where
// the app is named by its path.
func (t target) module() string {
	name, _, _ := strings.Cut(t.spec, ":")
	if t.launch != asObject || strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".py") {
		return ""
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}
