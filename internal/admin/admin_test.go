package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/routes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when every daemon of these tests began and still is.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// daemon is a running API with a real engine, on a Unix socket, on loopback
// and on an address that others could reach.
type daemon struct {
	engine *ban.Engine
	client *admin.Client
	dir    string
	token  string
	local  string // host:port on loopback
	public string // host:port of a listener on all addresses

	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes log lines.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *daemon) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// standing lets no one ban 127.0.0.1 and suspects at most private addresses.
func standing(a netip.Addr) ban.Standing {
	switch {
	case a.IsLoopback():
		return ban.Never
	case a.IsPrivate():
		return ban.SuspectOnly
	}
	return ban.Bannable
}

func run(t *testing.T, change ...func(*admin.Config)) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir()}
	engine, err := ban.New(ban.Config{Standing: standing, BanJitter: -1})
	if err != nil {
		t.Fatal(err)
	}
	if d.token, err = state.Token(d.dir); err != nil {
		t.Fatal(err)
	}
	d.engine = engine
	c := admin.Config{
		Engine: engine,
		Now:    func() time.Time { return start },
		Token:  d.token,
		Log:    slog.New(slog.NewTextHandler(d, nil)),
		Info:   admin.Info{Version: "v1.2.3", App: "app.py", Mode: "enforce", PID: 42, StateDir: d.dir, Listen: []string{"127.0.0.1:8080"}, Started: start.Add(-time.Hour)},
	}
	for _, f := range change {
		f(&c)
	}
	s, err := admin.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d.serve(t, s)
	return d
}

// serve answers on all three listeners until the test ends.
func (d *daemon) serve(t *testing.T, s *admin.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { cancel(); group.Wait() })
	serve := func(l net.Listener, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return l.Addr().String()
	}
	serve(state.Listen(ctx, d.dir))
	d.local = serve(net.Listen("tcp", "127.0.0.1:0"))
	_, port, _ := net.SplitHostPort(serve(net.Listen("tcp", ":0")))
	d.public = net.JoinHostPort("127.0.0.1", port)
	d.client = admin.NewClient(d.dir)
	t.Cleanup(d.client.Close)
}

