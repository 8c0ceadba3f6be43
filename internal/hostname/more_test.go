package hostname

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// TestServersThatFail: an answer that is neither yes nor no is left, and the
// address asked for again after a minute.
func TestServersThatFail(t *testing.T) {
	t.Parallel()
	for _, code := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented} {
		t.Run(dns.RcodeToString[code], func(t *testing.T) {
			t.Parallel()
			bad := serveZone(t)
			bad.mu.Lock()
			bad.code = code
			bad.mu.Unlock()
			good := serveZone(t, "1.2.0.192.in-addr.arpa. 300 PTR a.googlebot.com.", "a.googlebot.com. 300 A 192.0.2.1")
			if !run(t, Config{Servers: []string{bad.addr, good.addr}}).match(t, "192.0.2.1", google) {
				t.Error("the second server was not asked")
			}
			g := run(t, Config{Servers: []string{bad.addr}})
			g.match(t, "192.0.2.1", google)
			g.pass(failedTTL + time.Second)
			g.Match(netip.MustParseAddr("192.0.2.1"), []string{google})
			if g.opened() != 1 {
				t.Error("it is not asked for again")
			}
			g.await(t)
		})
	}
}

// TestAddressForms: one address is one look-up, however it is written.
func TestAddressForms(t *testing.T) {
	t.Parallel()
	z := serveZone(t, "1.2.0.192.in-addr.arpa. 300 PTR a.googlebot.com.", "a.googlebot.com. 300 A 192.0.2.1")
	g := run(t, Config{Servers: []string{z.addr}})
	g.match(t, "192.0.2.1", google)
	if matched, pending := g.Match(netip.MustParseAddr("::ffff:192.0.2.1"), []string{google}); !matched || pending {
		t.Errorf("mapped into IPv6: matched %t, pending %t", matched, pending)
	}
}

// TestServeEnds: with look-ups under way and queued, Serve ends when asked to.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	z := serveZone(t)
	z.silence("1.2.0.192.in-addr.arpa")
	g := run(t, Config{Servers: []string{z.addr}, Timeout: time.Minute})
	g.Match(netip.MustParseAddr("192.0.2.1"), []string{google})
	// run's clean-up waits for the end; the test's own time-out bounds it.
}

// TestCacheAgainstModel: the cache is a list of the last asked for.
func TestCacheAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 4
		c := newCache(most)
		var model []netip.Addr // the last asked for at the end
		until := map[netip.Addr]time.Time{}
		now := time.Unix(1000, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			a := netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "a") % 8})
			at := slices.Index(model, a)
			if rapid.Bool().Draw(t, "put") {
				until[a] = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "ttl")) * time.Second)
				c.put(a, []string{a.String()}, until[a])
				if at < 0 {
					model = append(model, a)
				}
			} else if names, fresh, found := c.get(a, now); found != (at >= 0) || found && (fresh != now.Before(until[a]) || names[0] != a.String()) {
				t.Fatalf("%s: %v, fresh %t, found %t; model %v", a, names, fresh, found, model)
			}
			if at >= 0 {
				model = append(slices.Delete(model, at, at+1), a)
			}
			if len(model) > most {
				model = model[1:]
			}
			now = now.Add(time.Second)
		}
		if c.recent.Len() != len(model) || len(c.byAddr) != len(model) {
			t.Fatalf("%d and %d remembered, want %d", c.recent.Len(), len(c.byAddr), len(model))
		}
	})
}

// FuzzRead: no answer, however odd, gives a name or a time that it should not.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"a.example. 300 A 192.0.2.1", "a.example. 5 CNAME b.example.", ". 5 SOA . . 1 2 3 4 4294967295"} {
		m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer, m.Ns = []dns.RR{rr}, []dns.RR{rr}
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypePTR, dns.TypeA, dns.TypeAAAA} {
			records, ttl := read(m, "a.example.", kind)
			if ttl < shortestTTL || ttl > longestTTL {
				t.Errorf("holds for %v", ttl)
			}
			for _, rr := range records {
				if rr.Header().Rrtype != kind {
					t.Errorf("%v is of another kind", rr)
				}
				_ = addressOf(rr)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	r, err := New(Config{Servers: []string{"127.0.0.1:1"}})
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("192.0.2.1")
	r.learn(a, []string{"crawl-66-249-66-1.googlebot.com"}, time.Hour)
	patterns := []string{".example.org", ".search.msn.com", google}
	b.ReportAllocs()
	for b.Loop() {
		if matched, _ := r.Match(a, patterns); !matched {
			b.Fatal("does not match")
		}
	}
}
