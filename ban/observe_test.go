package ban

import (
	"net/netip"
	"testing"
	"time"
)

// trap is what bans at once.
var trap = Evidence{Kind: Honeypath, Path: "/.env"}

func (e *Engine) configure(t *testing.T, c Config) {
	t.Helper()
	if err := e.Configure(c); err != nil {
		t.Fatal(err)
	}
}

// TestObserveModeComesAndGoes: what was enforced before refuses nobody meanwhile,
// and holds again afterwards; what was only observed is gone, also for the store.
func TestObserveModeComesAndGoes(t *testing.T) {
	e := newEngine(t, Config{})
	e.offend("192.0.2.1/32", trap)
	e.probe("192.0.2.3/32", "/a") // something against it, and no ban
	e.configure(t, Config{Observe: true})
	d := e.Admit(start, Request{Client: prefix("192.0.2.1/32")})
	if d.Action != Allow || !d.Observed || d.Class != Normal {
		t.Errorf("observe mode decides %v (observed %v, class %v) by an earlier ban, want allow", d.Action, d.Observed, d.Class)
	}
	e.offend("192.0.2.2/32", trap)
	e.configure(t, Config{Observe: true, MaxRetry: 6}) // a reload
	if got := len(e.Bans(start)); got != 2 {
		t.Errorf("after a reload in observe mode: %d bans, want 2", got)
	}
	e.settle()
	<-e.saver.kick
	e.configure(t, Config{})
	if !e.refuses("192.0.2.1/32") || e.refuses("192.0.2.2/32") {
		t.Error("enforced again: want the ban of before, and not the observed one")
	}
	if x := e.Why(start, prefix("192.0.2.3/32")); x.Score != 1 {
		t.Errorf("the score of another became %v, want 1", x.Score)
	}
	select {
	case <-e.saver.kick:
	default:
		t.Error("the store is not told")
	}
	_, records := e.collect()
	if len(records) != 1 || records[0].Client != prefix("192.0.2.2/32") || records[0].Ban != nil {
		t.Errorf("to be saved: %+v, want 192.0.2.2 without its ban", records)
	}
}

// TestBannedWhoMayNotBeAnyMore: a client whose standing has changed since its ban
// is served as anybody.
func TestBannedWhoMayNotBeAnyMore(t *testing.T) {
	for _, now := range []Standing{SuspectOnly, Never} {
		standing := Bannable
		e := newEngine(t, Config{Standing: func(netip.Addr) Standing { return standing }})
		e.offend("192.0.2.1/32", trap)
		standing = now
		d := e.Admit(start, Request{Client: prefix("192.0.2.1/32")})
		if d.Action != Allow || d.Class != Normal || d.AnswerLocally {
			t.Errorf("%v: %+v, want it served as anybody", now, d)
		}
	}
}

// TestClientUnknown: a request of nobody in particular (a Unix socket's) is served,
// and nothing is held against anybody.
func TestClientUnknown(t *testing.T) {
	e := newEngine(t, Config{})
	for range 10 {
		e.Observe(start, Observation{Evidence: &trap})
	}
	if d := e.Admit(start, Request{}); d.Action != Allow || d.Class != Normal {
		t.Errorf("%+v, want it served as anybody", d)
	}
	if s := e.Stats(start.Add(time.Second)); s.Clients != 0 || s.Banned != 0 {
		t.Errorf("%+v, want nobody tracked", s)
	}
}
