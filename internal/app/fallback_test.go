package app

import (
	"net/http"
	"strings"
	"testing"
)

// Where no hook can run, the servers' own variables hand the socket over.
func TestWithoutTheHook(t *testing.T) {
	cases := []struct {
		name    string
		command []string
		port    int
	}{
		{"werkzeug -E", []string{"/usr/bin/python3", "-E", "app.py"}, 18600},
		{"werkzeug -I", []string{"/usr/bin/python3", "-I", "app.py"}, 18600},
		{"werkzeug -S", []string{"/usr/bin/python3", "-S", "nosite.py"}, 18600},
		{"gunicorn -E", []string{"/usr/bin/python3", "-E", "-m", "gunicorn", "-b", ":18601", "app:app"}, 18601},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{
				"app.py":    hello + "\nif __name__ == '__main__': app.run(port=18600)\n",
				"nosite.py": "import sys\nsys.path += ['/usr/lib/python3/dist-packages']\nimport app\napp.app.run(port=18600)\n",
			})
			command := c.command
			if strings.Contains(c.name, "-I") {
				command = append(command[:len(command)-1:len(command)-1], dir+"/app.py")
			}
			r := start(t, Config{Command: command, Dir: dir})
			got := r.get("/2020")
			if got.body != "year 2020" || got.witness.Present && !strings.Contains(c.name, "-S") {
				t.Errorf("got %+v", got)
			}
			if listening(t, c.port) {
				t.Error("the app's port is open")
			}
			if s := r.State(); s.Launcher != "variables" {
				t.Errorf("launcher: got %q", s.Launcher)
			}
			f := &Flight{ID: "never-sent", Method: "POST", Route: "/"}
			r.Enter(f)
			if err := r.Again(t.Context(), f, false, false); err == nil {
				t.Error("without the hook nothing is proof that a request was not begun")
			}
			r.Leave(f)
			r.get("/user/x")
			eventually(t, "the log's exception is told", func() bool { return len(r.seen.raised()) == 1 })
			e := r.seen.raised()[0]
			if e.Type != "LookupError" || e.Message != "no such user: x" || e.Path != "/user/x" || e.Method != "GET" || e.RequestID != "" {
				t.Errorf("exception: got %+v", e)
			}
		})
	}
}

func TestTheHookChainsToAnotherSitecustomize(t *testing.T) {
	dir := write(t, map[string]string{
		"app.py":                   helloMain,
		"theirs/sitecustomize.py":  "import os, sys\nos.environ['THEIRS'] = '%s %s %s' % (__name__, __file__, os.environ.get('PYTHONPATH'))\n",
		"broken/sitecustomize.py":  "raise RuntimeError('theirs is broken')\n",
		"raising/sitecustomize.py": "raise ImportError('no')\n",
	})
	r := start(t, Config{App: "app.py", Dir: dir, Env: []string{"PYTHONPATH=" + dir + "/theirs"}})
	checkHello(t, r)
	checkLeaks(t, r)
	want := "('THEIRS', 'sitecustomize " + dir + "/theirs/sitecustomize.py " + dir + "/theirs')"
	if got := r.get("/environ").body; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	r.end()
	r = start(t, Config{App: "app.py", Dir: dir, Env: []string{"PYTHONPATH=" + dir + "/broken"}})
	checkHello(t, r)
	if !strings.Contains(r.output.String(), "RuntimeError: theirs is broken") {
		t.Errorf("their error is hidden:\n%s", r.output)
	}
}

// Every part of the hook is guarded: an app with an unusual Flask goes on.
func TestTheHookBreaksNothing(t *testing.T) {
	cases := map[string]string{
		"a url_map that raises": hello + `
class Odd(type(app.url_map)):
    def iter_rules(self, endpoint=None):
        raise RuntimeError("odd")
app.url_map.__class__ = Odd
`,
		"no request_context": hello + `
class Own(Flask):
    def __call__(self, environ, start_response):
        environ["mine"] = True
        return super().__call__(environ, start_response)
    def request_context(self, environ):
        environ.pop("flask2ban", None)
        return super().request_context(environ)
app.__class__ = Own
`,
		"closed descriptors": "import os\nos.closerange(3, 197); os.close(199)\n" + hello,
		"json is shadowed":   "import sys\nsys.modules['json'] = sys.modules['json'] if 'json' in sys.modules else __import__('json')\n" + hello,
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			r := start(t, Config{App: "app.py", Dir: write(t, map[string]string{"app.py": text + "\napp.run(port=18602)\n"})})
			for range 3 {
				if got := r.get("/2020"); got.body != "year 2020" || got.header.Get("F2b") != "" {
					t.Errorf("got %+v", got)
				}
			}
			if got := r.get("/nope").status; got != 404 {
				t.Errorf("got %d", got)
			}
		})
	}
}

func TestLostPipeIsSaid(t *testing.T) {
	r := start(t, Config{App: "app.py", Dir: write(t, map[string]string{"app.py": "import os\nos.close(199)\n" + helloMain})})
	f := &Flight{ID: "lost", Method: "GET", Route: "/2020"}
	r.Enter(f)
	defer r.Leave(f)
	req, err := http.NewRequest("GET", r.URL()+"/2020", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Prepare(req, []string{forwardedValue(Forwarded{ID: "lost", Client: client, Scheme: "http", Host: "x"})})
	res, err := insecure.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if err := r.Again(t.Context(), f, false, false); err == nil {
		t.Error("a request that the app has read counts as not begun")
	}
}
