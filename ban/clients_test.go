package ban

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func (p *play) as(client string) *play {
	p.client = prefix(client)
	return p
}

func clientsOf(list []Offender) (names []string) {
	for _, o := range list {
		names = append(names, o.Client)
	}
	return names
}

func TestOffendersAreOrderedByWhatIsAgainstThem(t *testing.T) {
	p := newPlay(t, Config{})
	p.browses(3, 1) // nothing against this one
	p.as("192.0.2.2/32").probes("/a")
	p.as("192.0.2.3/32")
	for _, path := range []string{"/a", "/b", "/c"} {
		p.probes(path)
	}
	p.as("192.0.2.4/32").asks(false, &Evidence{Kind: Honeypath, Method: "GET", Path: "/.env"})
	p.refuses("192.0.2.4/32")
	p.as("192.0.2.5/32").probes("/later")

	list, total := p.Offenders(p.now, 10)
	if got, want := fmt.Sprint(clientsOf(list)), "[192.0.2.4 192.0.2.3 192.0.2.5 192.0.2.2]"; got != want || total != 4 {
		t.Errorf("got %s of %d, want %s", got, total, want)
	}
	if b := list[0]; b.State != "blocked" || b.Refusals != 1 || b.Bans != 1 || b.Pieces != 1 || b.Last.Path != "/.env" || !b.Until.After(p.now) {
		t.Errorf("the blocked one: %+v", b)
	}
	if s := list[1]; s.State != "suspect" || s.Score != 3 || s.MaxRetry != 5 || s.Last.Path != "/c" || !s.Until.IsZero() {
		t.Errorf("the suspect: %+v", s)
	}
	if n := list[2]; n.State != "normal" || n.Score != 1 {
		t.Errorf("the other: %+v", n)
	}
	for limit := range 5 {
		if list, total := p.Offenders(p.now, limit); len(list) != limit || total != 4 {
			t.Errorf("limit %d: got %d of %d", limit, len(list), total)
		}
	}
	if list, total := p.Offenders(p.now.Add(24*time.Hour), 10); len(list) != 0 || total != 0 {
		t.Errorf("a day later: %+v, %d", list, total)
	}
}

// TestOffendersWhoCannotBeBanned are not shown as blocked.
func TestOffendersWhoCannotBeBanned(t *testing.T) {
	standing := Bannable
	p := newPlay(t, Config{Standing: func(netip.Addr) Standing { return standing }})
	p.asks(false, &Evidence{Kind: Honeypath, Method: "GET", Path: "/.env"})
	for s, want := range map[Standing]string{Bannable: "blocked", SuspectOnly: "normal", Never: "normal"} {
		standing = s
		if list, _ := p.Offenders(p.now, 1); len(list) != 1 || list[0].State != want {
			t.Errorf("standing %v: got %+v, want %s", s, list, want)
		}
	}
}

func BenchmarkOffenders100k(b *testing.B) {
	e := newEngine(b, Config{})
	for i := range 100_000 {
		e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{Kind: UnexpectedPath, Path: "/x"}})
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Offenders(start, 100)
	}
}
