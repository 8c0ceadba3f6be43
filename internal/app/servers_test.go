package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// each server that a Flask app is run with, started as its users do.
var serverCases = []struct {
	name string
	// main goes after the hello app in app.py.
	main string
	// command, if any, runs in the app's directory.
	command []string
	// app replaces app.py.
	app string
	// ports are those that the app names and that must stay closed.
	ports []int
	// mounts are what the app has besides its url_map.
	mounts string
}{
	{name: "werkzeug", main: `app.run(host="0.0.0.0", port=18081)`, ports: []int{18081}},
	{name: "werkzeug debug with reloader", main: `
if __name__ == "__main__":
    app.run(debug=True, port=18082)`, ports: []int{18082}},
	{name: "werkzeug unthreaded", main: `app.run(threaded=False, port=18083)`, ports: []int{18083}},
	{name: "werkzeug processes", main: `app.run(threaded=False, processes=4, port=18084)`, ports: []int{18084}},
	{name: "werkzeug IPv6", main: `app.run(host="::", port=18085)`, ports: []int{18085}},
	{name: "werkzeug TLS", main: `app.run(ssl_context="adhoc", port=18086)`, ports: []int{18086}},
	{name: "werkzeug over a Unix socket", main: `app.run(host="unix:///tmp/flask2ban-test.sock")`},
	{name: "werkzeug in a thread", main: `
import threading, time
threading.Thread(target=lambda: app.run(port=18087), daemon=True).start()
while True: time.sleep(1)`, ports: []int{18087}},
	{name: "werkzeug with ProxyFix", main: `
from werkzeug.middleware.proxy_fix import ProxyFix
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1)
app.run(port=18088)`, ports: []int{18088}},
	{name: "ProxyFix for two outside", main: `
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import run_simple
run_simple("0.0.0.0", 18089, ProxyFix(app, x_for=2, x_proto=2, x_host=2))`, ports: []int{18089}},
	{name: "wsgiref", main: `
from wsgiref.simple_server import make_server
make_server("", 18090, app).serve_forever()`, ports: []int{18090}},
	{name: "waitress", main: `
import waitress
waitress.serve(app, host="localhost", port=18091)`, ports: []int{18091}},
	{name: "waitress-serve", command: []string{"/usr/bin/python3", "-m", "waitress", "--port=18092", "app:app"}, ports: []int{18092}},
	{name: "gevent", main: `
from gevent.pywsgi import WSGIServer
WSGIServer(("0.0.0.0", 18093), app).serve_forever()`, ports: []int{18093}},
	{name: "gevent monkey-patched", app: "from gevent import monkey; monkey.patch_all()\n" + hello + "\napp.run(port=18094)", ports: []int{18094}},
	{name: "socketio threading", main: `
from flask_socketio import SocketIO
SocketIO(app, async_mode="threading").run(app, port=18095, allow_unsafe_werkzeug=True)`, ports: []int{18095}, mounts: "/socket.io"},
	{name: "socketio gevent", main: `
from flask_socketio import SocketIO
SocketIO(app, async_mode="gevent").run(app, port=18096)`, ports: []int{18096}, mounts: "/socket.io"},
	{name: "eventlet", main: `
import eventlet, eventlet.wsgi
eventlet.wsgi.server(eventlet.listen(("0.0.0.0", 18104)), app)`, ports: []int{18104}},
	{name: "eventlet monkey-patched", app: "import eventlet; eventlet.monkey_patch()\n" + hello + "\napp.run(port=18105)", ports: []int{18105}},
	{name: "socketio eventlet", main: `
from flask_socketio import SocketIO
SocketIO(app, async_mode="eventlet").run(app, port=18106)`, ports: []int{18106}, mounts: "/socket.io"},
	{name: "flask run", command: []string{"/usr/bin/flask", "run", "--port", "18097"}, ports: []int{18097}},
	{name: "flask run debug", command: []string{"/usr/bin/flask", "--debug", "run", "--port", "18098"}, ports: []int{18098}},
	{name: "gunicorn sync", command: []string{"/usr/bin/gunicorn", "-b", "0.0.0.0:18099", "app:app"}, ports: []int{18099}},
	{name: "gunicorn gthread", command: []string{"/usr/bin/gunicorn", "-k", "gthread", "--threads", "4", "-b", ":18100", "-b", ":18101", "app:app"}, ports: []int{18100, 18101}},
	{name: "gunicorn gevent", command: []string{"/usr/bin/gunicorn", "-k", "gevent", "-w", "2", "-b", ":18102", "app:app"}, ports: []int{18102}},
	{name: "gunicorn eventlet", command: []string{"/usr/bin/gunicorn", "-k", "eventlet", "-b", ":18107", "app:app"}, ports: []int{18107}},
	{name: "gunicorn preload", command: []string{"/usr/bin/gunicorn", "--preload", "-b", "unix:/tmp/flask2ban-test-gunicorn.sock", "app:app"}},
	{name: "gunicorn eventlet", command: []string{"/usr/bin/gunicorn", "-k", "eventlet", "-b", ":18104", "app:app"}, ports: []int{18104}},
	{name: "socketio eventlet", main: `
from flask_socketio import SocketIO
SocketIO(app, async_mode="eventlet").run(app, port=18105)`, ports: []int{18105}, mounts: "/socket.io"},
	{name: "uvicorn wsgi", command: []string{"/usr/bin/uvicorn", "--interface", "wsgi", "--port", "18106", "app:app"}, ports: []int{18106}},
	{name: "uvicorn WsgiToAsgi", main: wsgiToAsgi, command: []string{"/usr/bin/uvicorn", "--port", "18107", "app:asgi"}, ports: []int{18107}},
	{name: "gunicorn uvicorn", main: wsgiToAsgi, command: []string{"/usr/bin/gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-b", ":18108", "app:asgi"}, ports: []int{18108}},
	{name: "hypercorn WsgiToAsgi", // 0.14 has "wsgi:app:app"; Debian 12 has 0.13
		main: wsgiToAsgi, command: []string{"/usr/bin/hypercorn", "-b", "127.0.0.1:18110", "app:asgi"}, ports: []int{18110}},
	{name: "python -m package", command: []string{"/usr/bin/python3", "-m", "shop"}, ports: []int{18111}},
	{name: "wrapper script", command: []string{"./run.sh"}, ports: []int{18112}},
	{name: "shell wrapper", command: []string{"/bin/sh", "-c", "python3 -c 'import json' && exec gunicorn app:app"}, ports: []int{8000}},
	{name: "python wrapper that executes", command: []string{"/usr/bin/python3", "-c", "import os; os.execvp('gunicorn', ['gunicorn', '-b', ':18103', 'app:app'])"}, ports: []int{18103}},
}

