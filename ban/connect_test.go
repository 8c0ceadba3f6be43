package ban

import (
	"net/netip"
	"testing"
	"time"
)

func TestConnectionsAtOneTime(t *testing.T) {
	p := ruled(t, Rule{Name: "three", Measure: Throttle, Limits: Limits{Connections: 3}})
	var open []Connection
	for range 3 {
		c := p.Connect(p.now, mallory.Addr())
		if c.Refused() || !c.Counted() {
			t.Fatalf("%+v", c)
		}
		open = append(open, c)
	}
	if c := p.Connect(p.now, mallory.Addr()); c.Rule != "three" || c.Counted() {
		t.Fatalf("the fourth: %+v", c)
	}
	if c := p.Connect(p.now, alice.Addr()); c.Refused() {
		t.Errorf("another client: %+v", c)
	}
	p.Disconnect(open[0])
	if c := p.Connect(p.now, netip.MustParseAddr("::ffff:192.0.2.1")); c.Refused() {
		t.Errorf("with one closed: %+v", c)
	}
	p.wantHits("three", 1, 0)
}

func TestConnectionRate(t *testing.T) {
	p := ruled(t, Rule{Name: "five", Measure: Throttle, Limits: Limits{ConnectionRate: 5}})
	for i := range 5 {
		if c := p.Connect(p.now, mallory.Addr()); c.Refused() || c.Counted() {
			t.Fatalf("connection %d: %+v", i+1, c)
		}
	}
	if c := p.Connect(p.now, mallory.Addr()); !c.Refused() {
		t.Fatal("the sixth in one moment")
	}
	p.now = p.now.Add(200 * time.Millisecond)
	if c := p.Connect(p.now, mallory.Addr()); c.Refused() {
		t.Error("a fifth of a second later")
	}
}

func TestConnectionsOfAllClientsTogether(t *testing.T) {
	p := ruled(t, Rule{Name: "all", Measure: Throttle, Limits: Limits{Connections: 2, Per: PerRule}})
	p.Connect(p.now, mallory.Addr())
	p.Connect(p.now, alice.Addr())
	if c := p.Connect(p.now, six.Addr()); !c.Refused() {
		t.Error("a third")
	}
}

// What one rule refuses, no other rule counts.
func TestRefusedConnectionsAreGivenBack(t *testing.T) {
	p := ruled(t,
		Rule{Name: "all", Measure: Throttle, Limits: Limits{Connections: 3, Per: PerRule}},
		Rule{Name: "each", Measure: Throttle, Limits: Limits{Connections: 1}, Match: Match{Peers: prefixes("192.0.2.0/24")}})
	p.Connect(p.now, mallory.Addr())
	for range 10 {
		if c := p.Connect(p.now, mallory.Addr()); c.Rule != "each" {
			t.Fatalf("%+v", c)
		}
	}
	for range 2 {
		if c := p.Connect(p.now, alice.Addr()); c.Refused() {
			t.Fatalf("%+v", c)
		}
	}
	if c := p.Connect(p.now, alice.Addr()); c.Rule != "all" {
		t.Errorf("%+v", c)
	}
}

func TestConnectionsThatNoRuleCounts(t *testing.T) {
	p := ruled(t,
		Rule{Name: "one", Measure: Throttle, Limits: Limits{Connections: 1}, Match: Match{Peers: prefixes("192.0.2.0/24")}},
		Rule{Name: "watch", Measure: Throttle, Limits: Limits{Connections: 1}, Observe: true},
		Rule{Name: "office", Measure: Ignore, Match: Match{Peers: prefixes("192.0.2.128/25")}})
	for range 3 {
		if c := p.Connect(p.now, netip.MustParseAddr("192.0.2.200")); c.Refused() || c.Counted() {
			t.Errorf("ignored: %+v", c)
		}
		if c := p.Connect(p.now, alice.Addr()); c.Refused() {
			t.Errorf("observed: %+v", c)
		}
		if c := p.Connect(p.now, netip.Addr{}); c.Refused() || c.Counted() {
			t.Errorf("without an address: %+v", c)
		}
	}
	p.wantHits("watch", 0, 2)
}

// A limit on connections can be brought about by what a client did.
func TestConnectionsOfOffenders(t *testing.T) {
	p := ruled(t, Rule{Name: "r", Measure: Throttle, Limits: Limits{Connections: 1}, Match: Match{Evidence: []Kind{BadValue}}})
	for range 3 {
		if c := p.Connect(p.now, mallory.Addr()); c.Refused() || c.Counted() {
			t.Fatalf("before: %+v", c)
		}
	}
	p.Observe(p.now, Observation{Client: mallory, Evidence: &Evidence{Kind: BadValue, Path: "/x"}})
	p.Connect(p.now, mallory.Addr())
	if c := p.Connect(p.now, mallory.Addr()); !c.Refused() {
		t.Error("after: not limited")
	}
}

// States in use are not forgotten, however many others come.
func TestFloodKeepsWhatIsInUse(t *testing.T) {
	p := newPlay(t, Config{MaxClients: stateShards, Rules: []Rule{{Name: "one", Measure: Throttle, Limits: Limits{Connections: 1, InFlight: 1}}}})
	c := p.Connect(p.now, mallory.Addr())
	d := p.request(mallory, "GET", "/")
	for i := range 10_000 {
		p.Done(p.request(address(i), "GET", "/"))
	}
	if s := p.Stats(p.now); s.States > 2*stateShards {
		t.Errorf("%d states, the bound is %d", s.States, stateShards)
	}
	if !p.Connect(p.now, mallory.Addr()).Refused() || !p.request(mallory, "GET", "/").Refused() {
		t.Error("the flood made a client's limits forgotten")
	}
	p.Disconnect(c)
	p.Done(d)
	if p.Connect(p.now, mallory.Addr()).Refused() {
		t.Error("not given back")
	}
}
