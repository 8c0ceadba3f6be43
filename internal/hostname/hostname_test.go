package hostname

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a real DNS server on loopback, over UDP and TCP.
type zone struct {
	mu      sync.Mutex
	records map[string][]dns.RR // by "name TYPE"
	silent  map[string]bool     // names that get no answer
	asked   []string
	code    int          // where set, the answer to everything
	high    atomic.Int32 // most questions at once
	now     atomic.Int32
	hold    atomic.Pointer[chan struct{}] // where set, every answer waits for it to close
	addr    string
}

func serveZone(t testing.TB, records ...string) *zone {
	t.Helper()
	z := &zone{records: map[string][]dns.RR{}, silent: map[string]bool{}}
	z.add(t, records...)
	packets, stream := listenBoth(t)
	z.addr = packets.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: stream, Handler: z}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		ended := make(chan struct{})
		go func() { defer close(ended); s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-ended })
	}
	return z
}

func (z *zone) add(t testing.TB, records ...string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		key := plain(rr.Header().Name) + " " + dns.TypeToString[rr.Header().Rrtype]
		z.records[key] = append(z.records[key], rr)
	}
}

// silence makes questions for names go unanswered.
func (z *zone) silence(names ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, name := range names {
		z.silent[name] = true
	}
}

// ServeDNS answers as a recursive resolver does, aliases followed.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.high.Store(max(z.high.Load(), z.now.Add(1)))
	if hold := z.hold.Load(); hold != nil {
		<-*hold
	}
	z.now.Add(-1)
	z.mu.Lock()
	name, kind := plain(q.Question[0].Name), dns.TypeToString[q.Question[0].Qtype]
	z.asked = append(z.asked, name+" "+kind)
	m := new(dns.Msg).SetReply(q)
	silent := z.silent[name]
	for range 10 {
		m.Answer = append(m.Answer, z.records[name+" "+kind]...)
		alias := z.records[name+" CNAME"]
		if len(alias) == 0 {
			break
		}
		m.Answer = append(m.Answer, alias...)
		name = plain(alias[0].(*dns.CNAME).Target)
	}
	if len(m.Answer) == 0 {
		m.Rcode = dns.RcodeNameError
		m.Ns = z.records[" SOA"]
	}
	if z.code != 0 {
		m.Answer, m.Rcode = nil, z.code
	}
	z.mu.Unlock()
	if silent {
		return
	}
	if w.RemoteAddr().Network() == "udp" {
		m.Truncate(udpSize)
	}
	w.WriteMsg(m)
}

// rig is a running Resolver with a clock of its own.
type rig struct {
	*Resolver
	known chan netip.Addr
	clock atomic.Int64
}

func run(t testing.TB, c Config) *rig {
	t.Helper()
	g := &rig{known: make(chan netip.Addr, 2000)}
	g.clock.Store(time.Now().UnixNano())
	c.Known = func(a netip.Addr) { g.known <- a }
	c.Now = func() time.Time { return time.Unix(0, g.clock.Load()) }
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.Resolver = r
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return g
}

func (g *rig) pass(d time.Duration) { g.clock.Add(int64(d)) }

func (g *rig) opened() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

func (g *rig) await(t testing.TB) netip.Addr {
	t.Helper()
	select {
	case a := <-g.known:
		return a
	case <-time.After(20 * time.Second):
		t.Fatal("no look-up ended within 20 s")
		return netip.Addr{}
	}
}

// match looks an address up and says whether it fits.
func (g *rig) match(t testing.TB, addr string, patterns ...string) bool {
	t.Helper()
	a := netip.MustParseAddr(addr)
	if matched, pending := g.Match(a, patterns); matched || !pending {
		t.Fatalf("%s before its look-up: matched %t, pending %t", addr, matched, pending)
	}
	if got := g.await(t); got != a {
		t.Fatalf("%s became known, want %s", got, a)
	}
	matched, pending := g.Match(a, patterns)
	if pending {
		t.Errorf("%s is pending after its look-up", addr)
	}
	return matched
}