const wsgiToAsgi = `
from asgiref.wsgi import WsgiToAsgi
asgi = WsgiToAsgi(app)`

func TestServers(t *testing.T) {
	for _, c := range serverCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := hello + "\n" + c.main + "\n"
			if c.app != "" {
				text = c.app
			}
			dir := write(t, map[string]string{
				"app.py":           text,
				"shop/__main__.py": "from app import app\napp.run(port=18111)\n",
				"run.sh":           "#!/bin/sh\nset -e\n. ./env\nexec gunicorn -b \"$BIND\" app:app\n", "env": "BIND=:18112\n",
			})
			if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
				t.Fatal(err)
			}
			config := Config{App: "app.py", Dir: dir, Command: c.command, Env: []string{"PATH=/usr/bin:/bin"}}
			r := start(t, config)
			debug := strings.Contains(c.name, "debug")
			checkApp(t, r, debug)
			checkLeaks(t, r)
			for _, port := range c.ports {
				if listening(t, port) {
					t.Errorf("port %d is open", port)
				}
			}
			if u, _ := r.seen.lastMap(); strings.Join(u.Mounts, " ") != c.mounts {
				t.Errorf("mounts: got %q, want %q", u.Mounts, c.mounts)
			}
			if got := r.State().Launcher; got != "hook" {
				t.Errorf("launcher: got %q", got)
			}
			stacks := debug || c.main == wsgiToAsgi // asgiref's wsgi.errors takes bytes: logging complains, with all frames
			if !stacks && strings.Contains(r.output.String(), "flask2ban_hook") {
				t.Errorf("the hook shows in the output:\n%s", r.output)
			}
		})
	}
}

