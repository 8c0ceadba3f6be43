package app

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPythonVersions runs the hook under every other Python on this machine,
// with Debian's Flask, which is pure Python. $APP_TEST_PYTHONPATH may name
// directories with other versions of Flask, Werkzeug and gunicorn.
func TestPythonVersions(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.*/bin/python3"))
	if err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob("/usr/local/bin/python3.[0-9]*[0-9]")
	if err != nil {
		t.Fatal(err)
	}
	path := "/usr/lib/python3/dist-packages"
	if newer := os.Getenv("APP_TEST_PYTHONPATH"); newer != "" {
		path = newer + ":" + path
	}
	if found = append(found, others...); len(found) == 0 {
		t.Skip("no Python besides Debian's: the other tests cover that one")
	}
	for _, path3 := range found {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(path3))), func(t *testing.T) {
			search := Search{Python: path3, Env: append(os.Environ(), "PYTHONPATH="+path)}
			if _, err := FindPython(t.Context(), search); err != nil {
				t.Skipf("this Flask does not run on it: %v", err)
			}
			checkVersion(t, path3, path)
		})
	}
}

func checkVersion(t *testing.T, interpreter, path string) {
	dir := write(t, map[string]string{"app.py": hello, "main.py": helloMain, "debug.py": hello + "\nif __name__ == '__main__': app.run(debug=True, port=18701)\n"})
	for name, c := range map[string]Config{
		"script":   {App: "main.py"},
		"object":   {App: "app:app"},
		"reloader": {App: "debug.py"},
		"gunicorn": {Command: []string{interpreter, "-m", "gunicorn", "-b", ":18700", "app:app"}},
	} {
		c.Dir, c.Python, c.Env = dir, interpreter, []string{"PYTHONPATH=" + path, "PYTHONWARNINGS=ignore"}
		t.Run(name, func(t *testing.T) {
			r := start(t, c)
			checkApp(t, r, name == "reloader")
			checkLeaks(t, r)
			if listening(t, 18700) || listening(t, 18701) {
				t.Error("the app's port is open")
			}
		})
	}
}