const google = ".googlebot.com"

// TestForwardConfirmed: which names count.
func TestForwardConfirmed(t *testing.T) {
	t.Parallel()
	z := serveZone(t,
		"1.66.249.66.in-addr.arpa. 300 PTR crawl-66-249-66-1.GoogleBot.com.",
		"crawl-66-249-66-1.googlebot.com. 300 A 66.249.66.1",
		"2.66.249.66.in-addr.arpa. 300 PTR googlebot.com.",
		"googlebot.com. 300 A 66.249.66.2",
		// A spoofed PTR: the name is there, and another's.
		"9.113.0.203.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.",
		// A spoofed PTR to a name that isn't there.
		"10.113.0.203.in-addr.arpa. 300 PTR crawl-203-0-113-10.googlebot.com.",
		"11.113.0.203.in-addr.arpa. 300 PTR crawl.evilgooglebot.com.",
		"crawl.evilgooglebot.com. 300 A 203.0.113.11",
		"12.113.0.203.in-addr.arpa. 300 PTR googlebot.com.evil.example.",
		"googlebot.com.evil.example. 300 A 203.0.113.12",
		// A delegated reverse zone (RFC 2317), and a name that is an alias.
		"3.66.249.66.in-addr.arpa. 300 CNAME 3.0-15.66.249.66.in-addr.arpa.",
		"3.0-15.66.249.66.in-addr.arpa. 300 PTR alias.googlebot.com.",
		"alias.googlebot.com. 300 CNAME real.example.",
		"real.example. 300 A 66.249.66.3",
		// An alias that leads in a circle.
		"13.113.0.203.in-addr.arpa. 300 PTR circle.googlebot.com.",
		"circle.googlebot.com. 300 CNAME circle2.googlebot.com.",
		"circle2.googlebot.com. 300 CNAME circle.googlebot.com.",
		// An alias to a name that has no address.
		"14.113.0.203.in-addr.arpa. 300 PTR beside.googlebot.com.",
		"beside.googlebot.com. 300 CNAME gone.example.",
		// A label with a dot in it.
		`15.113.0.203.in-addr.arpa. 300 PTR evil\.googlebot.com.`,
		`evil\.googlebot.com. 300 A 203.0.113.15`,
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR six.googlebot.com.",
		"six.googlebot.com. 300 AAAA 2001:db8::1",
		"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 PTR six.googlebot.com.",
	)
	g := run(t, Config{Servers: []string{z.addr}})
	for _, tt := range []struct {
		addr string
		want bool
	}{
		{"66.249.66.1", true}, {"66.249.66.2", true}, {"66.249.66.3", true}, {"2001:db8::1", true},
		{"203.0.113.9", false}, {"203.0.113.10", false}, {"203.0.113.11", false}, {"203.0.113.12", false},
		{"203.0.113.13", false}, {"203.0.113.14", false}, {"203.0.113.15", false}, {"2001:db8::2", false},
		{"192.0.2.1", false}, // no PTR record
	} {
		if got := g.match(t, tt.addr, ".example.net", google); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.addr, got, tt.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pattern string
		want          bool
	}{
		{"a.example.org", ".example.org", true}, {"example.org", ".example.org", true},
		{"a.b.example.org", ".example.org", true}, {"aexample.org", ".example.org", false},
		{"example.org", "example.org", true}, {"a.example.org", "example.org", false},
		{"example.org.evil", ".example.org", false},
	} {
		if got := fits([]string{"other.net", tt.name}, []string{"x.y", tt.pattern}); got != tt.want {
			t.Errorf("%s in %s: got %t", tt.name, tt.pattern, got)
		}
	}
}

