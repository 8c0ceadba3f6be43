package ban

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"
)

func (e *Engine) banNow(t *testing.T, n int) netip.Prefix {
	t.Helper()
	client := address(n)
	e.Observe(start, Observation{Client: client, Evidence: &Evidence{Kind: Honeypath, Method: "GET", Path: "/.env"}})
	if _, ok := e.Banned(start, client.Addr()); !ok {
		t.Fatalf("%s was not banned", client)
	}
	return client
}

// TestFloodOfNewAddresses: many times as many addresses as fit, that use the
// app or probe it, evict no ban and take no more memory than there is.
// BenchmarkFlood10M is the same at full size.
func TestFloodOfNewAddresses(t *testing.T) {
	const room = 20_000
	flood := 400_000
	if testing.Short() || raceEnabled {
		flood = 100_000
	}
	e := newEngine(t, Config{MaxClients: room})
	before := liveBytes()
	for i := range 200 {
		e.banNow(t, i)
	}
	network := Ban{Client: prefix("203.0.113.0/24"), Until: start.Add(time.Hour)}
	if err := e.Add(start, network); err != nil {
		t.Fatal(err)
	}
	for i := range flood {
		o := Observation{Client: address(1_000_000 + i), Known: true, Found: true, Route: "/"}
		if i%3 == 0 {
			o.Found, o.Evidence = false, &Evidence{Kind: UnexpectedPath, Method: "GET", Path: "/p/" + strconv.Itoa(i)}
		}
		e.Admit(start, Request{Client: o.Client})
		e.Observe(start, o)
	}
	if got := len(e.Bans(start)); got != 201 {
		t.Errorf("%d bans are left of 201", got)
	}
	s := e.Stats(start)
	if s.Clients > room || s.Evicted == 0 {
		t.Errorf("%d clients tracked, %d evicted; there is room for %d", s.Clients, s.Evicted, room)
	}
	if taken := liveBytes() - before; taken > 150*room+2<<20 {
		t.Errorf("%d bytes are taken, %d a client", taken, taken/room)
	}
}

func TestGoodRecordsOutliveAFlood(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 10_000})
	regulars := 500
	now := start
	for range 20 {
		now = now.Add(time.Second)
		for i := range regulars {
			for _, route := range []string{"/", "/a"} {
				e.Observe(now, Observation{Client: address(i), Known: true, Found: true, Route: route})
			}
		}
	}
	for i := range 100_000 {
		e.Observe(now, Observation{Client: address(1_000_000 + i), Known: true, Found: true, Route: "/"})
	}
	kept := 0
	for i := range regulars {
		if e.Why(now, address(i)).State == "known_good" {
			kept++
		}
	}
	if kept < regulars*95/100 {
		t.Errorf("%d of %d regular clients are still known", kept, regulars)
	}
}

// TestMoreBansThanFit: details go before bans, and then the bans that end
// soonest, about.
func TestMoreBansThanFit(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 2000})
	e.banNow(t, 0)
	first := e.Why(start, address(0))
	if len(first.Evidence) != 1 {
		t.Fatalf("no details: %+v", first)
	}
	for i := 1; i < 2000; i++ {
		e.Observe(start.Add(time.Duration(i)*time.Millisecond), Observation{Client: address(i), Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
	}
	s := e.Stats(start)
	if s.Bytes > 2000*(dossierBytes+64)+2*smallestBudget {
		t.Errorf("%d bytes are taken", s.Bytes)
	}
	if s.Banned < 300 || s.Banned == 2000 {
		t.Fatalf("%d bans are left", s.Banned)
	}
	detailed := 0
	for _, b := range e.Bans(start) {
		detailed += len(e.Why(start, b.Client).Evidence)
	}
	if detailed > 10 {
		t.Errorf("details of %d bans were kept where bans were let go", detailed)
	}
}

func TestFullOfBansTracksNobodyElse(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 50})
	for i := range 50 {
		e.banNow(t, i)
	}
	for i := range 1000 {
		client := address(1000 + i)
		e.Observe(start, Observation{Client: client, Known: true, Found: true, Route: "/"})
		e.Observe(start, Observation{Client: client, Evidence: &Evidence{Kind: UnexpectedPath, Path: "/x"}})
		if d := e.Admit(start, Request{Client: client}); d.Action != Allow {
			t.Fatalf("a client that isn't tracked got %v", d.Action)
		}
	}
	if got := len(e.Bans(start)); got != 50 {
		t.Errorf("%d bans are left of 50", got)
	}
	later := Ban{Client: address(5000), Until: start.Add(24 * time.Hour)}
	if err := e.Add(start, later); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.Banned(start, later.Client.Addr()); !ok {
		t.Error("a longer ban by hand found no room")
	}
}

