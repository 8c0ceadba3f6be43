package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/routes"
)

// rig is a Handler between a real client and a real upstream server.
type rig struct {
	handler *Handler
	engine  *ban.Engine
	front   *httptest.Server
	asked   atomic.Int64 // requests that reached the upstream
	tables  *fixedTable
	app     *scriptedApp
	now     atomic.Int64 // ns since the rig's epoch
}

// fixedTable is a table that only notes what it should learn.
type fixedTable struct {
	table     *routes.Table
	confirmed bool
	mu        sync.Mutex
	learned   []string
}

func (f *fixedTable) Current() (*routes.Table, bool) { return f.table, f.confirmed }

func (f *fixedTable) Learn(rule, method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.learned = append(f.learned, method+" "+rule)
}

// scriptedApp takes its testimony from a header of the test's upstream, in the
// place of the hook's.
type scriptedApp struct {
	down atomic.Bool
	tls  bool
}

func (a *scriptedApp) Wait(ctx context.Context) error {
	if !a.down.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (a *scriptedApp) TLS() bool { return a.tls }

func (a *scriptedApp) Prepare(*http.Request, []string) {}

func (a *scriptedApp) Enter(*app.Flight) {}

func (a *scriptedApp) Leave(*app.Flight) {}

func (a *scriptedApp) Again(_ context.Context, _ *app.Flight, safe bool, _ error) error {
	if !safe {
		return errNoProof
	}
	return nil
}

func (a *scriptedApp) Testify(_ int, h http.Header) app.Witness {
	word := h.Get("X-Routing")
	h.Del("X-Routing")
	routing, ok := map[string]app.Routing{"found": app.Found, "lacks": app.NotFound, "method": app.MethodNotAllowed}[word]
	w := app.Witness{Present: ok, Routing: routing}
	if rule := h.Get("X-Rule"); rule != "" {
		w.Rule = rule
		h.Del("X-Rule")
	}
	return w
}

// helloRoutes is the table of examples/hello.
var helloRoutes = []routes.Route{
	{Rule: "/", Endpoint: "index"},
	{Rule: "/user/<username>", Endpoint: "getuser"},
	{Rule: "/<int:year>", Endpoint: "getyear"},
	{Rule: "/post", Endpoint: "post", Methods: []string{"OPTIONS", "POST"}},
}

func newRig(t testing.TB, upstream http.HandlerFunc, change func(*Config, *ban.Config)) *rig {
	t.Helper()
	g := &rig{app: &scriptedApp{}}
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		upstream(w, r)
	}))
	t.Cleanup(back.Close)
	project := &routes.Project{App: "test", Complete: true, Options: routes.Options{StrictSlashes: true, MergeSlashes: true}}
	for _, r := range helloRoutes {
		if r.Methods == nil {
			r.Methods = []string{"GET", "HEAD", "OPTIONS"}
		}
		r.StrictSlashes, r.MergeSlashes, r.Source = true, true, routes.Static
		project.Routes = append(project.Routes, r)
	}
	table, err := routes.NewTable(routes.TableConfig{Project: project, Lists: routes.DefaultLists()})
	if err != nil {
		t.Fatal(err)
	}
	g.tables = &fixedTable{table: table, confirmed: true}
	clients, err := clientip.New(clientip.Config{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(back.URL)
	if err != nil {
		t.Fatal(err)
	}
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := Config{
		Clients: clients, Tables: g.tables, App: g.app, Upstream: at, Metrics: metrics.New("test"),
		Hold: time.Second, Now: func() time.Time { return epoch.Add(time.Duration(g.now.Load())) },
	}
	var b ban.Config
	if change != nil {
		change(&c, &b)
	}
	if g.engine, err = ban.New(b); err != nil {
		t.Fatal(err)
	}
	c.Engine = g.engine
	if g.handler, err = New(c); err != nil {
		t.Fatal(err)
	}
	g.front = httptest.NewServer(g.handler)
	t.Cleanup(g.front.Close)
	return g
}

// flask answers as the app of helloRoutes would, testimony included.
func flask(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case p == "/", strings.HasPrefix(p, "/user/"), p == "/2020":
		w.Header().Set("X-Routing", "found")
		io.WriteString(w, "fine")
	case p == "/post" && r.Method != "POST":
		w.Header().Set("X-Routing", "method")
		w.WriteHeader(405)
	default:
		w.Header().Set("X-Routing", "lacks")
		w.WriteHeader(404)
	}
}

// do serves one request of a client, without a network between.
func (g *rig) do(ip, method, target string, head ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(ip), 4000).String()
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

