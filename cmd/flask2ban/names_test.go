package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/config"
)

// sixZone knows the one name of 2001:db8::7, and waits with every answer until
// it is let go.
type sixZone struct{ free chan struct{} }

// ServeDNS implements dns.Handler.
func (z sixZone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	<-z.free
	m := new(dns.Msg).SetReply(q)
	reverse, _ := dns.ReverseAddr("2001:db8::7")
	text := map[string]string{
		reverse:              reverse + " 300 PTR six.googlebot.com.",
		"six.googlebot.com.": "six.googlebot.com. 300 AAAA 2001:db8::7",
	}[q.Question[0].Name]
	if rr, err := dns.NewRR(text); err == nil && rr != nil && rr.Header().Rrtype == q.Question[0].Qtype {
		m.Answer = []dns.RR{rr}
	} else {
		m.Rcode = dns.RcodeNameError
	}
	w.WriteMsg(m)
}

// lateNames is a service as far as names need one, with a resolver whose
// answers come when free is closed.
func lateNames(t *testing.T, c *config.Config) (s *service, free chan struct{}, log *lockedLog) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free, log = make(chan struct{}), &lockedLog{}
	server, ready, ended := &dns.Server{PacketConn: conn, Handler: sixZone{free}}, make(chan struct{}), make(chan struct{})
	server.NotifyStartedFunc = func() { close(ready) }
	go func() { defer close(ended); server.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { server.Shutdown(); <-ended })

	c.Resolvers = []string{conn.LocalAddr().String()}
	s = &service{config: c, current: c, log: slog.New(slog.NewTextHandler(log, nil))}
	if err := s.openClients(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.engine, err = ban.New(s.judging(c)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); s.names.resolver.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	return s, free, log
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

var six = clientip.Identity{Client: netip.MustParsePrefix("2001:db8::/64"), Addr: netip.MustParseAddr("2001:db8::7")}

// ignoring is a configuration that spares a domain.
func ignoring() *config.Config {
	c := config.Default()
	c.Ignore = []config.Peer{{Host: ".googlebot.com"}, {Prefix: netip.MustParsePrefix("192.0.2.0/24")}}
	return c
}

// TestNamesOfIPv6Clients: a client is a /64, its name that of the address that
// asked.
func TestNamesOfIPv6Clients(t *testing.T) {
	s, free, _ := lateNames(t, ignoring())
	s.names.meet(six)
	if got := s.standing(six.Client.Addr()); got != ban.SuspectOnly {
		t.Errorf("while its name is looked up: %v", got)
	}
	close(free)
	within(t, "never banned", func() bool { return s.standing(six.Client.Addr()) == ban.Never })
	if got := s.standing(netip.MustParseAddr("192.0.2.7")); got != ban.Never {
		t.Errorf("a client by address: %v", got)
	}
	other := netip.MustParseAddr("2001:db8:1::")
	within(t, "another is bannable", func() bool { return s.standing(other) == ban.Bannable })
}

// TestLateName: a ban made before the name was known is undone and told of; a
// person's is left to persons.
func TestLateName(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		s, free, log := lateNames(t, ignoring())
		s.names.meet(six)
		none := []string{}
		patterns := s.names.patterns.Swap(&none)
		now := time.Now()
		if byHand {
			if err := s.engine.Add(now, ban.Ban{Client: six.Client}); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 5 {
			s.engine.Observe(now, ban.Observation{Client: six.Client, Addr: six.Addr, Status: 404,
				Evidence: &ban.Evidence{Kind: ban.UnexpectedPath, Path: "/" + strings.Repeat("x", n)}})
		}
		if n := len(s.engine.Bans(now)); n != 1 {
			t.Fatalf("%d bans at first", n)
		}
		s.names.patterns.Store(patterns)
		s.standing(six.Client.Addr())
		close(free)
		within(t, "its name is known", func() bool { return s.standing(six.Client.Addr()) == ban.Never })
		if byHand {
			if n := len(s.engine.Bans(time.Now())); n != 1 || log.has("unbanned") {
				t.Errorf("a person's ban: %d left", n)
			}
			continue
		}
		within(t, "the log tells of it", func() bool { return log.has("unbanned: the client's host name is on the ignore list") })
		if n := len(s.engine.Bans(time.Now())); n != 0 {
			t.Errorf("%d bans are left", n)
		}
	}
}

// TestLateNamesOfRules: those of rules that ignore, whatever is asked, count
// too.
func TestLateNamesOfRules(t *testing.T) {
	c := ignoring()
	peer := func(host string) config.Match { return config.Match{Peers: []config.Peer{{Host: host}}} }
	narrow := peer("narrow.example")
	narrow.Routes = []string{"/"}
	c.Rules = []config.Rule{
		{Name: "a", Action: "ignore", Match: peer(".search.msn.com")},
		{Name: "b", Action: "ignore", Observe: true, Match: peer("observed.example")},
		{Name: "c", Action: "block", Match: peer("blocked.example")},
		{Name: "d", Action: "ignore", Match: narrow},
	}
	n := &names{}
	n.follow(c)
	if got := strings.Join(*n.late.Load(), " "); got != ".googlebot.com .search.msn.com" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(*n.patterns.Load(), " "); got != ".googlebot.com" {
		t.Errorf("of the ignore list: %s", got)
	}
}

// TestMetIsBounded: a flood of networks is not remembered.
func TestMetIsBounded(t *testing.T) {
	s, _, _ := lateNames(t, ignoring())
	for n := range 2 * maxMet {
		a := netip.AddrFrom16([16]byte{0x20, 1, 4: byte(n >> 16), 5: byte(n >> 8), 6: byte(n), 15: 1})
		p, _ := a.Prefix(64)
		s.names.meet(clientip.Identity{Client: p, Addr: a})
	}
	if len(s.names.met) != maxMet {
		t.Errorf("%d networks remembered, want %d", len(s.names.met), maxMet)
	}
}

// TestKernelBans: who may be dropped by address.
func TestKernelBans(t *testing.T) {
	c := config.Default()
	c.Ignore = []config.Peer{{Prefix: netip.MustParsePrefix("198.51.100.7/32")}}
	s, _, _ := lateNames(t, c)
	c.Rules = []config.Rule{
		{Name: "friends", Action: "ignore", Match: config.Match{Peers: []config.Peer{{Prefix: netip.MustParsePrefix("203.0.115.9/32")}}}},
		{Name: "login", Match: config.Match{Routes: []string{"/login"}}}, {Name: "office", Match: config.Match{Methods: []string{"PUT"}}},
	}
	now := time.Now()
	for client, rule := range map[string]string{
		"203.0.113.1/32": ban.RuleUnexpected, "203.0.113.2/32": "login", "203.0.113.3/32": "office",
		"198.51.100.0/24": ban.RuleOperator, // one in it is ignored
		"203.0.115.0/24":  ban.RuleSiblings, // as above, by a rule
		"203.0.114.0/24":  ban.RuleOperator,
		"2001:db8::/64":   ban.RuleOperator,
	} {
		if err := s.engine.Add(now, ban.Ban{Client: netip.MustParsePrefix(client), Rule: rule}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, b := range s.kernelBans(now) {
		got = append(got, b.Prefix.String())
		if b.Told {
			t.Errorf("%s was told of nothing yet", b.Prefix)
		}
	}
	if want := "203.0.113.1/32 203.0.114.0/24 2001:db8::/64"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	c.Rules[0].Match.Peers[0] = config.Peer{Host: ".example.org"} // anybody's, in a network
	if got := s.kernelBans(now); len(got) != 2 {
		t.Errorf("with names that are ignored: %v", got)
	}
	c.Observe = true
	if got := s.kernelBans(now); len(got) != 0 {
		t.Errorf("in observe mode: %v", got)
	}
}

// TestKernelBansFollowAPerson: what was switched or exempted while the daemon
// runs holds in the packet filter, too.
func TestKernelBansFollowAPerson(t *testing.T) {
	s, _, _ := lateNames(t, config.Default())
	s.dir = t.TempDir()
	for _, client := range []string{"203.0.113.1/32", "203.0.114.0/24"} {
		if err := s.engine.Add(time.Now(), ban.Ban{Client: netip.MustParsePrefix(client)}); err != nil {
			t.Fatal(err)
		}
	}
	dropped := func() string {
		var got []string
		for _, b := range s.kernelBans(time.Now()) {
			got = append(got, b.Prefix.String())
		}
		return strings.Join(got, " ")
	}
	if got, want := dropped(), "203.0.113.1/32 203.0.114.0/24"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if err := s.Ignore(netip.MustParsePrefix("203.0.114.9/32"), false); err != nil {
		t.Fatal(err)
	}
	if got, want := dropped(), "203.0.113.1/32"; got != want {
		t.Errorf("with one of the network ignored: got %q, want %q", got, want)
	}
	if err := s.SetMode("", "observe"); err != nil {
		t.Fatal(err)
	}
	if got := dropped(); got != "" {
		t.Errorf("switched to observe: %q is dropped", got)
	}
}