func TestExpireForgets(t *testing.T) {
	e := newEngine(t, Config{BanJitter: -1})
	populate(e, 1000)
	for i := range 10 {
		e.banNow(t, i)
	}
	if s := e.Stats(start); s.Clients != 1000 || s.Banned != 10 {
		t.Fatalf("got %+v", s)
	}
	for _, c := range []struct {
		after             time.Duration
		clients, dossiers int
	}{
		{10 * time.Minute, 1000, 10}, {30 * time.Minute, 1000, 0}, {23 * time.Hour, 1000, 0}, {25 * time.Hour, 0, 0},
	} {
		e.Expire(start.Add(c.after))
		if s := e.Stats(start.Add(c.after)); s.Clients != c.clients || s.Dossiers != c.dossiers {
			t.Errorf("after %v: %d clients, %d dossiers; want %d, %d", c.after, s.Clients, s.Dossiers, c.clients, c.dossiers)
		}
	}
}

// TestConcurrentUse has all methods called at once; it is for -race, and for
// the counts that must hold in the end.
func TestConcurrentUse(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 2000})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() { exercise(e, worker) })
	}
	wg.Wait()
	s := e.Stats(start.Add(time.Hour))
	if s.Waiting != 0 || s.Clients > 2000 {
		t.Errorf("got %+v", s)
	}
	e.audit(t)
}

// audit holds that the accounts of memory and the order of dossiers are right.
func (e *Engine) audit(t interface{ Fatalf(string, ...any) }) {
	for _, shard := range e.shards {
		bytes := 0
		for i, d := range shard.dossiers {
			if d.index != i || d.bare() != (i < shard.bare) {
				t.Fatalf("dossier %d of %d (%d bare) believes to be %d", i, len(shard.dossiers), shard.bare, d.index)
			}
			if got := d.size(); got != d.bytes {
				t.Fatalf("a dossier of %d bytes has %d in the account", got, d.bytes)
			}
			bytes += d.bytes
		}
		if bytes != shard.bytes {
			t.Fatalf("the account says %d bytes, the dossiers %d", shard.bytes, bytes)
		}
	}
}

func exercise(e *Engine, worker int) {
	for i := range 3000 {
		now := start.Add(time.Duration(i) * time.Second)
		client := address((worker*31 + i*7) % 3000)
		d := e.Admit(now, Request{Client: client, Known: i%2 == 0})
		e.Waited(now, d, i%3 == 0)
		e.Observe(now, Observation{Client: client, Found: true, Route: "/"})
		e.Observe(now, Observation{Client: client, Evidence: &Evidence{Kind: UnexpectedPath, Path: fmt.Sprint("/", i%50)}})
		switch i % 100 {
		case 0:
			e.Expire(now)
		case 10:
			e.Bans(now)
		case 20:
			e.Remove(now, client)
		case 30:
			_ = e.Add(now, Ban{Client: netip.PrefixFrom(client.Addr(), 24)})
		case 40:
			e.Remove(now, netip.PrefixFrom(client.Addr(), 24))
		case 50:
			e.Why(now, client)
		case 60:
			_ = e.Configure(Config{MaxRetry: float64(2 + i%5)})
		case 70:
			waiting, _ := e.collect()
			e.remark(waiting)
		}
	}
}

// TestAdmitDoesNotSlowDownInAFlood compares the time of Admit before a flood
// and while every other call evicts somebody.
func TestAdmitDoesNotSlowDownInAFlood(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("timing says nothing with the race detector or in a hurry")
	}
	e := newEngine(t, Config{MaxClients: 100_000})
	populate(e, 100_000)
	const rounds = 300_000
	admit := func(flood bool) time.Duration {
		var spent time.Duration
		for i := 0; i < rounds; i += 100 {
			begin := cpuTime(t)
			for j := range 100 {
				e.Admit(start, Request{Client: address((i + j) % 100_000), Known: true})
			}
			spent += cpuTime(t) - begin
			for j := 0; flood && j < 100; j++ {
				e.Observe(start, Observation{Client: address(1_000_000 + i + j), Found: true, Route: "/"})
			}
		}
		return spent / rounds
	}
	admit(false)
	quiet, flooded := admit(false), admit(true)
	t.Logf("admit takes %v, %v in a flood", quiet, flooded)
	if flooded > 2*quiet+100*time.Nanosecond {
		t.Errorf("admit takes %v, and %v in a flood", quiet, flooded)
	}
}

func TestNoAllocationForUnsuspiciousClients(t *testing.T) {
	e := newEngine(t, Config{})
	populate(e, 1000)
	i := 0
	allocs := testing.AllocsPerRun(1000, func() {
		i++
		client := address(i % 1000)
		e.Admit(start, Request{Client: client, Known: true, Route: "/", Method: "GET"})
		e.Observe(start, Observation{Client: client, Known: true, Found: true, Status: 200, Route: "/", Session: 7})
	})
	if allocs != 0 && !raceEnabled {
		t.Errorf("%v allocations a request, want 0", allocs)
	}
}