func TestAttackerCostsTheAppLittle(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	for n, p := range []string{"/a", "/b", "/c", "/d", "/e", "/f", "/g"} {
		w := g.do("192.0.2.1", "GET", p)
		want := http.StatusNotFound
		if n >= 5 {
			want = http.StatusForbidden
		}
		if w.Code != want {
			t.Errorf("request %d: %d, want %d", n+1, w.Code, want)
		}
	}
	// From half of maxretry on, we answer unknown paths ourselves.
	if n := g.asked.Load(); n != 3 {
		t.Errorf("%d requests reached the app, want 3", n)
	}
	if w := g.do("192.0.2.2", "GET", "/"); w.Code != 200 || w.Body.String() != "fine" {
		t.Errorf("another client: %d %s", w.Code, w.Body)
	}
}

func TestAttackerWithManyConnections(t *testing.T) {
	t.Parallel()
	var most, now atomic.Int32
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		flask(w, r)
	}, nil)
	var group sync.WaitGroup
	for n := range 40 {
		group.Go(func() { g.do("192.0.2.1", "GET", "/probe"+string(rune('A'+n))) })
	}
	group.Wait()
	// Each waits for the answer before it: three make a suspect, and one may
	// have been admitted beside the third.
	if n := g.asked.Load(); n > 4 || most.Load() > laneWidth {
		t.Errorf("%d of 40 requests at once reached the app, %d at a time; want at most 4, %d", n, most.Load(), laneWidth)
	}
	if n := len(g.engine.Bans(g.handler.Now())); n != 1 {
		t.Errorf("%d bans, want 1", n)
	}
	if left := len(g.handler.lanes.open); left != 0 {
		t.Errorf("%d lanes are still open", left)
	}
}

// TestManyAtOnceOfAnInnocent: an app answers paths that it has no route for
// (before_request); a page asks for ten at once. All are answered by the app.
func TestManyAtOnceOfAnInnocent(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "lacks")
		io.WriteString(w, "from before_request")
	}, nil)
	var group sync.WaitGroup
	for n := range 10 {
		group.Go(func() {
			if w := g.do("192.0.2.1", "GET", "/api/"+string(rune('A'+n)), "Referer", "http://app.example/"); w.Code != 200 {
				t.Errorf("request %d: %d", n, w.Code)
			}
		})
	}
	group.Wait()
	if bans := g.engine.Bans(g.handler.Now()); len(bans) > 0 {
		t.Errorf("banned: %v", bans)
	}
}