// checkLeaks looks for our secrets and variables where the app and the client
// could see them.
func checkLeaks(t *testing.T, r *running) {
	t.Helper()
	got := r.get("/environ")
	for _, secret := range []string{r.secrets.request, r.secrets.response, "F2B-", hookVariable, "flask2ban-", "GUNICORN_FD", "UVICORN_FD"} {
		if strings.Contains(strings.ToUpper(got.body), strings.ToUpper(strings.ReplaceAll(secret, "-", "_"))) || strings.Contains(got.body, secret) {
			t.Errorf("the app sees %q in %s", secret, got.body)
		}
	}
	for name := range got.header {
		if strings.HasPrefix(name, "F2b-") {
			t.Errorf("the client sees %s", name)
		}
	}
	plain := r.ask("GET", "/", Forwarded{}, nil)
	if plain.witness.Present {
		t.Error("a request without the secret header got a witness")
	}
}

// objectCases are APPs that are imported.
var objectCases = []struct{ name, app, dir string }{
	{"module and object", "app:app", ""},
	{"module", "app", ""},
	{"file and object", "app.py:app", ""},
	{"factory", "pkg.factory:create_app()", ""},
	{"factory by convention", "pkg.factory", ""},
	{"factory with arguments", `pkg.factory:make("x", two=2)`, ""},
	{"wrapped by ProxyFix", "wrapped:application", ""},
	{"directory", ".", ""},
	{"package directory", "pkg", ""},
	{"script that does not serve", "app.py", ""},
}

func TestObjects(t *testing.T) {
	dir := write(t, map[string]string{
		"app.py":          hello,
		"pkg/__init__.py": "from .factory import create_app",
		"pkg/factory.py":  "from app import app\ndef create_app():\n    return app\ndef make(one, two):\n    assert (one, two) == ('x', 2)\n    return app\ndel app\nimport app as _app\ndef create_app(): return _app.app\ndef make(one, two):\n    assert (one, two) == ('x', 2)\n    return _app.app\n",
		"wrapped.py":      "from werkzeug.middleware.proxy_fix import ProxyFix\nfrom app import app as _app\napplication = ProxyFix(_app)\n",
	})
	for _, c := range objectCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, Config{App: c.app, Dir: dir})
			checkHello(t, r)
			checkLeaks(t, r)
		})
	}
}

func TestServesAnInstalledPackage(t *testing.T) {
	r := start(t, Config{App: "httpbin:app", Dir: write(t, nil)})
	got := r.get("/status/404")
	want := Witness{Present: true, Routing: Found, Rule: "/status/<codes>", Endpoint: "view_status_code"}
	if got.status != 404 || got.witness != want {
		t.Errorf("got %d %+v, want 404 %+v", got.status, got.witness, want)
	}
	if got := r.get("/.env").witness; got.Routing != NotFound {
		t.Errorf("/.env: got %+v", got)
	}
	if body := r.get("/headers").body; strings.Contains(body, "F2b-") {
		t.Errorf("the app shows the secret header: %s", body)
	}
}

func TestHTTPBinUnderGunicornSeesTheClient(t *testing.T) {
	r := start(t, Config{Command: []string{"gunicorn", "httpbin:app"}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: write(t, nil)})
	if body := r.get("/ip").body; !strings.Contains(body, client.String()) {
		t.Errorf("/ip: got %s", body)
	}
}

