package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
	"github.com/flask2ban/flask2ban/routes"
)

// TestMain is also the guard: the tests' own program stands for flask2ban.
// With a mode variable it is flask2ban as a whole, for tests that kill it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == GuardArg {
		os.Exit(Guard(os.Args[2:]))
	}
	if at := os.Getenv("APP_TEST_SERVER"); at != "" {
		os.Exit(serveInGo(at))
	}
	if script := os.Getenv("APP_TEST_DAEMON"); script != "" {
		os.Exit(daemon(script))
	}
	os.Exit(m.Run())
}

// python is Debian's, which has Flask; see the package's documentation.
const python = "/usr/bin/python3"

// patience bounds what a test waits for on a busy machine.
const patience = 60 * time.Second

// watcher records what the Observer is told.
type watcher struct {
	mu         sync.Mutex
	maps       []routes.URLMap
	exceptions []Exception
	states     []State
	events     []Event
}

func (w *watcher) Event(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *watcher) URLMap(u routes.URLMap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.maps = append(w.maps, u)
}

func (w *watcher) Exception(e Exception) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.exceptions = append(w.exceptions, e)
}

func (w *watcher) State(s State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states = append(w.states, s)
}

// lastMap is the newest url_map; ok is false where none was told.
func (w *watcher) lastMap() (u routes.URLMap, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.maps) == 0 {
		return u, false
	}
	return w.maps[len(w.maps)-1], true
}

func (w *watcher) raised() []Exception {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.exceptions)
}

func (w *watcher) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, s := range w.states {
		names = append(names, s.Name)
	}
	return names
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// running is an app under test.
type running struct {
	t testing.TB
	*App
	seen   *watcher
	output *safeBuffer
	stop   context.CancelFunc
	ended  chan error
}

// write makes the files of an app in a directory that every user can read.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := testbed.PublicDir(files)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// begin serves an app without waiting for it.
func begin(t testing.TB, c Config) *running {
	t.Helper()
	r := &running{t: t, seen: &watcher{}, output: &safeBuffer{}, ended: make(chan error, 1)}
	c.Observer, c.Output = r.seen, r.output
	if c.StartTimeout == 0 {
		c.StartTimeout = patience
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 5 * time.Second
	}
	if c.Python == "" && len(c.Command) == 0 {
		c.Python = python
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.App = a
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.ended <- a.Serve(ctx) }()
	t.Cleanup(func() { r.end() })
	return r
}

// start serves an app and waits until it is ready.
func start(t testing.TB, c Config) *running {
	t.Helper()
	r := begin(t, c)
	r.wait()
	return r
}

func (r *running) wait() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.Wait(ctx); err != nil {
		r.t.Fatalf("wait: %v\n%s", err, r.output)
	}
}

// end stops the app; it may have ended already.
func (r *running) end() error {
	r.stop()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(patience):
		r.t.Fatal("the app did not stop")
		return nil
	}
}

// answer is one response with what the hook said of it.
type answer struct {
	status  int
	body    string
	header  http.Header
	witness Witness
	// begun says that the hook had announced the request.
	begun bool
}

// client is who asks in tests.
var client = netip.MustParseAddr("203.0.113.9")

// get asks for a path as the proxy does.
func (r *running) get(path string) answer {
	r.t.Helper()
	return r.ask("GET", path, Forwarded{ID: "id-1", Client: client, Scheme: "https", Host: "shop.example:8443"}, nil)
}

