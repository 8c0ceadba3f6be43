package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// routingCases are apps whose status says something else than their routing.
var routingCases = []struct {
	name, text string
	want       map[string]Routing
	status     map[string]int
}{
	{"login wall", hello + `
@app.before_request
def wall():
    if request.path != "/login":
        return redirect("/login")
`, map[string]Routing{"/": Found, "/nope": NotFound, "/branch": Redirect}, map[string]int{"/nope": 302, "/": 302}},
	{"a 404 handler that answers 200", hello + `
@app.errorhandler(404)
def soft(e):
    return "have a look at our start page", 200
`, map[string]Routing{"/": Found, "/nope": NotFound, "/record": Found}, map[string]int{"/nope": 200, "/record": 200}},
	{"methods and slashes", hello + `
@app.post("/post")
def post():
    return ""
`, map[string]Routing{"/post": MethodNotAllowed, "/branch": Redirect, "/branch/": Found, "//branch//": Redirect}, map[string]int{"/post": 405, "/branch": 308}},
	{"mounted app", hello + `
from werkzeug.middleware.dispatcher import DispatcherMiddleware
inner = Flask("inner")
@inner.route("/x")
def x():
    return "inner x"
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/in": inner})
`, map[string]Routing{"/in/x": Found, "/in/y": NotFound, "/": Found}, nil},
	{"mounted beside", hello + `
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import run_simple
inner = Flask("inner")
@inner.route("/x")
def x():
    return "inner x"
run_simple("0.0.0.0", 18300, DispatcherMiddleware(app, {"/in": inner}))
`, map[string]Routing{"/in/x": Found, "/in/y": NotFound, "/": Found, "/y": NotFound}, nil},
	{"a middleware that answers itself", hello + `
inner_app = app.wsgi_app
def middleware(environ, start_response):
    if environ["PATH_INFO"] == "/health":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]
    return inner_app(environ, start_response)
app.wsgi_app = middleware
`, map[string]Routing{"/health": Unrouted, "/nope": NotFound}, nil},
	{"a middleware that buffers", hello + `
inner_app = app.wsgi_app
def buffered(environ, start_response):
    kept = []
    body = b"".join(inner_app(environ, lambda *a: kept.append(a)))
    start_response(*kept[0])
    return [body]
app.wsgi_app = buffered
`, map[string]Routing{"/": Found, "/nope": NotFound}, nil},
	{"an app that tests itself", hello + `
@app.route("/self")
def itself():
    return str(app.test_client().get("/nope").status_code)
`, map[string]Routing{"/self": Found}, nil},
	{"streaming", hello + `
from flask import Response, stream_with_context
@app.route("/stream")
def stream():
    return Response(stream_with_context(str(i) for i in range(5)))
`, map[string]Routing{"/stream": Found}, nil},
	{"unicode rules", hello + `
@app.route("/\u00fcber uns/<name>")
def about(name):
    return name
`, map[string]Routing{"/%C3%BCber%20uns/x": Found}, nil},
}

func TestRouting(t *testing.T) {
	for _, c := range routingCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, map[string]string{"app.py": c.text + "\napp.run(port=18301)\n"})
			r := start(t, Config{App: "app.py", Dir: dir})
			for path, want := range c.want {
				got := r.get(path)
				if got.witness.Routing != want || !got.witness.Present {
					t.Errorf("%s: got %+v, want %d", path, got.witness, want)
				}
				if status := c.status[path]; status != 0 && got.status != status {
					t.Errorf("%s: got status %d, want %d", path, got.status, status)
				}
			}
		})
	}
}

func TestUnicodeRuleIsNamed(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "from flask import Flask\napp = Flask(__name__)\n@app.route('/\u00fcber uns %/<name>')\ndef about(name): return name\napp.run()\n"})
	r := start(t, Config{App: "app.py", Dir: dir})
	if got, want := r.get("/%C3%BCber%20uns%20%25/x").witness.Rule, "/\u00fcber uns %/<name>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheDebuggerStaysOff(t *testing.T) {
	text := hello + `
app.run(debug=True, use_reloader=False, port=18302)
`
	dir := write(t, map[string]string{"app.py": text})
	const query = "/nope?__debugger__=yes&cmd=resource&f=debugger.js"
	r := start(t, Config{App: "app.py", Dir: dir})
	if got := r.get(query); got.status != http.StatusNotFound {
		t.Errorf("debugger: got %d %.100s", got.status, got.body)
	}
	if got := r.get("/console"); got.status != http.StatusNotFound {
		t.Errorf("console: got %d", got.status)
	}
	if got := r.get("/user/x"); got.status != 500 || strings.Contains(got.body, "Traceback") || strings.Contains(got.body, "no such user") {
		t.Errorf("exception: got %d %.300s", got.status, got.body)
	}
	if strings.Contains(r.output.String(), "PIN") {
		t.Errorf("the PIN is in the log:\n%s", r.output)
	}
	r.end()
	r = start(t, Config{App: "app.py", Dir: dir, AllowDebugger: true})
	if got := r.get(query); got.status != http.StatusOK {
		t.Errorf("allowed debugger: got %d", got.status)
	}
}

func TestNoProxyFix(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir, NoProxyFix: true})
	if got := r.get("/me").body; !strings.HasPrefix(got, "127.0.0.1|http|127.0.0.1:") {
		t.Errorf("got %s", got)
	}
	if got := r.get("/").witness.Routing; got != Found {
		t.Errorf("witness: got %d", got)
	}
}

func TestOnlyTheSecretHeaderIsBelieved(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir})
	spoofed := http.Header{
		"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"ftp"},
		"F2b-" + strings.Repeat("0", 32): {"x 198.51.100.1 ftp evil.example"},
	}
	got := r.ask("GET", "/me", Forwarded{}, spoofed)
	if got.witness.Present || !strings.HasPrefix(got.body, "127.0.0.1|http|127.0.0.1:") {
		t.Errorf("got %s %+v", got.body, got.witness)
	}
	got = r.ask("GET", "/me", Forwarded{ID: "a", Client: client, Scheme: "http", Host: "[2001:db8::1]"}, spoofed)
	if want := "203.0.113.9|http|[2001:db8::1]|http://[2001:db8::1]/"; got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// A request that the app had read when it died must never count as unread.
func TestBegunIsKnownOfAnAppThatDies(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hello + `
import os, signal
@app.route("/die")
def die():
    os.kill(os.getpid(), signal.SIGKILL)
app.run(port=18303)
`})
	r := start(t, Config{App: "app.py", Dir: dir})
	for n := range 5 {
		r.wait()
		id := fmt.Sprint("die-", n)
		f, unsent := &Flight{ID: id, Method: "GET", Route: "/die"}, &Flight{ID: id + "-never-sent"}
		r.Enter(f)
		r.Enter(unsent)
		req, err := http.NewRequest("GET", r.URL()+"/die", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Prepare(req, []string{forwardedValue(Forwarded{ID: id, Client: client, Scheme: "http", Host: "x"})})
		if resp, err := insecure.Do(req); err == nil {
			resp.Body.Close()
			t.Fatalf("got %s from a dead app", resp.Status)
		}
		if err := r.Again(t.Context(), f, false, false); err == nil {
			t.Errorf("%s was read, and counts as unread", id)
		}
		if err := r.Again(t.Context(), unsent, false, false); err != nil {
			t.Errorf("%s: another request can't be proved unread", id)
		}
		r.Leave(f)
		r.Leave(unsent)
		eventually(t, "the app is back", func() bool { return r.State().Restarts > n })
	}
}
