package app

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script makes an executable file.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// noFlask is a python3 that says what one without Flask says.
const noFlask = "#!/bin/sh\necho 'Traceback (most recent call last):' >&2\necho \"ModuleNotFoundError: No module named 'flask'\" >&2\nexit 1\n"

func TestFindPythonGoesOnUntilOneHasFlask(t *testing.T) {
	dir := write(t, nil)
	script(t, filepath.Join(dir, "bin/python3"), noFlask)
	script(t, filepath.Join(dir, "env/bin/python3"), noFlask)
	got, err := FindPython(t.Context(), Search{Dir: dir, Env: []string{"PATH=" + dir + "/bin:/usr/bin", "VIRTUAL_ENV=" + dir + "/env"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != python || got.Flask != "2.2.2" || got.Werkzeug != "2.2.2" || !strings.HasPrefix(got.Version, "3.11.") || len(got.SysPath) < 2 {
		t.Errorf("got %+v", got)
	}
}

// The python3 on this machine's PATH may be a pyenv one without Flask.
func TestFindPythonWithTheRealEnvironment(t *testing.T) {
	got, err := FindPython(t.Context(), Search{})
	if err != nil || got.Flask == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// venv makes a virtual environment that sees Debian's packages.
func venv(t *testing.T, dir string) (interpreter string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n"
	if err := os.WriteFile(filepath.Join(dir, "pyvenv.cfg"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	interpreter = filepath.Join(dir, "bin/python3")
	if err := os.Symlink(python, interpreter); err != nil {
		t.Fatal(err)
	}
	return interpreter
}

func TestFindPythonPrefersTheAppsOwn(t *testing.T) {
	for _, name := range []string{".venv", "venv"} {
		dir := write(t, nil)
		want := venv(t, filepath.Join(dir, name))
		got, err := FindPython(t.Context(), Search{Dir: dir, Env: []string{"PATH=/usr/bin"}})
		if err != nil || got.Path != want {
			t.Errorf("got %+v, %v, want %s", got, err, want)
		}
	}
}

// The interpreter in .venv has Flask too, but only that of $VIRTUAL_ENV the app.
func TestFindPythonPrefersOneThatHasTheApp(t *testing.T) {
	dir := write(t, map[string]string{"env/lib/python3.11/site-packages/onlyhere.py": ""})
	own := venv(t, filepath.Join(dir, "env"))
	env := []string{"PATH=/usr/bin", "VIRTUAL_ENV=" + filepath.Join(dir, "env")}
	for module, want := range map[string]string{"onlyhere": own, "httpbin": own, "nowhere": own, "": own} {
		got, err := FindPython(t.Context(), Search{Dir: dir, Env: env, Module: module})
		if err != nil || got.Path != want || got.HasModule != (module != "nowhere") {
			t.Errorf("%q: got %+v, %v, want %s", module, got, err, want)
		}
	}
	bare := "#!/bin/sh\nexport PYTHONPATH=\nexec /usr/bin/python3 -c \"import sys; sys.executable='" + dir + "/other/bin/python3'; exec(sys.argv.pop(1))\" \"$2\" \"nowhere\"\n"
	script(t, filepath.Join(dir, ".venv/bin/python3"), bare)
	got, err := FindPython(t.Context(), Search{Dir: dir, Env: env, Module: "onlyhere"})
	if err != nil || got.Path != own {
		t.Errorf("got %+v, %v, want %s", got, err, own)
	}
}

func TestFindPythonSaysWhatWasTried(t *testing.T) {
	dir := write(t, nil)
	path := filepath.Join(dir, "python3")
	script(t, path, noFlask)
	_, err := FindPython(t.Context(), Search{Python: path, Dir: dir})
	want := "--python can't import Flask:\n  " + path + ": ModuleNotFoundError: No module named 'flask'\n" +
		"install Flask: \"apt install python3-flask\", or \"python3 -m venv " + dir + "/.venv && " + dir + "/.venv/bin/pip install flask\"; or name the interpreter with --python"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	script(t, path, "#!/bin/sh\necho hello\n")
	if _, err = FindPython(t.Context(), Search{Python: path}); err == nil || !strings.Contains(err.Error(), "printed something else than asked") {
		t.Errorf("got %v", err)
	}
}

func TestFindPythonEndsWithItsContext(t *testing.T) {
	path := filepath.Join(write(t, nil), "python3")
	script(t, path, "#!/bin/sh\nsleep 1000 & wait\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FindPython(ctx, Search{Python: path}); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}

func TestResolveTarget(t *testing.T) {
	dir := write(t, map[string]string{
		"app.py": "", "pkg/__init__.py": "", "prog/__main__.py": "", "web/wsgi.py": "", "empty/readme": "", "src/mod.py": "",
	})
	cases := []struct {
		config Config
		want   string // command with PY and HOOK, or the error
		home   string
	}{
		{Config{App: "app.py"}, "PY app.py", "."},
		{Config{App: filepath.Join(dir, "app.py")}, "PY " + dir + "/app.py", "."},
		{Config{App: "pkg"}, "PY HOOK/flask2ban_run.py pkg", "pkg"},
		{Config{App: "prog"}, "PY prog", "prog"},
		{Config{App: "web"}, "PY web/wsgi.py", "web"},
		{Config{App: "app:app"}, "PY HOOK/flask2ban_run.py app:app", "."},
		{Config{App: "pkg.sub:make('a/b')"}, "PY HOOK/flask2ban_run.py pkg.sub:make('a/b')", "."},
		{Config{App: "src/mod.py:app"}, "PY HOOK/flask2ban_run.py src/mod.py:app", "src"},
		{Config{App: "web", Command: []string{"gunicorn", "x:y"}}, "gunicorn x:y", "web"},
		{Config{Command: []string{"gunicorn", "x:y"}}, "gunicorn x:y", "."},
		{Config{}, "no app to run: name a .py file, a directory or module:object, or give a command after --", ""},
		{Config{App: "nope.py"}, "run nope.py: there is no such file", ""},
		{Config{App: "app.py", Dir: "/no/such"}, "working directory /no/such: there is no such directory", ""},
		{Config{App: "no/such"}, "run no/such: there is no such file", ""},
		{Config{App: "empty"}, "run empty: found no __init__.py, __main__.py, app.py, wsgi.py, main.py, run.py, application.py in it; name the file or module:object", ""},
	}
	for _, c := range cases {
		c.config.Dir = cmp.Or(c.config.Dir, dir)
		target, err := resolveTarget(c.config)
		got := strings.Join(target.command("PY", "HOOK"), " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: got %s, want %s", c.config, got, c.want)
		}
		if err == nil && filepath.Clean(target.home) != filepath.Join(dir, c.home) {
			t.Errorf("%+v: home %s", c.config, target.home)
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	cases := map[string]Config{
		"run the app: no-such-program: not found on PATH":    {Command: []string{"no-such-program"}},
		"run the app: ./x: ":                                 {Command: []string{"./x"}},
		`the app's environment: "X" is not NAME=value`:       {App: "a:b", Env: []string{"X"}},
		"no app to run":                                      {},
		`look up user "no-such-user": there is no such user`: {App: "a:b", User: "no-such-user"},
	}
	for want, c := range cases {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTheVirtualEnvironmentIsActivated(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hello})
	venv(t, filepath.Join(dir, "venv"))
	script(t, filepath.Join(dir, "venv/bin/myserver"), "#!/bin/sh\nexec "+dir+"/venv/bin/python3 -m gunicorn app:app\n")
	r := start(t, Config{App: "app.py", Command: []string{"myserver"}, Dir: dir})
	checkHello(t, r)
	if got := r.get("/environ").body; !strings.Contains(got, "('VIRTUAL_ENV', '"+dir+"/venv')") {
		t.Errorf("got %s", got)
	}
	a, err := New(Config{App: "app.py", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if want := filepath.Join(dir, "venv/bin/python3"); a.python.Path != want {
		t.Errorf("got %s, want %s", a.python.Path, want)
	}
}