func (r *running) ask(method, path string, f Forwarded, header http.Header) answer {
	r.t.Helper()
	flight := &Flight{ID: f.ID, Method: method, Route: path}
	r.Enter(flight)
	defer r.Leave(flight)
	scheme := "http://"
	if r.TLS() {
		scheme = "https://"
	}
	req, err := http.NewRequest(method, scheme+flight.Addr()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Close = true
	if f.ID != "" {
		r.Prepare(req, []string{forwardedValue(f)})
	}
	resp, err := insecure.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s", method, path, err, r.output)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	w := r.Witness(resp.Header)
	return answer{status: resp.StatusCode, body: string(body), header: resp.Header, witness: w, begun: r.hears(flight)}
}

// hears says whether the hook has announced a request that is answered.
func (r *running) hears(f *Flight) bool {
	if i := f.place.current.Load(); i != nil {
		i.words.drained()
	}
	return r.traffic.hasBegun(f)
}

// eventually polls until ok, for the hook and the log have their own pace.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

const hello = `
from flask import Flask, request, redirect, url_for, abort
app = Flask(__name__)

@app.route("/")
def index():
    return "hello"

@app.route("/user/<username>")
def getuser(username):
    raise LookupError("no such user: " + username)

@app.route("/<int:year>")
def getyear(year):
    return "year %d" % year

@app.route("/record")
def record():
    abort(404)

@app.route("/branch/")
def branch():
    return "branch"

@app.route("/me")
def me():
    return "|".join([request.remote_addr, request.scheme, request.host, url_for("index", _external=True)])

@app.route("/environ")
def environ():
    return repr(sorted(request.environ.items(), key=str)) + repr(sorted(__import__("os").environ.items()))
`

const helloMain = hello + `
if __name__ == "__main__":
    app.run(host="0.0.0.0", port=18080)
`

// checkHello asks everything that the hook should say of the hello app.
func checkHello(t *testing.T, r *running) {
	t.Helper()
	checkApp(t, r, false)
}

// checkApp also knows that in debug mode Flask lets exceptions through to the
// server, whose answer has no witness.
func checkApp(t *testing.T, r *running, debug bool) {
	t.Helper()
	want := []struct {
		path    string
		status  int
		witness Witness
	}{
		{"/", 200, Witness{Present: true, Routing: Found, Rule: "/", Endpoint: "index"}},
		{"/2020", 200, Witness{Present: true, Routing: Found, Rule: "/<int:year>", Endpoint: "getyear"}},
		{"/record", 404, Witness{Present: true, Routing: Found, Rule: "/record", Endpoint: "record"}},
		{"/nope", 404, Witness{Present: true, Routing: NotFound}},
		{"/user/x", 500, Witness{Present: true, Routing: Found, Rule: "/user/<username>", Endpoint: "getuser", Exception: "LookupError"}},
	}
	for _, w := range want {
		got := r.get(w.path)
		if debug && w.status == 500 {
			w.witness = Witness{}
		}
		if got.status != w.status || got.witness != w.witness {
			t.Errorf("%s: got %d %+v, want %d %+v", w.path, got.status, got.witness, w.status, w.witness)
		}
	}
	if got, want := r.get("/me").body, "203.0.113.9|https|shop.example:8443|https://shop.example:8443/"; got != want {
		t.Errorf("/me: got %s, want %s", got, want)
	}
	u, ok := r.seen.lastMap()
	if !ok || !u.Complete || len(u.Routes) < 8 {
		t.Errorf("url_map: got %+v", u)
	}
	eventually(t, "the exception is told", func() bool { return len(r.seen.raised()) > 0 })
	e := r.seen.raised()[0]
	if e.Type != "LookupError" || e.Message != "no such user: x" || e.RequestID != "id-1" || e.Path != "/user/x" || e.Route != "/user/<username>" || !strings.Contains(e.Traceback, "getuser") {
		t.Errorf("exception: got %+v", e)
	}
	if !r.get("/").begun {
		t.Error("the hook announced nothing")
	}
}

func TestServesAScriptUnmodified(t *testing.T) {
	r := start(t, Config{App: filepath.Join(write(t, map[string]string{"app.py": helloMain}), "app.py")})
	checkHello(t, r)
	if s := r.State(); s.Name != Ready || s.Launcher != "hook" || s.PID == 0 {
		t.Errorf("state: got %+v", s)
	}
	if listening(t, 18080) {
		t.Error("the port that the app names was opened")
	}
	if err := r.end(); err != nil {
		t.Errorf("end: %v", err)
	}
	if got := r.State().Name; got != Stopped {
		t.Errorf("state: got %s", got)
	}
}

// listening says whether someone listens on a port, by the kernel's table.
func listening(t testing.TB, port int) bool {
	t.Helper()
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}