func TestRoutesAreTold(t *testing.T) {
	dir := write(t, map[string]string{"app.py": `
from flask import Flask
from werkzeug.routing import BaseConverter
class Hex(BaseConverter):
    regex = "[0-9a-f]+"
    weight = 50
app = Flask(__name__, static_folder=None)
app.url_map.converters["hex"] = Hex
app.config["SERVER_NAME"] = "shop.example"
app.add_url_rule("/x/<hex:n>", "x", lambda n: n, methods=["POST"], defaults={"k": 1}, strict_slashes=False)
app.add_url_rule("/old", "old", redirect_to="/x/1")
app.add_url_rule("/sub", "sub", subdomain="api")
app.run()
`})
	r := start(t, Config{App: "app.py", Dir: dir})
	u, ok := r.seen.lastMap()
	if !ok || len(u.Routes) != 3 {
		t.Fatalf("url_map: got %+v", u)
	}
	if u.Options.ServerName != "shop.example" || !u.Options.StrictSlashes || u.Flask != "2.2.2" || u.Werkzeug != "2.2.2" || !strings.HasPrefix(u.Python, "3.") {
		t.Errorf("options: got %+v", u)
	}
	x := u.Routes[0]
	if x.Rule != "/x/<hex:n>" || fmt.Sprint(x.Methods) != "[OPTIONS POST]" || x.StrictSlashes || fmt.Sprint(x.Defaults["k"]) != "1" {
		t.Errorf("x: got %+v", x)
	}
	if hex := x.Converters["n"]; hex.Regex != "[0-9a-f]+" || hex.Weight != 50 || !hex.PartIsolating {
		t.Errorf("converter: got %+v", hex)
	}
	if u.Routes[1].RedirectTo != "/x/1" || u.Routes[2].Subdomain != "api" {
		t.Errorf("got %+v", u.Routes)
	}
}

func TestRoutesAddedLaterAreTold(t *testing.T) {
	dir := write(t, map[string]string{"app.py": `
from flask import Flask
app = Flask(__name__)
@app.route("/grow")
def grow():
    app._got_first_request = False
    app.add_url_rule("/grown", "grown", lambda: "grown")
    return "ok"
app.run()
`})
	r := start(t, Config{App: "app.py", Dir: dir})
	r.get("/grow")
	r.get("/grown")
	eventually(t, "the new rule is told", func() bool {
		u, _ := r.seen.lastMap()
		return len(u.Routes) == 3
	})
}

func TestInspect(t *testing.T) {
	dir := write(t, map[string]string{
		"app.py":     hello,
		"served.py":  helloMain,
		"inmain.py":  "from flask import Flask\ndef main():\n    app = Flask('inner')\n    app.add_url_rule('/only', 'only', lambda: '')\n    app.run(port=18110, debug=True)\nif __name__ == '__main__':\n    main()\n",
		"mounted.py": "from app import app\nfrom werkzeug.middleware.dispatcher import DispatcherMiddleware\nfrom werkzeug.exceptions import NotFound\nfrom waitress import serve\nserve(DispatcherMiddleware(NotFound(), {'/shop': app, '/other': NotFound()}), port=18111)\n",
	})
	cases := []struct {
		config Config
		rules  int
		prefix string
	}{
		{Config{App: "app.py"}, 8, ""},
		{Config{App: "app:app"}, 8, ""},
		{Config{App: "served.py"}, 8, ""},
		{Config{App: "inmain.py"}, 2, ""},
		{Config{App: "mounted.py"}, 8, "/shop"},
		{Config{Command: []string{"/usr/bin/gunicorn", "-w", "2", "app:app"}}, 8, ""},
	}
	for _, c := range cases {
		c.config.Dir, c.config.Python, c.config.StartTimeout = dir, python, patience
		u, err := Inspect(t.Context(), c.config)
		if err != nil {
			t.Errorf("%s%v: %v", c.config.App, c.config.Command, err)
			continue
		}
		if len(u.Routes) != c.rules || !u.Complete || u.Options.Prefix != c.prefix {
			t.Errorf("%s%v: got %d rules, prefix %q", c.config.App, c.config.Command, len(u.Routes), u.Options.Prefix)
		}
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	dir := write(t, map[string]string{"broken.py": "import nothing_like_this\n", "blank.py": "import sys\nsys.exit('no database\\n\\n')\n", "empty.py": "x = 1\n"})
	for app, want := range map[string]string{
		"broken.py": "ask the app for its routes: it ended (exit status 1) before it served: ModuleNotFoundError: No module named 'nothing_like_this' (it ran with " + python + "; name another interpreter with --python)",
		"blank.py":  "ask the app for its routes: it ended (exit status 1) before it served: no database",
		"empty.py":  "ask the app for its routes: it ended (exit status 78) before it served: flask2ban: Failed to find Flask application or factory in module 'empty'. Use 'empty:name' to specify one.",
	} {
		_, err := Inspect(t.Context(), Config{App: app, Dir: dir, Python: python})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", filepath.Base(app), err, want)
		}
	}
}
