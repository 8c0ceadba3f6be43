package ban

import (
	"net/netip"
	"testing"
	"time"
)

// suspect is a play whose client has just become one.
func suspect(t *testing.T, c Config) *play {
	t.Helper()
	p := newPlay(t, c)
	for _, path := range []string{"/a", "/b", "/c"} {
		p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: path}})
	}
	p.wantState("suspect")
	return p
}

func (p *play) admit(known bool) Decision {
	return p.Admit(p.now, Request{Client: p.client, Known: known})
}

func TestSuspectsBurstThenWaitThenGoAway(t *testing.T) {
	for _, c := range []struct {
		name   string
		known  bool
		burst  int
		step   time.Duration
		refuse int // at which request after the burst: by the wait, or the waiters
	}{
		{"known", true, 50, 100 * time.Millisecond, 5}, {"unknown", false, 5, time.Second, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := suspect(t, Config{})
			for i := range c.burst {
				d := p.admit(c.known)
				if d.Action != Allow || d.Class != Suspect || !d.AnswerLocally || d.Limit.Remaining != c.burst-i-1 {
					t.Fatalf("request %d of the burst: %+v", i+1, d)
				}
			}
			for i := 1; i < c.refuse; i++ {
				if d := p.admit(c.known); d.Action != Wait || d.Wait != time.Duration(i)*c.step {
					t.Fatalf("request %d after the burst: %v for %v, want to wait %v", i, d.Action, d.Wait, time.Duration(i)*c.step)
				}
			}
			d := p.admit(c.known)
			if !d.Refused() || d.Penalty != TooMany || d.Rule != RuleSuspect || d.RetryAfter < time.Second || d.RetryAfter%time.Second != 0 {
				t.Fatalf("then: %+v", d)
			}
			if d.Limit.Policy != RuleSuspect || d.Limit.Quota != c.burst || d.Limit.Remaining != 0 || d.Limit.Reset <= 0 {
				t.Errorf("limit %+v", d.Limit)
			}
		})
	}
}

// TestWhatOthersCausedSlowsNoKnownURL: broken images make a page's reader a suspect,
// and a scanner behind a proxy that nobody declared all of its clients; what the app
// has stays theirs at any rate.
func TestWhatOthersCausedSlowsNoKnownURL(t *testing.T) {
	for _, c := range []struct {
		name     string
		soft     bool
		standing Standing
	}{{"soft evidence", true, Bannable}, {"an address of many", false, SuspectOnly}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlay(t, Config{Standing: func(netip.Addr) Standing { return c.standing }})
			for _, path := range []string{"/a", "/b", "/c", "/d", "/e", "/f"} {
				p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: path, Soft: c.soft}})
			}
			p.wantState("suspect")
			for i := range 500 {
				if d := p.admit(true); d.Action != Allow || d.Class != Normal || !d.AnswerLocally {
					t.Fatalf("known URL %d: %+v", i+1, d)
				}
			}
			for range 5 {
				p.admit(false)
			}
			if d := p.admit(false); d.Action != Wait || d.Class != Suspect {
				t.Errorf("a sixth unknown path at once: %+v, want it to wait", d)
			}
		})
	}
}

func TestRefusedRequestsTakeNoTokens(t *testing.T) {
	p := suspect(t, Config{})
	for range 5 {
		p.admit(false)
	}
	for range 1000 {
		if d := p.admit(false); d.Action == Wait {
			p.Waited(p.now, d, true)
		}
	}
	p.now = p.now.Add(time.Second)
	if d := p.admit(false); d.Action != Allow {
		t.Errorf("one second later: %v, want a token", d.Action)
	}
}

func TestWaitersOfOneClientAndInAll(t *testing.T) {
	p := suspect(t, Config{WaitersAll: 6})
	drain := func(client netip.Prefix) (waits []Decision) {
		p.client = client
		for {
			d := p.admit(true)
			if d.Refused() {
				return waits
			}
			if d.Action == Wait {
				waits = append(waits, d)
			}
		}
	}
	first := drain(p.client)
	if len(first) != 4 {
		t.Fatalf("%d waiters of one client, want 4", len(first))
	}
	second := netip.MustParsePrefix("192.0.2.2/32")
	for _, path := range []string{"/a", "/b", "/c"} {
		p.Observe(p.now, Observation{Client: second, Evidence: &Evidence{Kind: UnexpectedPath, Path: path}})
	}
	if waits := drain(second); len(waits) != 2 {
		t.Errorf("%d waiters of the second, want the 2 that are left", len(waits))
	}
	if got := p.Stats(p.now).Waiting; got != 6 {
		t.Errorf("%d wait, want 6", got)
	}
	p.Waited(p.now, first[0], true)
	if d := p.admit(true); d.Action != Wait {
		t.Errorf("with a place free: %v", d.Action)
	}
}

func TestWhoLeavesGivesTheReservationBack(t *testing.T) {
	p := suspect(t, Config{})
	for range 5 {
		p.admit(false)
	}
	left := p.admit(false)
	p.Waited(p.now, left, true)
	if d := p.admit(false); d.Wait != left.Wait {
		t.Errorf("the next waits %v, want %v as the one who left", d.Wait, left.Wait)
	}
}

func TestWaitedOfOthersDoesNothing(t *testing.T) {
	p := newPlay(t, Config{})
	p.Waited(p.now, p.admit(true), true)
	if got := p.Stats(p.now).Waiting; got != 0 {
		t.Errorf("%d wait, want 0", got)
	}
}

func TestSuspicionEnds(t *testing.T) {
	p := suspect(t, Config{})
	p.admit(true)
	p.now = p.now.Add(DefaultFindTime)
	if d := p.admit(true); d.Action != Allow || d.Class != Normal || d.AnswerLocally {
		t.Errorf("after findtime: %+v", d)
	}
	p.Expire(p.now)
	if s := p.Stats(p.now); s.Dossiers != 0 {
		t.Errorf("%d dossiers are kept", s.Dossiers)
	}
}