// answer is what a raw request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// request is a raw one; edit changes it before it is sent.
func request(t *testing.T, method, address, path, body string, edit ...func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range edit {
		f(req)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func (d *daemon) add(t *testing.T, client string, long time.Duration) {
	t.Helper()
	p, err := ban.ParseClient(client)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.engine.Add(start, ban.Ban{Client: p, Until: start.Add(long), Reason: "test"}); err != nil {
		t.Fatal(err)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	var why error
	d := run(t, func(c *admin.Config) { c.Ready = func() error { return why } })
	if got := request(t, "GET", d.local, "/healthz", ""); got.status != 200 || got.body != "ok\n" {
		t.Errorf("healthz: %+v", got)
	}
	if got := request(t, "GET", d.local, "/readyz", ""); got.status != 200 || got.body != "ok\n" {
		t.Errorf("readyz: %+v", got)
	}
	why = errors.New("the app is starting")
	want := `{"error":"not ready: the app is starting"}` + "\n"
	if got := request(t, "GET", d.local, "/readyz", ""); got.status != 503 || got.body != want {
		t.Errorf("readyz of an app that starts: %+v", got)
	}
	if got := request(t, "GET", d.local, "/healthz", ""); got.status != 200 {
		t.Errorf("healthz of an app that starts: %+v", got)
	}
}

func TestMetricsAreServed(t *testing.T) {
	m := metrics.New("1.2.3")
	d := run(t, func(c *admin.Config) { c.Metrics = m.Handler() })
	got := request(t, "GET", d.public, "/metrics", "")
	if got.status != 200 || !strings.Contains(got.body, "flask2ban_build_info") {
		t.Errorf("got %d, %.200s", got.status, got.body)
	}
}

func TestNoMetrics(t *testing.T) {
	d := run(t)
	want := `{"error":"this daemon keeps no metrics"}` + "\n"
	if got := request(t, "GET", d.local, "/metrics", ""); got.status != 404 || got.body != want {
		t.Errorf("got %+v", got)
	}
}

func project() *routes.Project {
	return &routes.Project{
		App: "app.py",
		Routes: []routes.Route{
			{Rule: "/", Methods: []string{"GET", "HEAD", "OPTIONS"}, Endpoint: "index", StrictSlashes: true, MergeSlashes: true, Defaults: map[string]any{}, Source: routes.Static, File: "app.py", Line: 3},
			{Rule: "/plugin", Methods: []string{"GET", "HEAD", "OPTIONS"}, Endpoint: "plugin", StrictSlashes: true, MergeSlashes: true, Defaults: map[string]any{}, Source: routes.Runtime},
		},
		Unresolved: []routes.Unresolved{{File: "x.py", Line: 3, Reason: "computed at run time", Prefix: "/admin"}},
	}
}

func TestRoutesAreThoseOfTheCommandLine(t *testing.T) {
	p := project()
	d := run(t, func(c *admin.Config) { c.Project = func() *routes.Project { return p } })
	var want bytes.Buffer
	if err := p.WriteJSON(&want); err != nil {
		t.Fatal(err)
	}
	got := request(t, "GET", d.local, "/api/v1/routes", "")
	if got.status != 200 || got.body != want.String() || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v\nwant %s", got, want.String())
	}
}

func TestStatus(t *testing.T) {
	table, err := routes.NewTable(routes.TableConfig{Project: project(), Lists: routes.DefaultLists()})
	if err != nil {
		t.Fatal(err)
	}
	instance := app.State{Name: app.Ready, PID: 4711, Since: start}
	d := run(t, func(c *admin.Config) {
		c.Table = func() *routes.Table { return table }
		c.AppState = func() app.State { return instance }
		c.Ready = func() error { return errors.New("the app is restarting") }
	})
	d.add(t, "192.0.2.1", time.Hour)
	got, err := d.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != "v1.2.3" || got.App != "app.py" || got.PID != 42 || got.StateDir != d.dir || got.UptimeSeconds != 3600 {
		t.Errorf("daemon: %+v", got)
	}
	if got.Ready || got.NotReady != "the app is restarting" {
		t.Errorf("readiness: %v %q", got.Ready, got.NotReady)
	}
	if got.Instance == nil || got.Instance.PID != 4711 || got.Instance.Name != "ready" {
		t.Errorf("instance: %+v", got.Instance)
	}
	if want := (admin.RouteCounts{Static: 1, Runtime: 1, Unresolved: 1}); got.Routes != want {
		t.Errorf("routes: %+v, want %+v", got.Routes, want)
	}
	if raw := request(t, "GET", d.local, "/api/v1/status", "").body; !strings.Contains(raw, `"instance":{"name":"ready"`) {
		t.Errorf("raw: %s", raw)
	}
}

func TestStatusOfASidecar(t *testing.T) {
	d := run(t, func(c *admin.Config) { c.Info.Upstream = "http://127.0.0.1:5000" })
	raw := request(t, "GET", d.local, "/api/v1/status", "").body
	for _, want := range []string{`"instance":null`, `"upstream":"http://127.0.0.1:5000"`, `"ready":true`} {
		if !strings.Contains(raw, want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
}

func TestReload(t *testing.T) {
	var problem error
	calls := 0
	var waiting []string
	d := run(t, func(c *admin.Config) {
		c.Reload = func(context.Context) ([]string, error) { calls++; return waiting, problem }
	})
	if got, err := d.client.Reload(t.Context()); err != nil || calls != 1 || len(got.NeedRestart) != 0 {
		t.Errorf("reload: %v, %v after %d calls", got, err, calls)
	}
	if got := request(t, "POST", d.local, "/api/v1/reload", "", bearer(d.token)); got.status != 200 || got.body != `{"need_restart":[]}`+"\n" {
		t.Errorf("got %+v", got)
	}
	waiting = []string{"tls-cert", "tls-key"}
	if got, err := d.client.Reload(t.Context()); err != nil || !slices.Equal(got.NeedRestart, waiting) {
		t.Errorf("got %v, %v, want %v", got, err, waiting)
	}
	problem = errors.New("the old configuration stays in force: flask2ban.yaml:3:1: unknown key")
	_, err := d.client.Reload(t.Context())
	if want := "the old configuration stays in force: flask2ban.yaml:3:1: unknown key"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := request(t, "POST", d.local, "/api/v1/reload", "", bearer(d.token)); got.status != 422 {
		t.Errorf("status %d, want 422", got.status)
	}
}

func TestNothingToReload(t *testing.T) {
	d := run(t)
	_, err := d.client.Reload(t.Context())
	if want := "this daemon has no configuration file to read again: start it with --config FILE"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestRestartTheApp: done, failed with the reason, and not ours to do.
func TestRestartTheApp(t *testing.T) {
	for _, tt := range []struct {
		name    string
		restart func(context.Context) error
		want    string
	}{
		{"done", func(context.Context) error { return nil }, ""},
		{"it does not start", func(context.Context) error { return errors.New("it ended (exit status 1): no such table") },
			"the app was not replaced: it ended (exit status 1): no such table"},
		{"a sidecar's", nil, "the app is run by someone else: restart it there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := run(t, func(c *admin.Config) { c.Restart = tt.restart })
			got := ""
			if err := d.client.Restart(t.Context()); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if logged := strings.Contains(d.logged(), "action=restart"); logged != (tt.restart != nil) {
				t.Errorf("logged: %s", d.logged())
			}
		})
	}
}

// TestRules: each as the engine has it, with what it has done.
func TestRules(t *testing.T) {
	d := run(t)
	if _, err := d.client.Ban(t.Context(), admin.Order{Client: "192.0.2.1"}); err != nil {
		t.Fatal(err)
	}
	got, err := d.client.Rules(t.Context())
	if want := d.engine.Rules(); err != nil || len(got) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	d := run(t)
	got := request(t, "GET", d.local, "/api/v1/nothing", "")
	if got.status != 404 || !strings.HasPrefix(got.body, `{"error":"no /api/v1/nothing here; there is GET /healthz, GET /readyz,`) {
		t.Errorf("unknown path: %+v", got)
	}
	got = request(t, "PUT", d.local, "/api/v1/bans", "")
	if want := `{"error":"PUT is not possible here; GET, POST is"}` + "\n"; got.status != 405 || got.body != want || got.header.Get("Allow") != "GET, POST" {
		t.Errorf("wrong method: %+v, want %s", got, want)
	}
	if got = request(t, "HEAD", d.local, "/api/v1/bans", ""); got.status != 200 {
		t.Errorf("HEAD: %+v", got)
	}
}

func TestNewNeedsAnEngine(t *testing.T) {
	if _, err := admin.New(admin.Config{}); err == nil || err.Error() != "admin API without a ban engine" {
		t.Errorf("got %v", err)
	}
}

func TestNoDaemon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	c := admin.NewClient(dir)
	defer c.Close()
	_, err := c.Status(t.Context())
	want := "no flask2ban runs with state directory " + dir + ": connect: no such file or directory"
	if err == nil || err.Error() != want || !errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestServeReportsALostListener(t *testing.T) {
	engine, err := ban.New(ban.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := admin.New(admin.Config{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = s.Serve(t.Context(), l)
	if !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "serve admin API on 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
}

// escape writes a client as the last segment of a path.
func escape(client string) string { return url.PathEscape(client) }