// TestManyNames: the first five names of a PTR answer are tried, no more, and
// an answer too large for UDP is asked for over TCP.
func TestManyNames(t *testing.T) {
	t.Parallel()
	z := serveZone(t)
	for n := range 200 {
		z.add(t, fmt.Sprintf("1.2.0.192.in-addr.arpa. 300 PTR host-%03d.googlebot.com.", n),
			fmt.Sprintf("host-%03d.googlebot.com. 300 A 192.0.2.1", n))
	}
	g := run(t, Config{Servers: []string{z.addr}})
	if !g.match(t, "192.0.2.1", google) {
		t.Error("does not match")
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	forward := 0
	for _, q := range z.asked {
		if strings.HasSuffix(q, " A") {
			forward++
		}
	}
	if forward != maxNames {
		t.Errorf("%d names were tried, want %d", forward, maxNames)
	}
}

// listenBoth takes a port that is free for UDP and for TCP.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if stream, err := net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, stream
		}
		packets.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// TestTTL: answers hold as long as their TTL, within a minute and a day; a
// name goes on to count while it is asked for again, a "no" is not pending
// again.
func TestTTL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		records []string
		addr    string
		want    time.Duration
	}{
		{"as said", []string{"1.2.0.192.in-addr.arpa. 600 PTR a.googlebot.com.", "a.googlebot.com. 300 A 192.0.2.1"}, "192.0.2.1", 5 * time.Minute},
		{"short", []string{"1.2.0.192.in-addr.arpa. 0 PTR a.googlebot.com.", "a.googlebot.com. 300 A 192.0.2.1"}, "192.0.2.1", time.Minute},
		{"huge", []string{"1.2.0.192.in-addr.arpa. 2147483647 PTR a.googlebot.com.", "a.googlebot.com. 2147483647 A 192.0.2.1"}, "192.0.2.1", 24 * time.Hour},
		{"an alias's", []string{"1.2.0.192.in-addr.arpa. 9000 PTR a.googlebot.com.", "a.googlebot.com. 120 CNAME b.example.", "b.example. 9000 A 192.0.2.1"}, "192.0.2.1", 2 * time.Minute},
		{"no", []string{". 9000 SOA ns.example. root.example. 1 2 3 4 600"}, "192.0.2.1", 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			z := serveZone(t, tt.records...)
			g := run(t, Config{Servers: []string{z.addr}})
			a, want := netip.MustParseAddr(tt.addr), g.match(t, tt.addr, google)
			g.pass(tt.want - time.Second)
			if got, pending := g.Match(a, []string{google}); got != want || pending || g.opened() > 0 {
				t.Errorf("before its end: matched %t, pending %t, %d look-ups", got, pending, g.opened())
			}
			g.pass(2 * time.Second)
			if got, pending := g.Match(a, []string{google}); got != want || pending {
				t.Errorf("after its end: matched %t, pending %t", got, pending)
			}
			g.await(t) // it is asked for again
		})
	}
}

// TestTimeout: a server that does not answer is left after its time, the next
// one is asked; without any, the address is known to have no name.
func TestTimeout(t *testing.T) {
	t.Parallel()
	mute := serveZone(t)
	mute.silence("1.2.0.192.in-addr.arpa", "a.googlebot.com")
	z := serveZone(t, "1.2.0.192.in-addr.arpa. 300 PTR a.googlebot.com.", "a.googlebot.com. 300 A 192.0.2.1")
	g := run(t, Config{Servers: []string{mute.addr, z.addr}, Timeout: 100 * time.Millisecond})
	if !g.match(t, "192.0.2.1", google) {
		t.Error("the second server was not asked")
	}
	alone := run(t, Config{Servers: []string{mute.addr}, Timeout: 50 * time.Millisecond})
	if alone.match(t, "192.0.2.1", google) {
		t.Error("matches without an answer")
	}
}

