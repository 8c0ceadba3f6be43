package replay

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/proxy"
	"github.com/flask2ban/flask2ban/routes"
)

// fixed is a table that never changes, as in a replay.
type fixed struct{ table *routes.Table }

func (f fixed) Current() (*routes.Table, bool) { return f.table, false }
func (fixed) Learn(string, string)             {}

// TestSameAsProxy is what replay promises: a real proxy in front of a real app
// serves some thousand requests and writes its access log; the replay of that
// log bans the same clients at the same times, and refuses the same requests.
func TestSameAsProxy(t *testing.T) {
	table := site(t, "/", "/about", "/user/<name>", "/<int:year>", "/a/<x>", "/b/<x>", "/c/<x>", "/d/<x>")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch v := table.Match(r.Host, r.Method, r.RequestURI); {
		case v.Kind == routes.UnexpectedMethod:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case v.Kind != routes.Found || r.URL.Query().Has("gone"):
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Query().Has("fails"):
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer app.Close()
	clients := resolver(t, clientip.Config{})
	front := newFront(t, table, clients, app.URL)
	refusals := front.serve(t, 6000)

	got := replayed(t, Config{Table: table, Clients: clients}, front.log.String())
	if got.Requests != 6000 || got.Skipped != 0 || len(got.Banned) < 10 || got.Refused < 100 {
		t.Fatalf("not much to compare: %d requests, %d skipped, %d banned, %d refused", got.Requests, got.Skipped, len(got.Banned), got.Refused)
	}
	counted := map[string]int{}
	for _, b := range got.Banned {
		counted[b.Client] = b.Refused
		if want := front.first[b.Client]; !b.FirstBan.Equal(want) {
			t.Errorf("%s: first ban at %v, by the proxy at %v", b.Client, b.FirstBan, want)
		}
	}
	if diff := cmp.Diff(refusals, counted); diff != "" {
		t.Errorf("refused requests by banned client, proxy and replay:\n%s", diff)
	}
}

// front is a proxy at a time of its own.
type front struct {
	handler *proxy.Handler
	engine  *ban.Engine
	now     time.Time
	log     bytes.Buffer
	// first is when the proxy first banned whom.
	first map[string]time.Time
}

func newFront(t *testing.T, table *routes.Table, clients *clientip.Resolver, app string) *front {
	t.Helper()
	upstream, err := url.Parse(app)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{now: at, first: map[string]time.Time{}}
	f.engine, err = ban.New(ban.Config{BanJitter: -1, Standing: func(a netip.Addr) ban.Standing { return standingOf(clients, a) }})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	sidecar := proxy.NewSidecar(upstream, quiet, nil)
	done := make(chan error)
	go func() { done <- sidecar.Serve(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(time.Minute); !sidecar.Testify(http.StatusOK, nil).Present; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the sidecar has not asked the app what unknown paths get")
		}
	}
	f.handler, err = proxy.New(proxy.Config{
		Clients: clients, Tables: fixed{table}, Engine: f.engine, App: sidecar, Upstream: upstream,
		Metrics: metrics.New("test"), AccessLog: proxy.NewAccessLog(&f.log, quiet), Now: func() time.Time { return f.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// serve sends n requests of people, crawlers and scanners, two seconds apart,
// and returns how many of each banned client were refused.
func (f *front) serve(t *testing.T, n int) map[string]int {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	refused := map[string]int{}
	for range n {
		f.now = f.now.Add(2 * time.Second)
		r, client := visit(rng)
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		_, _ = io.Copy(io.Discard, w.Result().Body) // in memory
		if w.Code == http.StatusForbidden {
			refused[client]++
		}
		if b, ok := f.engine.Banned(f.now, netip.MustParseAddr(client)); ok && f.first[client].IsZero() {
			f.first[client] = b.Since
			refused[client] += 0
		}
	}
	return refused
}

// visit is a request of somebody: the address says of what kind.
func visit(rng *rand.Rand) (*http.Request, string) {
	kind, who := rng.IntN(4), rng.IntN(12)
	client := fmt.Sprintf("192.0.%d.%d", kind, who)
	method, target, referer := "GET", fmt.Sprintf("/%c/%d", 'a'+rng.IntN(4), rng.IntN(100)), ""
	odd := []string{"/.env", "/wp-login.php", "/x%41?q", "/caf%C3%A9", "/%22%5C", "/favicon.ico", "/<b>", "/2o2o", "/user/a?gone", "/about?fails", "//about", "/user/.env?gone"}
	missing := fmt.Sprintf("/missing/%d", rng.IntN(2000))
	switch {
	case kind == 1: // scanners
		target = missing
	case kind == 2 && rng.IntN(3) == 0: // those who find little
		target = odd[rng.IntN(len(odd))]
	case kind == 3 && rng.IntN(5) == 0: // those whom pages send astray
		target, referer = missing, "http://example.com/"
	case rng.IntN(30) == 0:
		method = "DELETE"
	}
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI, r.RemoteAddr, r.Host = target, client+":4711", "localhost"
	if u, err := url.ParseRequestURI(target); err == nil {
		r.URL = u
	}
	if referer != "" {
		r.Header.Set("Referer", referer)
	}
	return r, client
}
