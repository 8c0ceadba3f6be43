package ban

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestObservedBanIsWhatItWouldBe: what a rule says that it would have done is
// what it does once it is switched on, by its own bantime and by the first.
func TestObservedBanIsWhatItWouldBe(t *testing.T) {
	once := Rule{Name: "teapot", Measure: Block, Match: Match{Status: []StatusRange{{418, 418}}}}
	often := login
	for _, r := range []Rule{once, often} {
		t.Run(r.Name, func(t *testing.T) {
			run := func(observe bool) (out Outcome) {
				r.Observe = observe
				p := newPlay(t, Config{Rules: []Rule{r}, BanJitter: -1})
				for out.Banned == nil && out.Noted == nil {
					_, out = p.served(mallory, "POST", "/login", r.Match.Status[0].From)
				}
				return out
			}
			would, did := run(true).Noted, run(false).Banned
			if would == nil || did == nil || !would.Observed {
				t.Fatalf("observed %+v, did %+v", would, did)
			}
			if diff := cmp.Diff(did, would, cmpopts.IgnoreFields(Ban{}, "Observed", "Count"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("it would have done otherwise (-did +would):\n%s", diff)
			}
		})
	}
}

// TestNothingIsNotedOfWhomNothingBans, nor banned.
func TestNothingIsNotedOfWhomNothingBans(t *testing.T) {
	for _, observe := range []bool{true, false} {
		r := login
		r.Observe = observe
		p := newPlay(t, Config{Rules: []Rule{r}, Standing: func(netip.Addr) Standing { return Never }})
		for range 20 {
			if _, out := p.served(mallory, "POST", "/login", 401); out.Noted != nil || out.Banned != nil || out.Spared {
				t.Fatalf("observe %v: %+v", observe, out)
			}
		}
	}
}

// TestRuleSwitchedOn: who went over its threshold while it only observed is not
// refused for that; what it has counted so far is still told.
func TestRuleSwitchedOn(t *testing.T) {
	r := login
	r.Observe, r.MaxRetry = true, 3
	p := ruled(t, r)
	for range 3 {
		p.served(mallory, "POST", "/login", 401)
	}
	if d := p.request(mallory, "POST", "/login"); !d.Observed {
		t.Fatal("the observed ban is not in force")
	}
	r.Observe = false
	if err := p.Configure(Config{Rules: []Rule{r}, BanJitter: -1}); err != nil {
		t.Fatal(err)
	}
	if d := p.request(mallory, "POST", "/login"); d.Refused() || d.Observed {
		t.Errorf("refused for what was only observed: %+v", d)
	}
	p.wantHits("login", 0, 2) // the ban, and the request that it would have refused
	for i := range 3 {
		if _, out := p.served(mallory, "POST", "/login", 401); (out.Banned != nil) != (i == 2) {
			t.Errorf("banned %v at failure %d since then", out.Banned != nil, i+1)
		}
	}
}

// TestBannedByARuleOnce: answers of requests that were under way add no ban.
func TestBannedByARuleOnce(t *testing.T) {
	p := ruled(t, login)
	for range 10 * login.MaxRetry {
		p.Observe(p.now, Observation{Client: mallory, Known: true, Found: true, Status: 401, Route: "/login", Method: "POST"})
	}
	if x := p.Why(p.now, mallory); x.Bans != 1 || x.Ban == nil || !x.Ban.Since.Equal(p.now) {
		t.Errorf("%d bans, the last %+v; want one", x.Bans, x.Ban)
	}
	if r := p.report("login"); r.Bans != 1 {
		t.Errorf("the rule reports %d bans, want 1", r.Bans)
	}
}

// TestTrapsBanIsSavedAtOnce: it must outlive a kill that follows.
func TestTrapsBanIsSavedAtOnce(t *testing.T) {
	p := ruled(t, Rule{Name: "trap", Measure: Block, BanTime: time.Hour, Match: Match{Routes: []string{"/trap"}}})
	if d := p.request(mallory, "GET", "/trap"); d.Banned == nil {
		t.Fatal("not banned")
	}
	select {
	case <-p.saver.kick:
	default:
		t.Error("the store is not told")
	}
	if _, records := p.collect(); len(records) != 1 || records[0].Client != mallory || records[0].Ban == nil {
		t.Errorf("to be saved: %+v, want the ban", records)
	}
}

// TestTrapInGrace refuses, as a block does, and does not ban.
func TestTrapInGrace(t *testing.T) {
	p := ruled(t, Rule{Name: "trap", Measure: Block, BanTime: time.Hour, Match: Match{Routes: []string{"/trap"}}})
	p.request(p.client, "GET", "/trap")
	p.Remove(p.now, p.client)
	if d := p.request(p.client, "GET", "/trap"); !d.Refused() || d.Banned != nil || d.Class != Suspect || d.Reason != "rule trap" {
		t.Errorf("the trap: %+v", d)
	}
	if d := p.request(p.client, "GET", "/"); d.Refused() {
		t.Errorf("another route: %+v", d)
	}
	p.wantHits("trap", 2, 0)
}

// TestFirstBlockDecides, and a suspect that would wait gives its place back.
func TestFirstBlockDecides(t *testing.T) {
	p := suspect(t, Config{Rules: []Rule{
		{Name: "first", Measure: Block, Match: Match{Routes: []string{"/closed"}}},
		{Name: "second", Measure: Block, Match: Match{Peers: prefixes("192.0.2.0/24"), Routes: []string{"/closed"}}},
	}})
	for range 5 {
		p.admit(false)
	}
	if d := p.admit(false); d.Action != Wait {
		t.Fatalf("%+v, want it to wait", d)
	}
	waiting := p.Stats(p.now).Waiting
	for range 3 {
		if d := p.Admit(p.now, Request{Client: p.client, Route: "/closed"}); !d.Refused() || d.Rule != "first" {
			t.Errorf("%+v, want it refused by the first", d)
		}
	}
	p.wantHits("second", 0, 0)
	if got := p.Stats(p.now).Waiting; got != waiting {
		t.Errorf("%d wait, want %d: the blocked don't", got, waiting)
	}
}

// TestPeersByNetworkOrName: either is enough, over IPv4 and IPv6.
func TestPeersByNetworkOrName(t *testing.T) {
	n := &names{known: map[netip.Addr]string{alice.Addr(): ".partner.example"}}
	p := newPlay(t, Config{Hosts: n, Rules: []Rule{{Name: "partner", Measure: Priority, Class: High, Match: Match{
		Hosts: []string{".partner.example"}, Peers: prefixes("192.0.2.0/24", "2001:db8:1::/48")}}}})
	for client, want := range map[netip.Prefix]Class{
		mallory: High, alice: High, six: High,
		prefix("203.0.113.1/32"):    Normal,
		prefix("2001:db8:2:1::/64"): Normal,
	} {
		if d := p.request(client, "GET", "/"); d.Class != want {
			t.Errorf("%s: class %v, want %v", client, d.Class, want)
		}
	}
	p.wantHits("partner", 3, 0)
}

// TestBannedWhileItsNameIsPending: whom a rule may ignore is served until its name
// is known, whatever ban it has; a rule that only observes spares nobody.
func TestBannedWhileItsNameIsPending(t *testing.T) {
	for _, observe := range []bool{false, true} {
		p := newPlay(t, Config{})
		p.Observe(p.now, Observation{Client: mallory, Evidence: &trap})
		n := &names{pending: map[netip.Addr]bool{mallory.Addr(): true}}
		spare := Rule{Name: "bots", Measure: Ignore, Match: Match{Hosts: []string{".bot.example"}}, Observe: observe}
		slots := Rule{Name: "slots", Measure: Throttle, Limits: Limits{Connections: 1}}
		if err := p.Configure(Config{Hosts: n, Rules: []Rule{spare, slots}}); err != nil {
			t.Fatal(err)
		}
		d := p.request(mallory, "GET", "/")
		if d.Refused() != observe || !observe && d.Class != Normal {
			t.Errorf("observe %v: %+v", observe, d)
		}
		if c := p.Connect(p.now, mallory.Addr()); c.Counted() != observe {
			t.Errorf("observe %v: counted at accept: %v", observe, c.Counted())
		}
		p.wantHits("bots", 0, 0)
	}
}

// TestUnbanEndsMeasuresInUse: also of a client with a request under way.
func TestUnbanEndsMeasuresInUse(t *testing.T) {
	p := ruled(t, Rule{Name: "one", Measure: Throttle, MaxRetry: 2, Limits: Limits{InFlight: 1},
		Match: Match{Status: []StatusRange{{500, 599}}}})
	p.served(mallory, "GET", "/", 500)
	p.served(mallory, "GET", "/", 500)
	open := p.request(mallory, "GET", "/")
	if d := p.request(mallory, "GET", "/"); !d.Refused() || d.Limit.Policy != "" || d.Reason == "" {
		t.Fatalf("a second one at a time: %+v", d)
	}
	p.probes("/a") // of another
	p.Remove(p.now, mallory)
	if d := p.request(mallory, "GET", "/"); d.Refused() {
		t.Errorf("after a person's word: %+v", d)
	}
	p.Done(open)
	if r := p.report("one"); r.Clients != 0 {
		t.Errorf("in force against %d", r.Clients)
	}
}

// TestManyMatchesSlide: a counter too large to keep each match forgets them as
// findtime passes over them all the same.
func TestManyMatchesSlide(t *testing.T) {
	r := Rule{Name: "many", Measure: Block, MaxRetry: 100, FindTime: 10 * time.Minute, Match: Match{Status: []StatusRange{{401, 401}}}}
	p := ruled(t, r)
	begin := p.now
	fails := func(at time.Duration, times int) (banned bool) {
		p.now = begin.Add(at)
		for range times {
			_, out := p.served(mallory, "POST", "/login", 401)
			banned = out.Banned != nil
		}
		return banned
	}
	if fails(0, 50) || fails(6*time.Minute, 49) {
		t.Fatal("banned for 99")
	}
	if fails(11*time.Minute, 50) {
		t.Error("banned for 99: the first fifty were 11 minutes ago")
	}
	if !fails(11*time.Minute, 1) {
		t.Error("not banned for 100")
	}
}

// TestConnectionRateOutlivesTidyingUp.
func TestConnectionRateOutlivesTidyingUp(t *testing.T) {
	p := ruled(t, Rule{Name: "rate", Measure: Throttle, Limits: Limits{ConnectionRate: 2}})
	mapped := netip.AddrFrom16(mallory.Addr().As16())
	for range 2 {
		p.Connect(p.now, mapped)
	}
	p.Expire(p.now)
	if c := p.Connect(p.now, mallory.Addr()); !c.Refused() {
		t.Error("the third in a second is let in")
	}
	p.now = p.now.Add(time.Minute)
	p.Expire(p.now)
	if got := p.Stats(p.now).States; got != 0 {
		t.Errorf("%d states are kept", got)
	}
}

// TestObserveModeDelaysNobody: suspects are counted, and served as anybody.
func TestObserveModeDelaysNobody(t *testing.T) {
	p := suspect(t, Config{Observe: true})
	observed := 0
	for i := range 60 {
		d := p.admit(true)
		if d.Action != Allow || d.Wait != 0 || d.Class != Normal || d.Limit.Policy != "" {
			t.Fatalf("request %d: %+v", i+1, d)
		}
		if d.Observed {
			observed++
			if d.Rule != RuleSuspect || d.Penalty != TooMany || d.Reason == "" {
				t.Errorf("request %d: not said what it would have been: %+v", i+1, d)
			}
		}
	}
	if got := p.Stats(p.now).Waiting; got != 0 {
		t.Errorf("%d wait", got)
	}
	p.wantHits(RuleSuspect, 0, 10)
	if observed != 0 {
		t.Errorf("%d would have been refused, want none: ten would have waited", observed)
	}
	for range 20 {
		p.admit(true)
	}
	if d := p.admit(true); !d.Observed {
		t.Error("one more would have been refused, and isn't said to be")
	}
}

// TestObservedThrottleSaysWhatItWouldDo only of what it would do.
func TestObservedThrottleSaysWhatItWouldDo(t *testing.T) {
	p := ruled(t, Rule{Name: "slow", Measure: Throttle, Limits: Limits{Rate: 0.1, Burst: 2}, Observe: true})
	for i := range 4 {
		d := p.request(mallory, "GET", "/")
		if d.Action != Allow || d.Observed != (i >= 2) {
			t.Errorf("request %d: %+v", i+1, d)
		}
		if d.Observed && (d.Rule != "slow" || d.Penalty != TooMany || d.Reason != "too many requests: rule slow" || d.RetryAfter < time.Second) {
			t.Errorf("request %d: %+v", i+1, d)
		}
	}
}

// TestRefusalSaysItsLimit: 429 comes with the fields by which a client can tell
// when to ask again.
func TestRefusalSaysItsLimit(t *testing.T) {
	p := ruled(t, Rule{Name: "api", Measure: Throttle, Limits: Limits{Rate: 0.1, Burst: 2}})
	want := []Limit{
		{Policy: "api", Quota: 2, Remaining: 1, Window: 20 * time.Second},
		{Policy: "api", Quota: 2, Window: 20 * time.Second, Reset: 10 * time.Second},
		{Policy: "api", Quota: 2, Window: 20 * time.Second, Reset: 10 * time.Second},
	}
	for i, limit := range want {
		d := p.request(mallory, "GET", "/")
		if d.Refused() != (i == 2) || d.Limit != limit {
			t.Errorf("request %d: refused %v with %+v, want %+v", i+1, d.Refused(), d.Limit, limit)
		}
	}
	p.now = p.now.Add(4 * time.Second)
	if d := p.request(mallory, "GET", "/"); d.Limit.Reset.Round(time.Millisecond) != 6*time.Second || d.RetryAfter != 6*time.Second {
		t.Errorf("4 s later: %+v, retry after %v", d.Limit, d.RetryAfter)
	}
}

// TestWaitersAreForgotten: no record is left of those that waited, and one that
// leaves makes room for one.
func TestWaitersAreForgotten(t *testing.T) {
	p := suspect(t, Config{})
	var waits []Decision
	for range 60 {
		if d := p.admit(true); d.Action == Wait {
			waits = append(waits, d)
		}
	}
	p.Waited(p.now, waits[0], true)
	p.Waited(p.now, waits[0], true) // tells it twice
	again := 0
	for range 3 {
		if d := p.admit(true); d.Action == Wait {
			waits = append(waits, d)
			again++
		}
	}
	if again != 1 {
		t.Errorf("%d more may wait where one left, want 1", again)
	}
	for _, d := range waits[1:] {
		p.Waited(p.now, d, false)
	}
	if n := len(p.waiters.n); n != 0 || p.Stats(p.now).Waiting != 0 {
		t.Errorf("%d clients are remembered as waiting, %d requests", n, p.Stats(p.now).Waiting)
	}
}

// TestRulesBanTellsWhatOthersSaw: pieces of evidence that other engines have stand
// in why beside our own.
func TestRulesBanTellsWhatOthersSaw(t *testing.T) {
	e := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}})
	e.probe("192.0.2.1/32", "/a")
	e.Take(start, others("192.0.2.1/32", probes("/b")))
	for range 4 {
		e.failLogin("192.0.2.1/32")
	}
	var paths []string
	for _, piece := range e.Why(start, prefix("192.0.2.1/32")).Evidence {
		paths = append(paths, piece.Path)
	}
	if got := fmt.Sprint(paths); got != "[/a /b]" && got != "[/b /a]" {
		t.Errorf("the evidence is %v, want /a and /b", paths)
	}
}