// TestSlowForwardZones: five names whose zones never answer take one bounded
// time together.
func TestSlowForwardZones(t *testing.T) {
	t.Parallel()
	z := serveZone(t)
	for n := range 5 {
		name := fmt.Sprintf("slow%d.evil.example", n)
		z.add(t, "1.2.0.192.in-addr.arpa. 300 PTR "+name+".")
		z.silence(name)
	}
	const timeout = 100 * time.Millisecond
	g := run(t, Config{Servers: []string{z.addr, z.addr, z.addr}, Timeout: timeout})
	began := time.Now()
	g.match(t, "192.0.2.1", google)
	if took := time.Since(began); took > maxTimeouts*timeout+2*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestPatience: pending ends, though the look-up goes on and ends too.
func TestPatience(t *testing.T) {
	t.Parallel()
	z := serveZone(t, "1.2.0.192.in-addr.arpa. 300 PTR a.googlebot.com.", "a.googlebot.com. 300 A 192.0.2.1")
	hold := make(chan struct{})
	z.hold.Store(&hold)
	g := run(t, Config{Servers: []string{z.addr}})
	a := netip.MustParseAddr("192.0.2.1")
	if _, pending := g.Match(a, []string{google}); !pending {
		t.Error("not pending at first")
	}
	g.pass(DefaultPatience - time.Millisecond)
	if _, pending := g.Match(a, []string{google}); !pending {
		t.Error("not pending within patience")
	}
	g.pass(2 * time.Millisecond)
	if matched, pending := g.Match(a, []string{google}); matched || pending {
		t.Errorf("after patience: matched %t, pending %t", matched, pending)
	}
	close(hold)
	g.await(t)
	if matched, _ := g.Match(a, []string{google}); !matched {
		t.Error("the late answer does not count")
	}
}

// TestBounds: no more than 32 questions at once, no more queued and remembered
// than said, whatever comes, and Match never waits.
func TestBounds(t *testing.T) {
	t.Parallel()
	z := serveZone(t)
	hold := make(chan struct{})
	z.hold.Store(&hold)
	g := run(t, Config{Servers: []string{z.addr}, Max: 100, Timeout: 10 * time.Second})
	began := time.Now()
	a := netip.MustParseAddr("10.0.0.0")
	for range 20_000 {
		a = a.Next()
		g.Match(a, []string{google})
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("20,000 Match took %v", took)
	}
	n := g.opened()
	if n > workers+queued {
		t.Errorf("%d look-ups are open, want at most %d", n, workers+queued)
	}
	deadline := time.Now().Add(10 * time.Second)
	for z.now.Load() < workers && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	for range n {
		g.await(t)
	}
	if most := z.high.Load(); most != workers {
		t.Errorf("%d questions at once, want %d", most, workers)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cache.recent.Len() != 100 || len(g.cache.byAddr) != 100 || len(g.open) != 0 {
		t.Errorf("remembers %d (%d) addresses, %d open", g.cache.recent.Len(), len(g.cache.byAddr), len(g.open))
	}
}

func TestNothingToAsk(t *testing.T) {
	t.Parallel()
	z := serveZone(t)
	g := run(t, Config{Servers: []string{z.addr}})
	if m, p := g.Match(netip.MustParseAddr("192.0.2.1"), nil); m || p {
		t.Error("no patterns, yet something is looked up")
	}
	if m, p := g.Match(netip.Addr{}, []string{google}); m || p {
		t.Error("no address, yet something is looked up")
	}
}

func TestSystemServers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.53\nnameserver 2001:db8::53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := systemServers(path); !slices.Equal(got, []string{"192.0.2.53:53", "[2001:db8::53]:53"}) {
		t.Errorf("got %v", got)
	}
	if got := systemServers(path + "x"); !slices.Equal(got, []string{"127.0.0.1:53"}) {
		t.Errorf("without the file: %v", got)
	}
	if _, err := New(Config{Servers: []string{"192.0.2.53"}}); err == nil || !strings.Contains(err.Error(), "want host:port") {
		t.Errorf("a server without port: %v", err)
	}
}
