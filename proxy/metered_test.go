package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// turnstile is a Connect that lets so many in of each address.
type turnstile struct {
	mu    sync.Mutex
	limit int
	open  map[netip.Addr]int
}

func (s *turnstile) connect(peer netip.Addr) (release func(), refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[peer] >= s.limit {
		return nil, true
	}
	s.open[peer]++
	return func() { s.mu.Lock(); defer s.mu.Unlock(); s.open[peer]-- }, false
}

func (s *turnstile) of(peer string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[netip.MustParseAddr(peer)]
}

// await polls until ok, for half a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s until %s", what)
		}
	}
}

// meteredServer counts by a turnstile; peers in 127.0.0.0/24 announce clients.
func meteredServer(t *testing.T, s *turnstile) net.Addr {
	t.Helper()
	server, err := Listen(ServerConfig{
		Listen:        []string{"127.0.0.1:0"},
		Connect:       s.connect,
		ProxyProtocol: netip.MustParsePrefix("127.0.0.0/24").Contains,
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { server.Serve(ctx) })
	t.Cleanup(func() { cancel(); server.Close(); group.Wait() })
	return server.Addrs()[0]
}

func TestConnectionsAreCountedUntilTheyAreClosed(t *testing.T) {
	s := &turnstile{limit: 2, open: map[netip.Addr]int{}}
	at := meteredServer(t, s)
	first, second := dialAs(t, "127.0.1.1", at), dialAs(t, "127.0.1.1", at)
	await(t, "both are counted", func() bool { return s.of("127.0.1.1") == 2 })
	if got := answerOf(t, dialAs(t, "127.0.1.1", at)); got != "closed" {
		t.Errorf("a third: %s", got)
	}
	io.WriteString(first, helloRequest) // ends with the answer
	if got := answerOf(t, first); got != "hello" {
		t.Errorf("the first: %s", got)
	}
	await(t, "the first is not counted any more", func() bool { return s.of("127.0.1.1") == 1 })
	second.Close()
	await(t, "none is counted", func() bool { return s.of("127.0.1.1") == 0 })
}

// Behind a proxy that announces clients, they are counted and not the proxy.
func TestAnnouncedConnectionsAreCounted(t *testing.T) {
	// Each connection of the proxy itself is counted at accept too.
	s := &turnstile{limit: 1, open: map[netip.Addr]int{netip.MustParseAddr("127.0.0.1"): -100}}
	at := meteredServer(t, s)
	const header = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"
	first := dialAs(t, "127.0.0.1", at)
	io.WriteString(first, header)
	await(t, "the client is counted", func() bool { return s.of("203.0.113.7") == 1 })
	second := dialAs(t, "127.0.0.1", at)
	io.WriteString(second, header+helloRequest)
	if got := answerOf(t, second); got != "closed" {
		t.Errorf("its second connection: %s", got)
	}
	first.Close()
	await(t, "the client is not counted any more", func() bool { return s.of("203.0.113.7") == 0 })
	third := dialAs(t, "127.0.0.1", at)
	io.WriteString(third, header+helloRequest)
	if got := answerOf(t, third); got != "hello" {
		t.Errorf("its third connection: %s", got)
	}
}

func TestLeaseEndsOnce(t *testing.T) {
	n := 0
	var l lease
	l.hold(func() { n++ })
	l.end()
	l.end()
	if n != 1 {
		t.Errorf("given back %d times", n)
	}
	l.hold(func() { n++ }) // the connection was closed before it was counted
	if n != 2 {
		t.Error("a late lease is not given back")
	}
	l.hold(nil)
	l.end()
}

// TestHandlerConnect has a real engine's rule behind the function.
func TestHandlerConnect(t *testing.T) {
	g := newRig(t, func(http.ResponseWriter, *http.Request) {}, func(_ *Config, b *ban.Config) {
		b.Rules = []ban.Rule{
			{Name: "one", Measure: ban.Throttle, Limits: ban.Limits{Connections: 1}, Match: ban.Match{Peers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		}
	})
	peer := netip.MustParseAddr("192.0.2.1")
	release, refused := g.handler.Connect(peer)
	if refused || release == nil {
		t.Fatal("the first is refused or not counted")
	}
	if _, refused := g.handler.Connect(peer); !refused {
		t.Error("the second is let in")
	}
	release()
	if _, refused := g.handler.Connect(peer); refused {
		t.Error("no room after the first is closed")
	}
	if release, refused := g.handler.Connect(netip.MustParseAddr("198.51.100.1")); refused || release != nil {
		t.Error("a peer that no rule is about is counted")
	}
}

// throttled is a rig whose front page has a throttle.
func throttled(t *testing.T, l ban.Limits, upstream http.HandlerFunc) *rig {
	return newRig(t, upstream, func(_ *Config, b *ban.Config) {
		b.Rules = []ban.Rule{{Name: "api", Measure: ban.Throttle, Limits: l, Match: ban.Match{Routes: []string{"/"}}}}
		b.Standing = func(netip.Addr) ban.Standing { return ban.Bannable }
	})
}

// get asks the rig's front page and returns the status and the header.
func (g *rig) get(t *testing.T) (int, http.Header) {
	t.Helper()
	res, err := http.Get(g.front.URL + "/")
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header
}

func TestThrottledAnswersTellTheLimit(t *testing.T) {
	g := throttled(t, ban.Limits{Rate: 0.1, Burst: 2}, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Routing", "found") })
	for _, want := range []struct {
		status       int
		state, retry string
	}{{200, `"api";r=1`, ""}, {200, `"api";r=0;t=10`, ""}, {429, `"api";r=0;t=10`, "10"}} {
		status, head := g.get(t)
		if status != want.status || head.Get("RateLimit") != want.state || head.Get("Retry-After") != want.retry || head.Get("RateLimit-Policy") != `"api";q=2;w=20` {
			t.Errorf("%d %v, want %+v", status, head, want)
		}
	}
	if got := g.asked.Load(); got != 2 {
		t.Errorf("the app was asked %d times", got)
	}
}

// A request is in flight until its end, whatever that is.
func TestInFlightEndsWithTheRequest(t *testing.T) {
	var mode atomic.Value
	g := throttled(t, ban.Limits{InFlight: 1}, func(w http.ResponseWriter, _ *http.Request) {
		switch mode.Load() {
		case "break":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "cut")
			panic(http.ErrAbortHandler)
		case "close":
			panic(http.ErrAbortHandler)
		}
	})
	for _, m := range []string{"ok", "break", "close", "ok", "ok"} {
		mode.Store(m)
		status, _ := g.get(t)
		if status == http.StatusTooManyRequests {
			t.Fatalf("%s: the request before is still in flight", m)
		}
	}
}

// The app asks for a trap: the ban is told of, counted and saved as any other.
func TestTrapBansInTheHandler(t *testing.T) {
	g := newRig(t, func(http.ResponseWriter, *http.Request) {}, func(_ *Config, b *ban.Config) {
		b.Rules = []ban.Rule{{Name: "trap", Measure: ban.Block, BanTime: time.Hour, Match: ban.Match{Routes: []string{"/"}}}}
		b.Standing = func(netip.Addr) ban.Standing { return ban.Bannable }
	})
	if status, _ := g.get(t); status != http.StatusForbidden || g.asked.Load() != 0 {
		t.Errorf("status %d, the app was asked %d times", status, g.asked.Load())
	}
	if bans := g.engine.Bans(g.handler.Now()); len(bans) != 1 || bans[0].Rule != "trap" {
		t.Errorf("%v", bans)
	}
}
