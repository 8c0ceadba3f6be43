package app

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// direct asks one of the app's own ports, past us.
func direct(t *testing.T, port int, path string) string {
	t.Helper()
	var body string
	eventually(t, fmt.Sprintf("port %d answers", port), func() bool {
		resp, err := insecure.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		body = string(data)
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return body
}

const admin = `
admin = Flask("admin")
@admin.route("/")
def admin_index():
    return "admin"
import threading, time
def later(f):
    threading.Thread(target=f, daemon=True).start()
`

// secondCases are apps that serve something else besides, on port 18200.
var secondCases = []struct{ name, text, answer string }{
	{"metrics before", `
from prometheus_client import start_http_server
start_http_server(18200)
` + hello + `app.run(port=18201)`, "python_info"},
	{"metrics inside the factory", hello + `
def create_app():
    inner = app
    from prometheus_client import start_http_server
    start_http_server(18200)
    return inner
create_app().run(port=18201)`, "python_info"},
	{"metrics after", hello + admin + `
def soon():
    time.sleep(0.5)
    from prometheus_client import start_http_server
    start_http_server(18200)
later(soon)
app.run(port=18201)`, "python_info"},
	{"admin app before, in a thread", hello + admin + `
later(lambda: admin.run(port=18200))
time.sleep(0.3)
app.run(port=18201)`, "admin"},
	{"admin app before the entry app exists", `
from flask import Flask
` + admin + `
later(lambda: admin.run(port=18200))
time.sleep(0.3)
` + hello + `
app.run(port=18201)`, "admin"},
	{"admin app after, in a thread", hello + admin + `
def soon():
    time.sleep(0.5)
    admin.run(port=18200)
later(soon)
app.run(port=18201)`, "admin"},
	{"admin app made in the main thread", hello + admin + `
from werkzeug.serving import make_server
later(make_server("127.0.0.1", 18200, admin).serve_forever)
app.run(port=18201)`, "admin"},
	{"apps without names", hello + admin + `
def main(app, admin):
    def serve():
        later(lambda: admin.run(port=18200))
        app.run(port=18201)
    return serve
run = main(app, admin)
del app, admin
run()`, "admin"},
	// An app of Werkzeug's would take the reloader's socket, also without us.
	{"the reloader and another server", hello + `
import os, threading
if os.environ.get("WERKZEUG_RUN_MAIN"):
    from wsgiref.simple_server import make_server
    admin = Flask("admin")
    admin.add_url_rule("/", "index", lambda: "admin")
    threading.Thread(target=make_server("", 18200, admin).serve_forever, daemon=True).start()
app.run(port=18201, debug=True)`, "admin"},
	{"only a thread serves, without a name", hello + admin + `
shop = app
del app
later(lambda: shop.run(port=18201))
import http.server
http.server.HTTPServer(("127.0.0.1", 18200), http.server.SimpleHTTPRequestHandler).serve_forever()`, "app.py"},
	{"a Flask child by subprocess", hello + `
import subprocess, sys
subprocess.Popen([sys.executable, "child.py"])
app.run(port=18201)`, "child of nobody"},
	{"a Flask child by fork", hello + admin + `
import multiprocessing
multiprocessing.Process(target=admin.run, kwargs={"port": 18200}, daemon=True).start()
app.run(port=18201)`, "admin"},
	{"a Flask child that inherits everything", hello + `
import os
if os.fork() == 0:
    os.execv("/usr/bin/python3", ["python3", "child.py"])
app.run(port=18201)`, "child of nobody"},
	{"a plain file server", hello + admin + `
import http.server
later(http.server.HTTPServer(("127.0.0.1", 18200), http.server.SimpleHTTPRequestHandler).serve_forever)
app.run(port=18201)`, "app.py"},
	{"a check for a free port", hello + admin + `
import socket
def is_free(app, port):
    with socket.socket() as s:
        s.bind(("127.0.0.1", port))
is_free(app, 18201)
later(lambda: admin.run(port=18200))
app.run(port=18201)`, "admin"},
}

func TestSecondServers(t *testing.T) {
	child := `
import os
from flask import Flask
inherited = [k for k in os.environ if k.startswith(("FLASK2BAN", "WERKZEUG", "GUNICORN", "UVICORN", "PYTHONPATH", "PYTHONFAULTHANDLER"))]
fds = [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 190]
app = Flask(__name__)
@app.route("/")
def index():
    return "child of %s" % (" ".join(inherited + fds) or "nobody")
app.run(port=18200)
`
	for _, c := range secondCases {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"app.py": c.text, "child.py": child})
			r := start(t, Config{App: "app.py", Dir: dir})
			for range 10 {
				if got := r.get("/2020").body; got != "year 2020" {
					t.Fatalf("got %q from our socket\n%s", got, r.output)
				}
			}
			if got := direct(t, 18200, "/"); !strings.Contains(got, c.answer) {
				t.Errorf("second server: got %.300q, want %q", got, c.answer)
			}
			if listening(t, 18201) {
				t.Error("the entry app's port is open")
			}
			r.end()
			if listening(t, 18200) {
				t.Error("the second server outlived us")
			}
		})
	}
}

func TestGunicornWithAnAdminAppInTheWorker(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hello + admin + `
later(lambda: admin.run(port=18202))
`})
	r := start(t, Config{Dir: dir, Command: []string{"/usr/bin/gunicorn", "app:app"}})
	if got := direct(t, 18202, "/"); got != "admin" {
		t.Errorf("got %q", got)
	}
	for range 10 {
		if got := r.get("/2020").body; got != "year 2020" {
			t.Fatalf("got %q from our socket", got)
		}
	}
}