// TestNoReferrerPageOverHTTP: what Chromium sends when a foreign page with
// no-referrer fetches /.env over plain HTTP. Its reader is not banned.
func TestNoReferrerPageOverHTTP(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	head := []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156", "Accept", "*/*",
		"Accept-Encoding", "gzip, deflate", "Accept-Language", "en-US,en;q=0.9"}
	g.do("192.0.2.1", "GET", "/.env", head...)
	if w := g.do("192.0.2.1", "GET", "/", head...); w.Code != 200 {
		t.Errorf("the reader gets %d", w.Code)
	}
}

// TestForeignLoginForms: another site's page posts wrong passwords.
func TestForeignLoginForms(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "found")
		w.Header().Set("Flask2ban-Evidence", "login_failed")
		w.WriteHeader(401)
	}, nil)
	for _, origin := range []string{"http://evil.example", "null"} {
		for range 8 {
			g.do("192.0.2.1", "POST", "/post", "Origin", origin)
		}
	}
	if bans := g.engine.Bans(g.handler.Now()); len(bans) > 0 {
		t.Errorf("banned: %v", bans)
	}
}

// TestTrailingSlash: a slash too many on a real route is a slip.
func TestTrailingSlash(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	for n := range 10 {
		g.do("192.0.2.1", "GET", "/user/"+string(rune('a'+n))+"x/")
		g.now.Add(int64(2 * time.Second))
	}
	if bans := g.engine.Bans(g.handler.Now()); len(bans) > 0 {
		t.Errorf("banned: %v", bans)
	}
}

func TestHoneypathIsNotAsked(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	if w := g.do("192.0.2.1", "GET", "/.env"); w.Code != 404 {
		t.Errorf("/.env: %d", w.Code)
	}
	if w := g.do("192.0.2.1", "GET", "/"); w.Code != 403 {
		t.Errorf("after it: %d", w.Code)
	}
	if n := g.asked.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}
}

func TestUnconfirmedTableNeverBansOnItsOwn(t *testing.T) {
	t.Parallel()
	// The app has everything that the table lacks.
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "found")
		w.Header().Set("X-Rule", "/<anything>")
	}, nil)
	g.tables.confirmed = false
	for n := range 40 {
		if w := g.do("192.0.2.1", "GET", "/page"+string(rune('A'+n))); w.Code != 200 {
			t.Fatalf("request %d: %d", n, w.Code)
		}
	}
	g.do("192.0.2.1", "GET", "/.env")
	if bans := g.engine.Bans(g.handler.Now()); len(bans) > 0 {
		t.Errorf("banned for URLs that the app has: %v", bans)
	}
	if !slices.Contains(g.tables.learned, "GET /<anything>") {
		t.Errorf("nothing learned: %v", g.tables.learned)
	}
}

// TestSinglePageApp: people open deep links of an app whose 404 handler serves
// the page; every one is answered by the app, and nobody is blocked for a few.
func TestSinglePageApp(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "lacks")
		io.WriteString(w, "the page")
	}, nil)
	for n := range 20 {
		w := g.do("192.0.2.1", "GET", "/board/"+string(rune('A'+n)))
		if w.Code != 200 && w.Code != 429 || w.Code == 200 && w.Body.String() != "the page" {
			t.Fatalf("deep link %d: %d %s", n+1, w.Code, w.Body)
		}
		g.now.Add(int64(2 * time.Second))
	}
	if bans := g.engine.Bans(g.handler.Now()); len(bans) > 0 {
		t.Errorf("banned: %v", bans)
	}
	g.do("192.0.2.2", "GET", "/.env")
	if w := g.do("192.0.2.2", "GET", "/"); w.Code != 403 {
		t.Errorf("a scanner: %d, want 403", w.Code)
	}
}

func TestAnswerWithoutTestimonyIsNoEvidence(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, nil)
	g.tables.confirmed = false
	for n := range 40 {
		g.do("192.0.2.1", "GET", "/page"+string(rune('A'+n)))
	}
	if bans := g.engine.Bans(g.handler.Now()); len(bans) > 0 {
		t.Errorf("banned on the table's word alone: %v", bans)
	}
}

func TestClientThatHangsUpDoesNotEscape(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			flask(w, r) // the app is seen to have no page for unknown paths
			return
		}
		<-r.Context().Done()
	}, nil)
	g.do("192.0.2.9", "GET", "/first")
	for n := range 9 {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "GET", "/scan"+string(rune('A'+n)), nil)
		r.RemoteAddr = "192.0.2.1:4000"
		before := g.asked.Load()
		go func() {
			for g.asked.Load() == before && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		g.handler.ServeHTTP(httptest.NewRecorder(), r)
		cancel()
	}
	if n := len(g.engine.Bans(g.handler.Now())); n != 1 {
		t.Errorf("%d bans, want 1", n)
	}
}

// TestAppReports: brute force on a valid route counts where the app says so,
// and the client does not see what it said.
func TestAppReports(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "found")
		w.Header().Set("Flask2ban-Evidence", r.URL.Query().Get("say"))
		w.WriteHeader(401)
	}, nil)
	for range 5 {
		w := g.do("192.0.2.1", "POST", "/post?say=login_failed", "Referer", "http://example.com/login")
		if w.Code != 401 || w.Header().Get("Flask2ban-Evidence") != "" {
			t.Fatalf("%d, header %q", w.Code, w.Header().Get("Flask2ban-Evidence"))
		}
	}
	if w := g.do("192.0.2.1", "POST", "/post?say=login_failed"); w.Code != 403 {
		t.Errorf("after five failed logins: %d, want 403", w.Code)
	}
	for range 10 {
		g.do("192.0.2.2", "POST", "/post?say=no%20word%0a")
	}
	if n := len(g.engine.Bans(g.handler.Now())); n != 1 {
		t.Errorf("%d bans, want 1: nonsense is no report", n)
	}
}

func TestDebuggerIsRefused(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	if w := g.do("192.0.2.1", "GET", "/?__debugger__=yes&cmd=resource&f=debugger.js"); w.Code != 404 {
		t.Errorf("%d, want 404", w.Code)
	}
	if n := g.asked.Load(); n != 0 {
		t.Errorf("the app was asked")
	}
	g = newRig(t, flask, func(c *Config, _ *ban.Config) { c.AllowDebugger = true })
	if w := g.do("192.0.2.1", "GET", "/?__debugger__=yes&cmd=resource&f=debugger.js"); w.Code != 200 {
		t.Errorf("allowed, but %d", w.Code)
	}
}

func TestUselessMethods(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	for range 10 {
		if w := g.do("192.0.2.1", "TRACE", "/"); w.Code != 405 {
			t.Errorf("TRACE: %d", w.Code)
		}
	}
	if n := g.asked.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestOddUpgrade is the client's fault, and no failure of the app's.
func TestOddUpgrade(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	if w := g.do("192.0.2.1", "GET", "/", "Connection", "upgrade", "Upgrade", "caf\xc3\xa9"); w.Code != 400 || g.asked.Load() != 0 {
		t.Errorf("%d, %d requests at the app; want 400, none", w.Code, g.asked.Load())
	}
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, func(c *Config, _ *ban.Config) { c.Hosts = []string{"App.example", "[::1]"} })
	for host, want := range map[string]int{
		"app.example": 200, "APP.EXAMPLE:8080": 200, "app.example.": 200, "[::1]:80": 200,
		"evil.example": 421, "app.example.evil": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.RemoteAddr = host, "192.0.2.1:1"
		w := httptest.NewRecorder()
		g.handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestPagesSpeakTheClientsLanguage(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	if err := g.engine.Add(g.handler.Now(), ban.Ban{
		Client: netip.MustParsePrefix("192.0.2.1/32"), Until: g.handler.Now().Add(time.Hour),
		Reason: `<script>alert("x")</script>`,
	}); err != nil {
		t.Fatal(err)
	}
	html := g.do("192.0.2.1", "GET", "/")
	if html.Code != 403 || html.Header().Get("Retry-After") != "3600" {
		t.Errorf("%d, Retry-After %q", html.Code, html.Header().Get("Retry-After"))
	}
	body := html.Body.String()
	if strings.Contains(body, "<script>") || !strings.Contains(body, "2026-01-01 01:00:00 UTC") || !strings.Contains(body, "192.0.2.1") {
		t.Errorf("page: %s", body)
	}
	json := g.do("192.0.2.1", "GET", "/", "Accept", "application/json")
	if !strings.Contains(json.Body.String(), `"status":403`) || json.Header().Get("Content-Type") != "application/json" {
		t.Errorf("JSON: %s", json.Body)
	}
	if head := g.do("192.0.2.1", "HEAD", "/"); head.Body.Len() != 0 || head.Code != 403 {
		t.Errorf("HEAD: %d with %d bytes", head.Code, head.Body.Len())
	}
}

func TestStartingApp(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, func(c *Config, _ *ban.Config) { c.Hold = 10 * time.Millisecond })
	g.app.down.Store(true)
	w := g.do("192.0.2.1", "GET", "/nowhere")
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), `http-equiv="refresh"`) {
		t.Errorf("%d %q %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	g.app.down.Store(false)
	if w := g.do("192.0.2.1", "GET", "/"); w.Code != 200 {
		t.Errorf("after the start: %d", w.Code)
	}
}

func TestDeadUpstream(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, nil)
	for n := range 10 {
		if w := g.do("192.0.2.1", "GET", "/page"+string(rune('A'+n))); w.Code != 502 && w.Code != 404 {
			t.Errorf("%d, want 502, or our 404", w.Code)
		}
	}
	if w := g.do("192.0.2.2", "POST", "/post"); w.Code != 502 {
		t.Errorf("POST: %d, want 502", w.Code)
	}
}

// TestToldPeersAreRefusedAtAccept: ten explained refusals, then the connection
// is closed before a byte is read; an unban opens it at once.
func TestToldPeersAreRefusedAtAccept(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	peer, now := netip.MustParseAddr("192.0.2.1"), g.handler.Now()
	if err := g.engine.Add(now, ban.Ban{Client: netip.MustParsePrefix("192.0.2.1/32"), Until: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for n := range ban.Explained {
		if g.handler.RefusePeer(peer) {
			t.Fatalf("refused at accept after %d refusals", n)
		}
		if w := g.do("192.0.2.1", "GET", "/"); w.Code != 403 || w.Body.Len() == 0 {
			t.Fatalf("refusal %d: %d with %d bytes", n+1, w.Code, w.Body.Len())
		}
	}
	if !g.handler.RefusePeer(peer) {
		t.Error("not refused at accept after ten explained refusals")
	}
	if w := g.do("192.0.2.1", "GET", "/"); w.Code != 403 || w.Body.Len() != 0 {
		t.Errorf("on an open connection: %d with %d bytes, want a bare 403", w.Code, w.Body.Len())
	}
	if g.handler.RefusePeer(netip.MustParseAddr("192.0.2.2")) {
		t.Error("another peer is refused")
	}
	if _, ok := g.engine.Remove(now, netip.MustParsePrefix("192.0.2.1/32")); !ok {
		t.Fatal("no ban to remove")
	}
	if g.handler.RefusePeer(peer) {
		t.Error("refused at accept after the unban")
	}
	if w := g.do("192.0.2.1", "GET", "/"); w.Code != 200 {
		t.Errorf("after the unban: %d", w.Code)
	}
}

func TestToldIsBounded(t *testing.T) {
	t.Parallel()
	var peers told
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	addr := netip.MustParseAddr("2001:db8::")
	for range maxTold + 10 {
		peers.add(addr, now, now.Add(time.Second))
		addr = addr.Next()
	}
	if n := len(peers.until); n != maxTold {
		t.Errorf("%d peers, want at most %d", n, maxTold)
	}
	// All are looked through now and then only: a network can fill it at will.
	peers.add(addr, now.Add(toldSweep-1), now.Add(2*time.Hour))
	if peers.has(addr, now) {
		t.Error("room was made again at once")
	}
	peers.add(addr, now.Add(time.Hour), now.Add(2*time.Hour))
	if n := len(peers.until); n != 1 {
		t.Errorf("%d peers after all others ended, want 1", n)
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("no error without anything")
	}
	g := newRig(t, flask, nil)
	c := g.handler.Config
	c.Upstream = &url.URL{Scheme: "http", Host: "h", Path: "/app"}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "--prefix") {
		t.Errorf("upstream with a path: %v", err)
	}
}

func TestPenalties(t *testing.T) {
	t.Parallel()
	for _, p := range []ban.Penalty{ban.Reject, ban.TooMany, ban.Drop, ban.Tarpit} {
		if penalties[p] == nil {
			t.Errorf("penalty %s has no function", p)
		}
	}
	g := newRig(t, flask, func(_ *Config, b *ban.Config) { b.Penalty = ban.Drop })
	g.do("192.0.2.1", "GET", "/.env")
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("drop did not abort: %v", err)
		}
	}()
	g.do("192.0.2.1", "GET", "/")
}

// BenchmarkHandler is one good request through everything but the network:
// the upstream answers from memory.
func BenchmarkHandler(b *testing.B) {
	g := newRig(b, flask, nil)
	g.handler.reverse.Transport = memoryTransport{}
	for name, target := range map[string]string{"forward": "/2020", "refused": "/"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", target, nil)
			r.RemoteAddr = "192.0.2.1:4000"
			if name == "refused" {
				r.RemoteAddr = "192.0.2.9:4000"
				g.engine.Add(g.handler.Now(), ban.Ban{Client: netip.MustParsePrefix("192.0.2.9/32"), Until: g.handler.Now().Add(time.Hour)})
			}
			b.ReportAllocs()
			for b.Loop() {
				g.handler.ServeHTTP(nullWriter{http.Header{}}, r)
			}
		})
	}
}

type memoryTransport struct{}

func (memoryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"X-Routing": {"found"}}, Body: http.NoBody, Request: r}, nil
}

type nullWriter struct{ h http.Header }

func (n nullWriter) Header() http.Header         { return n.h }
func (n nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (n nullWriter) WriteHeader(int)             {}

// TestConnectionsAreKeptAlive: what is set on the listening socket holds for
// accepted connections.
func TestConnectionsAreKeptAlive(t *testing.T) {
	t.Parallel()
	accepted := make(chan net.Conn, 1)
	l, err := keepingAlive.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := <-accepted
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		on, _ := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		idle, _ := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		if on != 1 || idle != 15 {
			t.Errorf("SO_KEEPALIVE %d, TCP_KEEPIDLE %d; want 1, 15", on, idle)
		}
	})
}

// TestUndeclaredProxyIsToldOf, once, with the flag that mends it.
func TestUndeclaredProxyIsToldOf(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	g := newRig(t, flask, func(c *Config, _ *ban.Config) { c.Log = slog.New(slog.NewTextHandler(&told, nil)) })
	for range 3 {
		g.do("127.0.0.1", "GET", "/", "X-Forwarded-For", "203.0.113.9")
		g.do("198.51.100.1", "GET", "/", "X-Forwarded-For", "203.0.113.9") // a client that forges it
	}
	if got := told.String(); strings.Count(got, "--trusted-proxy 127.0.0.1") != 1 || strings.Contains(got, "198.51.100.1") {
		t.Errorf("told: %s", got)
	}
}
