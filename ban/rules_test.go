package ban

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The clients of these tests.
var (
	mallory = netip.MustParsePrefix("192.0.2.1/32")
	alice   = netip.MustParsePrefix("198.51.100.7/32")
	six     = netip.MustParsePrefix("2001:db8:1:2::/64")
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// ruled is a play with rules.
func ruled(t *testing.T, rules ...Rule) *play {
	return newPlay(t, Config{Rules: rules, BanJitter: -1})
}

// request asks for a route and returns the decision.
func (p *play) request(client netip.Prefix, method, route string) Decision {
	return p.Admit(p.now, Request{Client: client, Known: route != "", Route: route, Method: method})
}

// served asks, and when that is admitted observes the status.
func (p *play) served(client netip.Prefix, method, route string, status int) (Decision, Outcome) {
	d := p.request(client, method, route)
	if d.Refused() {
		return d, Outcome{}
	}
	defer p.Done(d)
	p.Waited(p.now, d, false)
	return d, p.Observe(p.now, Observation{Client: client, Known: true, Found: true, Status: status, Route: route, Method: method})
}

// report returns what is told of one rule.
func (p *play) report(name string) RuleReport {
	p.Helper()
	rules := p.Rules()
	i := slices.IndexFunc(rules, func(r RuleReport) bool { return r.Name == name })
	if i < 0 {
		p.Fatalf("no rule %s among %v", name, rules)
	}
	return rules[i]
}

func (p *play) wantHits(name string, hits, would int64) {
	p.Helper()
	if r := p.report(name); r.Hits != hits || r.WouldHits != would {
		p.Errorf("rule %s: %d hits and %d would-have-hits, want %d and %d", name, r.Hits, r.WouldHits, hits, would)
	}
}

// login is `401 ×10 in 1m on /login`.
var login = Rule{
	Name: "login", Measure: Block, MaxRetry: 10, FindTime: time.Minute, BanTime: time.Hour, Penalty: Tarpit,
	Match: Match{Routes: []string{"/login"}, Methods: []string{"POST"}, Status: []StatusRange{{401, 401}}},
}

func TestBruteForceOnLoginByStatus(t *testing.T) {
	p := ruled(t, login)
	for i := range 9 {
		if d, out := p.served(mallory, "POST", "/login", 401); d.Refused() || out.Banned != nil {
			t.Fatalf("attempt %d: refused %v, banned %v", i+1, d.Refused(), out.Banned)
		}
		p.now = p.now.Add(time.Second)
	}
	for range 50 { // these are not what the rule counts
		p.served(mallory, "GET", "/login", 401)
		p.served(mallory, "POST", "/login", 200)
		p.served(mallory, "POST", "/profile", 401)
	}
	_, out := p.served(mallory, "POST", "/login", 401)
	b := out.Banned
	if b == nil || b.Rule != "login" || b.Until.Sub(b.Since) != time.Hour || b.Penalty != Tarpit || b.Count != 1 {
		t.Fatalf("the tenth: %+v", out)
	}
	if want := "rule login: 10 matching requests within 1m0s"; b.Reason != want {
		t.Errorf("reason %q, want %q", b.Reason, want)
	}
	d := p.request(mallory, "GET", "/")
	if !d.Refused() || d.Rule != "login" || d.Penalty != Tarpit || d.Refusals != 1 {
		t.Errorf("then: %+v", d)
	}
	if d := p.request(alice, "POST", "/login"); d.Refused() {
		t.Errorf("another client: %+v", d)
	}
	p.wantHits("login", 2, 0)
	if r := p.report("login"); r.Bans != 1 {
		t.Errorf("%d bans, want 1", r.Bans)
	}
	if x := p.Why(p.now, mallory); x.Ban == nil || x.Ban.Rule != "login" || !strings.Contains(x.Summary, "by rule login") {
		t.Errorf("why: %+v", x)
	}
}

func TestCountersForgetAfterFindtime(t *testing.T) {
	p := ruled(t, login)
	for range 9 {
		p.served(mallory, "POST", "/login", 401)
	}
	p.now = p.now.Add(time.Minute)
	if _, out := p.served(mallory, "POST", "/login", 401); out.Banned != nil {
		t.Error("banned though the nine before are a minute old")
	}
	if x := p.Why(p.now, mallory); len(x.Rules) != 1 || x.Rules[0].Matches != 1 || x.Rules[0].MaxRetry != 10 {
		t.Errorf("why: %+v", x.Rules)
	}
}

func TestSecondBanOfRuleWithoutBantimeIsLonger(t *testing.T) {
	rule := login
	rule.BanTime, rule.MaxRetry = 0, 1
	p := ruled(t, rule)
	_, out := p.served(mallory, "POST", "/login", 401)
	if got := out.Banned.Until.Sub(out.Banned.Since); got != DefaultBanTime {
		t.Errorf("the first lasts %v", got)
	}
	p.now = out.Banned.Until
	_, out = p.served(mallory, "POST", "/login", 401)
	if got := out.Banned.Until.Sub(out.Banned.Since); got != 2*DefaultBanTime {
		t.Errorf("the second lasts %v", got)
	}
}

func TestAllowanceOfAPIClient(t *testing.T) {
	p := ruled(t, Rule{
		Name: "api", Measure: Throttle, Match: Match{Routes: []string{"/api/<path:p>"}},
		Limits: Limits{Rate: 10, Burst: 20},
	})
	for i := range 20 {
		d := p.request(mallory, "GET", "/api/<path:p>")
		if d.Action != Allow || d.Limit.Policy != "api" || d.Limit.Quota != 20 || d.Limit.Remaining != 19-i || d.Class != Normal {
			t.Fatalf("request %d: %+v", i+1, d)
		}
	}
	var waits []Decision
	for i := range 4 {
		d := p.request(mallory, "GET", "/api/<path:p>")
		if d.Action != Wait || d.Wait != time.Duration(i+1)*100*time.Millisecond || d.Rule != "" {
			t.Fatalf("request %d after the burst: %+v", i+1, d)
		}
		waits = append(waits, d)
	}
	d := p.request(mallory, "GET", "/api/<path:p>")
	if !d.Refused() || d.Penalty != TooMany || d.Rule != "api" || d.RetryAfter != time.Second || d.Limit.Reset <= 0 {
		t.Fatalf("the fifth waiter: %+v", d)
	}
	if d := p.request(mallory, "GET", "/"); d.Action != Allow || d.Limit.Policy != "" {
		t.Errorf("another route: %+v", d)
	}
	if d := p.request(alice, "GET", "/api/<path:p>"); d.Action != Allow {
		t.Errorf("another client: %+v", d)
	}
	for _, d := range waits {
		p.Waited(p.now, d, false)
		p.Done(d)
	}
	if got := p.Stats(p.now).Waiting; got != 0 {
		t.Errorf("%d still wait", got)
	}
	p.wantHits("api", 5, 0)
}

func TestLongDelaysAreRefusedInstead(t *testing.T) {
	p := ruled(t, Rule{Name: "slow", Measure: Throttle, Limits: Limits{Rate: 0.25}})
	if d := p.request(mallory, "GET", "/"); d.Action != Allow {
		t.Fatalf("the first: %+v", d)
	}
	d := p.request(mallory, "GET", "/")
	if !d.Refused() || d.RetryAfter != 4*time.Second {
		t.Errorf("the second: %+v, want to be sent away for 4s", d)
	}
	for range 1000 {
		p.request(mallory, "GET", "/")
	}
	p.now = p.now.Add(4 * time.Second)
	if d := p.request(mallory, "GET", "/"); d.Action != Allow {
		t.Errorf("refused requests took a place: %+v", d)
	}
}

func TestScopesOfThrottles(t *testing.T) {
	for _, c := range []struct {
		scope Scope
		// whether each request is let through: mallory /a, alice /a, mallory /b
		want []bool
	}{
		{PerClient, []bool{true, true, false}},
		{PerRule, []bool{true, false, false}},
		{PerRoute, []bool{true, false, true}},
	} {
		p := ruled(t, Rule{Name: "r", Measure: Throttle, Limits: Limits{Rate: 0.1, Burst: 1, Per: c.scope}})
		var got []bool
		for _, ask := range []struct {
			client netip.Prefix
			route  string
		}{{mallory, "/a"}, {alice, "/a"}, {mallory, "/b"}} {
			got = append(got, !p.request(ask.client, "GET", ask.route).Refused())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("per %s: %v, want %v", c.scope, got, c.want)
		}
	}
}

func TestInFlight(t *testing.T) {
	p := ruled(t, Rule{Name: "two", Measure: Throttle, Limits: Limits{InFlight: 2}})
	first, second := p.request(mallory, "GET", "/"), p.request(mallory, "GET", "/")
	third := p.request(mallory, "GET", "/")
	if first.Refused() || second.Refused() || !third.Refused() || third.RetryAfter != time.Second {
		t.Fatalf("%v %v %+v", first.Action, second.Action, third)
	}
	p.Done(third)
	if d := p.request(mallory, "GET", "/"); !d.Refused() {
		t.Error("a refused request gave a place free")
	}
	p.Done(first)
	p.Done(first) // a second time it does nothing
	if d := p.request(mallory, "GET", "/"); d.Refused() {
		t.Error("no place though one is done")
	}
	if d := p.request(mallory, "GET", "/"); !d.Refused() {
		t.Error("three at a time")
	}
}

func TestWhoLeavesGivesAllPlacesBack(t *testing.T) {
	p := ruled(t,
		Rule{Name: "flight", Measure: Throttle, Limits: Limits{InFlight: 2}},
		Rule{Name: "rate", Measure: Throttle, Limits: Limits{Rate: 1, Burst: 1}})
	p.Done(p.request(mallory, "GET", "/"))
	left := p.request(mallory, "GET", "/")
	if left.Action != Wait || left.Wait != time.Second {
		t.Fatalf("%+v", left)
	}
	p.Waited(p.now, left, true)
	p.Done(left)
	again := p.request(mallory, "GET", "/")
	if again.Action != Wait || again.Wait != time.Second {
		t.Errorf("the next: %+v, want the place of the one who left", again)
	}
	p.Waited(p.now, again, false)
	p.Done(again)
	if s := p.Stats(p.now); s.Waiting != 0 {
		t.Errorf("%d wait", s.Waiting)
	}
}

// What a later rule refuses takes nothing of an earlier one's.
func TestOneRuleRefusesAndTheOtherGivesBack(t *testing.T) {
	p := ruled(t,
		Rule{Name: "wide", Measure: Throttle, Limits: Limits{Rate: 0.1, Burst: 2, InFlight: 5}},
		Rule{Name: "narrow", Measure: Throttle, Limits: Limits{Rate: 0.1, Burst: 1}, Match: Match{Routes: []string{"/a"}}})
	p.Done(p.request(mallory, "GET", "/a"))
	for range 20 {
		if d := p.request(mallory, "GET", "/a"); !d.Refused() || d.Rule != "narrow" {
			t.Fatalf("%+v", d)
		}
	}
	if d := p.request(mallory, "GET", "/b"); d.Action != Allow {
		t.Errorf("the wide rule's second: %+v", d)
	}
}

func TestSuspectsPassRulesToo(t *testing.T) {
	p := suspect(t, Config{Rules: []Rule{{Name: "r", Measure: Throttle, Limits: Limits{Rate: 0.2, Burst: 60}}}})
	for range 50 {
		p.admit(true)
	}
	d := p.admit(true)
	if d.Action != Wait || d.Class != Suspect || d.Limit.Policy != RuleSuspect {
		t.Fatalf("by the suspects' own throttle: %+v", d)
	}
	p.Waited(p.now, d, false)
	for range 20 {
		p.now = p.now.Add(100 * time.Millisecond)
		if d = p.admit(true); d.Refused() {
			break
		}
		p.Waited(p.now, d, false)
		p.Done(d)
	}
	if d.Rule != "r" || d.Class != Suspect || !d.AnswerLocally {
		t.Errorf("then: %+v", d)
	}
	if got := p.Stats(p.now).Waiting; got != 0 {
		t.Errorf("%d wait", got)
	}
	p.wantHits(RuleSuspect, 11, 0)
}

func TestObservingRuleCountsWouldHaveHitsOnly(t *testing.T) {
	watch := login
	watch.Observe, watch.MaxRetry = true, 3
	p := ruled(t, watch,
		Rule{Name: "nets", Measure: Block, Match: Match{Peers: prefixes("192.0.2.0/24")}, Observe: true},
		Rule{Name: "slow", Measure: Throttle, Limits: Limits{Rate: 0.1, InFlight: 9}, Observe: true},
		Rule{Name: "low", Measure: Priority, Class: Low, Observe: true},
		Rule{Name: "spare", Measure: Ignore, Match: Match{Routes: []string{"/login"}}, Observe: true})
	var noted *Ban
	for i := range 5 {
		d, out := p.served(mallory, "POST", "/login", 401)
		if d.Action != Allow || d.Class != Normal || out.Banned != nil || d.Limit.Policy != "" {
			t.Fatalf("request %d: %+v %+v", i+1, d, out)
		}
		if !d.Observed || d.Penalty == "" {
			t.Errorf("request %d isn't marked as observed: %+v", i+1, d)
		}
		if out.Noted != nil {
			noted = out.Noted
		}
	}
	if noted == nil || noted.Rule != "login" || !noted.Observed {
		t.Errorf("noted: %+v", noted)
	}
	if got := p.Bans(p.now); len(got) != 0 {
		t.Errorf("bans: %v", got)
	}
	p.wantHits("login", 0, 3) // one ban, and two requests of a banned client
	p.wantHits("nets", 0, 5)
	p.wantHits("slow", 0, 4)
	p.wantHits("low", 0, 5)
	p.wantHits("spare", 0, 5)
	if x := p.Why(p.now, mallory); len(x.Rules) != 2 || x.Rules[0].Until.IsZero() || !x.Rules[1].Named || x.Rules[1].Mode != "observe" {
		t.Errorf("why: %+v", x.Rules)
	}
}

func TestObserveModeObservesAllRules(t *testing.T) {
	p := newPlay(t, Config{Observe: true, Rules: []Rule{
		{Name: "nets", Measure: Block, Match: Match{Peers: prefixes("192.0.2.0/24")}},
		{Name: "trap", Measure: Block, BanTime: time.Hour, Match: Match{Routes: []string{"/trap"}}},
	}})
	if d := p.request(mallory, "GET", "/trap"); d.Action != Allow || !d.Observed || d.Rule != "nets" {
		t.Errorf("%+v", d)
	}
	p.wantHits("nets", 0, 1)
	p.wantHits("trap", 0, 1)
	if r := p.report("nets"); r.Mode != "observe" {
		t.Errorf("mode %s", r.Mode)
	}
}

func TestIgnoreGoesBeforeAnOperatorsBan(t *testing.T) {
	p := ruled(t, Rule{Name: "office", Measure: Ignore, Match: Match{Peers: prefixes("192.0.2.0/24")}})
	for _, client := range []netip.Prefix{mallory, netip.MustParsePrefix("192.0.0.0/16")} {
		if err := p.Add(p.now, Ban{Client: client, Until: p.now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if d := p.request(mallory, "GET", "/"); d.Action != Allow {
		t.Errorf("in HTTP: %+v", d)
	}
	if b, refused := p.AtAccept(p.now, mallory.Addr()); refused {
		t.Errorf("at accept: %+v", b)
	}
	outside := netip.MustParsePrefix("192.0.3.1/32")
	if d := p.request(outside, "GET", "/"); !d.Refused() || d.Rule != RuleOperator {
		t.Errorf("beside the office: %+v", d)
	}
	p.wantHits("office", 1, 0)
	p.wantHits(RuleOperator, 1, 0)
}

func TestIgnoredMakeNoEvidence(t *testing.T) {
	p := ruled(t, Rule{Name: "office", Measure: Ignore, Match: Match{Peers: prefixes("192.0.2.0/24")}}, login)
	for i := range 30 {
		p.probes(fmt.Sprint("/scan/", i))
		p.served(mallory, "POST", "/login", 401)
	}
	if x := p.Why(p.now, mallory); x.Score != 0 || x.Ban != nil {
		t.Errorf("%+v", x)
	}
}

// A rule can spare one kind of evidence, from some clients.
func TestIgnoreOfEvidence(t *testing.T) {
	p := ruled(t, Rule{Name: "checker", Measure: Ignore, Match: Match{
		Peers: prefixes("192.0.2.0/24"), Evidence: []Kind{UnexpectedPath}, Status: []StatusRange{{404, 404}}}})
	observe := func(kind Kind, path string) Outcome {
		return p.Observe(p.now, Observation{Client: mallory, Status: 404, Evidence: &Evidence{Kind: kind, Path: path}})
	}
	for i := range 30 {
		observe(UnexpectedPath, fmt.Sprint("/", i))
	}
	p.wantState("unknown")
	if out := observe(Honeypath, "/.env"); out.Banned == nil {
		t.Error("another kind isn't spared")
	}
	if d := p.request(mallory, "GET", "/"); !d.Refused() {
		t.Error("the ban of an ignored kind's client is not in force")
	}
	p.wantHits("checker", 30, 0)
}

func TestBlockOfPeers(t *testing.T) {
	p := ruled(t, Rule{Name: "nets", Measure: Block, Penalty: Drop, Match: Match{Peers: prefixes("192.0.2.0/24", "2001:db8::/32")}})
	for i := range 3 {
		for _, client := range []netip.Prefix{mallory, six} {
			d := p.request(client, "GET", "/")
			if !d.Refused() || d.Rule != "nets" || d.Penalty != Drop || d.Refusals != i+1 || !d.Until.IsZero() || d.RetryAfter != DefaultBanTime {
				t.Errorf("%s: %+v", client, d)
			}
		}
	}
	if d := p.request(alice, "GET", "/"); d.Refused() {
		t.Errorf("%+v", d)
	}
	b, refused := p.AtAccept(p.now, mallory.Addr())
	if !refused || b.Rule != "nets" || !b.Until.After(p.now) {
		t.Errorf("at accept: %+v %v", b, refused)
	}
	if len(p.Bans(p.now)) != 0 {
		t.Error("the rule made a ban")
	}
}

// A rule can name one address of a network that counts as one client.
func TestPeersAreMatchedByAddress(t *testing.T) {
	p := ruled(t, Rule{Name: "one", Measure: Block, Match: Match{Peers: prefixes("2001:db8:1:2::beef/128")}})
	ask := func(addr string) bool {
		return p.Admit(p.now, Request{Client: six, Addr: netip.MustParseAddr(addr), Method: "GET"}).Refused()
	}
	if !ask("2001:db8:1:2::beef") || ask("2001:db8:1:2::1") || !ask("2001:db8:1:2::beef%eth0") {
		t.Error("not the one address")
	}
}

func TestTrapRouteBansAtOnce(t *testing.T) {
	p := ruled(t, Rule{Name: "trap", Measure: Block, BanTime: 2 * time.Hour, Match: Match{Routes: []string{"/trap"}}})
	d := p.request(mallory, "GET", "/trap")
	if !d.Refused() || d.Rule != "trap" || d.Banned == nil || d.Refusals != 1 || d.Banned.Until.Sub(p.now) != 2*time.Hour {
		t.Fatalf("%+v", d)
	}
	d = p.request(mallory, "GET", "/")
	if !d.Refused() || d.Banned != nil || d.Rule != "trap" {
		t.Errorf("then: %+v", d)
	}
	p.wantHits("trap", 2, 0)
	if _, refused := p.AtAccept(p.now, mallory.Addr()); refused {
		t.Error("a rule that names routes refuses at accept")
	}
	if _, banned := p.Banned(p.now, mallory.Addr()); !banned {
		t.Error("the client is not banned")
	}
}

func TestRulesThatNameRoutesNeverRefuseAtAccept(t *testing.T) {
	match := map[string]Match{
		"routes":  {Routes: []string{"/x"}, Status: []StatusRange{{401, 401}}},
		"methods": {Methods: []string{"GET"}, Status: []StatusRange{{401, 401}}},
		"neither": {Status: []StatusRange{{401, 401}}},
	}
	for name, m := range match {
		p := ruled(t, Rule{Name: "r", Measure: Block, Match: m})
		p.served(mallory, "GET", "/x", 401)
		if _, refused := p.AtAccept(p.now, mallory.Addr()); refused != (name == "neither") {
			t.Errorf("%s: refused at accept: %v", name, refused)
		}
		if d := p.request(mallory, "GET", "/y"); !d.Refused() {
			t.Errorf("%s: not refused in HTTP", name)
		}
	}
}

func TestNeverAndSuspectOnlyStandings(t *testing.T) {
	for _, c := range []struct {
		standing         Standing
		blocked, limited bool
	}{{Bannable, true, true}, {SuspectOnly, false, true}, {Never, false, false}} {
		p := newPlay(t, Config{Standing: func(netip.Addr) Standing { return c.standing }, Rules: []Rule{
			{Name: "block", Measure: Block, Match: Match{Routes: []string{"/block"}}},
			{Name: "count", Measure: Block, Match: Match{Status: []StatusRange{{401, 401}}}},
			{Name: "limit", Measure: Throttle, Limits: Limits{Rate: 0.1, Connections: 1}, Match: Match{}},
		}})
		if got := p.request(mallory, "GET", "/block").Refused(); got != c.blocked {
			t.Errorf("%s: blocked %v", c.standing, got)
		}
		p.request(mallory, "GET", "/")
		if got := p.request(mallory, "GET", "/").Refused(); got != c.limited {
			t.Errorf("%s: limited %v", c.standing, got)
		}
		out := p.Observe(p.now, Observation{Client: mallory, Status: 401})
		if (out.Banned != nil) != c.blocked || out.Spared != (c.standing == SuspectOnly) {
			t.Errorf("%s: %+v", c.standing, out)
		}
		p.Connect(p.now, mallory.Addr())
		if got := p.Connect(p.now, mallory.Addr()).Refused(); got != c.limited {
			t.Errorf("%s: second connection refused %v", c.standing, got)
		}
		if _, got := p.AtAccept(p.now, mallory.Addr()); got != c.blocked {
			t.Errorf("%s: at accept %v", c.standing, got)
		}
	}
}

func TestPriorityChoosesTheClass(t *testing.T) {
	p := ruled(t,
		Rule{Name: "office", Measure: Priority, Class: High, Match: Match{Peers: prefixes("192.0.2.0/24")}},
		Rule{Name: "crawl", Measure: Priority, Class: Low, Match: Match{Methods: []string{"GET"}}})
	for _, c := range []struct {
		client netip.Prefix
		method string
		want   Class
	}{{mallory, "GET", High}, {alice, "GET", Low}, {alice, "HEAD", Low}, {alice, "POST", Normal}} {
		if d := p.request(c.client, c.method, "/"); d.Class != c.want || d.Action != Allow {
			t.Errorf("%s by %s: %+v, want %s", c.method, c.client, d, c.want)
		}
	}
	for _, path := range []string{"/a", "/b", "/c"} {
		p.Observe(p.now, Observation{Client: mallory, Evidence: &Evidence{Kind: UnexpectedPath, Path: path}})
	}
	if d := p.request(mallory, "GET", "/"); d.Class != Suspect {
		t.Errorf("a suspect is in class %s", d.Class)
	}
}

// A throttle or a priority can be brought about by what a client did.
func TestMeasuresAgainstWhatWasDone(t *testing.T) {
	p := ruled(t,
		Rule{Name: "slow", Measure: Throttle, MaxRetry: 3, FindTime: time.Minute, Limits: Limits{Rate: 0.1},
			Match: Match{Routes: []string{"/search"}, Status: []StatusRange{{500, 599}}}},
		Rule{Name: "late", Measure: Priority, Class: Low, Match: Match{Evidence: []Kind{BadValue}}})
	for range 3 {
		if d, _ := p.served(mallory, "GET", "/search", 503); d.Action != Allow || d.Class != Normal {
			t.Fatalf("%+v", d)
		}
	}
	p.Observe(p.now, Observation{Client: mallory, Route: "/", Evidence: &Evidence{Kind: BadValue, Path: "/x"}})
	d := p.request(mallory, "GET", "/search")
	if d.Refused() || d.Class != Low {
		t.Errorf("the first after: %+v", d)
	}
	if d := p.request(mallory, "GET", "/search"); !d.Refused() || d.Rule != "slow" {
		t.Errorf("the second after: %+v", d)
	}
	if d := p.request(mallory, "GET", "/"); d.Refused() {
		t.Errorf("a route that the rule doesn't name: %+v", d)
	}
	if r := p.report("slow"); r.Clients != 1 {
		t.Errorf("in force against %d", r.Clients)
	}
	p.now = p.now.Add(DefaultFindTime)
	if d := p.request(mallory, "GET", "/search"); d.Refused() || d.Class != Normal || d.Limit.Policy != "" {
		t.Errorf("after findtime: %+v", d)
	}
	p.Expire(p.now)
	if r := p.report("slow"); r.Clients != 0 {
		t.Errorf("in force against %d after findtime", r.Clients)
	}
}

func TestReloadKeepsWhatIsUnchanged(t *testing.T) {
	api := Rule{Name: "api", Measure: Throttle, Limits: Limits{Rate: 0.1, Burst: 2, InFlight: 3}, Match: Match{Routes: []string{"/api"}}}
	p := ruled(t, login, api)
	for range 9 {
		p.served(mallory, "POST", "/login", 401)
	}
	open := p.request(mallory, "GET", "/api")
	if err := p.Add(p.now, Ban{Client: alice, Until: p.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	more := Rule{Name: "more", Measure: Priority, Class: Low}
	if err := p.Configure(Config{Rules: []Rule{more, api, login}, BanJitter: -1}); err != nil {
		t.Fatal(err)
	}
	if d := p.request(alice, "GET", "/"); !d.Refused() {
		t.Error("the ban is gone")
	}
	p.Done(p.request(mallory, "GET", "/api"))
	if d := p.request(mallory, "GET", "/api"); !d.Refused() {
		t.Error("the throttle began anew")
	}
	p.Done(open)
	if _, out := p.served(mallory, "POST", "/login", 401); out.Banned == nil {
		t.Error("the counter began anew")
	}
	p.wantHits("login", 1, 0)
}

func TestReloadForgetsWhatIsChanged(t *testing.T) {
	p := ruled(t, login)
	for range 9 {
		p.served(mallory, "POST", "/login", 401)
	}
	changed := login
	changed.FindTime = time.Hour
	if err := p.Configure(Config{Rules: []Rule{changed}}); err != nil {
		t.Fatal(err)
	}
	if _, out := p.served(mallory, "POST", "/login", 401); out.Banned != nil {
		t.Error("the old rule's count is the new one's")
	}
	if s := p.Stats(p.now); s.States != 2 {
		t.Errorf("%d states, want the old and the new", s.States)
	}
	p.Expire(p.now)
	if s := p.Stats(p.now); s.States != 1 {
		t.Errorf("%d states after tidying up", s.States)
	}
}

func TestBadReloadChangesNothing(t *testing.T) {
	p := ruled(t, login)
	if err := p.Configure(Config{Rules: []Rule{{Name: "x"}}}); err == nil {
		t.Fatal("a rule without a measure was taken")
	}
	p.report("login")
}

// names is a Hosts of fixed answers.
type names struct {
	mu      sync.Mutex
	known   map[netip.Addr]string
	pending map[netip.Addr]bool
	asked   int
}

func (n *names) Match(a netip.Addr, patterns []string) (matched, pending bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	return slices.Contains(patterns, n.known[a]), n.pending[a]
}

func (n *names) learn(a netip.Addr, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[a] = name
	delete(n.pending, a)
}

func TestIgnoreByHostName(t *testing.T) {
	n := &names{known: map[netip.Addr]string{}, pending: map[netip.Addr]bool{mallory.Addr(): true}}
	spare := Rule{Name: "bots", Measure: Ignore, Match: Match{Hosts: []string{".bot.example"}, Peers: prefixes("203.0.113.0/24", "100.64.0.0/10")}}
	nets := Rule{Name: "nets", Measure: Block, Match: Match{Peers: prefixes("192.0.2.0/24")}}
	rule := login
	rule.MaxRetry = 1
	p := newPlay(t, Config{Hosts: n, Rules: []Rule{spare, nets, rule}})

	honey := func(client netip.Prefix) Outcome {
		return p.Observe(p.now, Observation{Client: client, Status: 404, Evidence: &Evidence{Kind: Honeypath, Path: "/" + fmt.Sprint(p.now)}})
	}
	if d := p.request(mallory, "GET", "/"); d.Refused() {
		t.Error("blocked while its name is pending")
	}
	if out := honey(mallory); out.Banned != nil || out.Spared {
		t.Errorf("banned while its name is pending: %+v", out)
	}
	if _, out := p.served(mallory, "POST", "/login", 401); out.Banned != nil {
		t.Error("banned by a rule while its name is pending")
	}
	if c := p.Connect(p.now, mallory.Addr()); c.Refused() {
		t.Error("refused at accept while its name is pending")
	}

	n.learn(mallory.Addr(), "other.example")
	if d := p.request(mallory, "GET", "/"); !d.Refused() || d.Rule != "nets" {
		t.Errorf("with another name: %+v", d)
	}
	p.now = p.now.Add(time.Second)
	if out := honey(mallory); out.Banned == nil {
		t.Error("not banned with another name")
	}

	n.learn(mallory.Addr(), ".bot.example") // late
	if d := p.request(mallory, "GET", "/"); d.Refused() {
		t.Errorf("with the name: %+v", d)
	}
	p.Expire(p.now)
	if bans := p.Bans(p.now); len(bans) != 0 {
		t.Errorf("a late match does not undo %v", bans)
	}
	beyond := netip.MustParsePrefix("192.0.2.200/32") // its network is blocked
	n.learn(beyond.Addr(), ".bot.example")
	if d := p.request(beyond, "GET", "/"); d.Refused() {
		t.Errorf("by its name, behind a network of the rule: %+v", d)
	}
	if d := p.request(netip.MustParsePrefix("203.0.113.9/32"), "GET", "/"); d.Refused() {
		t.Errorf("by its network: %+v", d)
	}
}

// A person's ban is not undone by a name.
func TestLateNamesLeaveAPersonsBan(t *testing.T) {
	n := &names{known: map[netip.Addr]string{mallory.Addr(): "bot.example"}}
	p := newPlay(t, Config{Hosts: n, Rules: []Rule{{Name: "bots", Measure: Ignore, Match: Match{Hosts: []string{"bot.example"}}}}})
	if err := p.Add(p.now, Ban{Client: mallory, Until: p.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	p.Expire(p.now)
	if len(p.Bans(p.now)) != 1 {
		t.Error("the ban is gone")
	}
	if d := p.request(mallory, "GET", "/"); d.Refused() {
		t.Errorf("ignore goes first: %+v", d)
	}
}

// Names are asked for only where everything else of a rule fits.
func TestNamesAreAskedForSeldom(t *testing.T) {
	n := &names{}
	p := newPlay(t, Config{Hosts: n, Rules: []Rule{{Name: "bots", Measure: Ignore, Match: Match{Hosts: []string{"bot.example"}, Routes: []string{"/feed"}}}}})
	for range 10 {
		p.request(mallory, "GET", "/")
	}
	if n.asked != 0 {
		t.Errorf("asked %d times", n.asked)
	}
	p.request(mallory, "GET", "/feed")
	if n.asked != 1 {
		t.Errorf("asked %d times for the route of the rule", n.asked)
	}
}

func TestBadRules(t *testing.T) {
	ok := Limits{Rate: 1}
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Measure: Throttle, Limits: ok}, `rule 1: its name "" is empty or taken`},
		{Rule{Name: RuleOperator, Measure: Throttle, Limits: ok}, `rule 1: its name "operator" is empty or taken`},
		{Rule{Name: "r"}, `rule "r": measure "": want ignore, block, throttle or priority`},
		{Rule{Name: "r", Measure: Throttle}, `rule "r": throttle lacks a limit`},
		{Rule{Name: "r", Measure: Ignore, MaxRetry: 2}, `rule "r": ignore takes no maxretry`},
		{Rule{Name: "r", Measure: Block, MaxRetry: -1}, `rule "r": maxretry, findtime and bantime must not be negative`},
		{Rule{Name: "r", Measure: Throttle, Limits: Limits{Rate: 1, Burst: -1}}, `rule "r": limits must not be negative`},
		{Rule{Name: "r", Measure: Throttle, Limits: Limits{Connections: 1}, Match: Match{Routes: []string{"/"}}}, `rule "r": connections are judged before a route or method is known`},
		{Rule{Name: "r", Measure: Throttle, Limits: Limits{Rate: 1, Per: "x"}}, `rule "r": scope "x": want client, rule or route`},
		{Rule{Name: "r", Measure: Priority, Class: Suspect}, `rule "r": class must be high, normal or low`},
		{Rule{Name: "r", Measure: Block, Match: Match{Peers: []netip.Prefix{{}}}}, `rule "r": a peer is no valid network`},
	} {
		_, err := New(Config{Rules: []Rule{c.rule}})
		if err == nil || err.Error() != "ban: "+c.want {
			t.Errorf("%+v:\n got %v\nwant ban: %s", c.rule, err, c.want)
		}
	}
	twice := Rule{Name: "r", Measure: Throttle, Limits: ok}
	if _, err := New(Config{Rules: []Rule{twice, twice}}); err == nil {
		t.Error("two rules of one name")
	}
}

func TestReportsInTheOrderOfPrecedence(t *testing.T) {
	p := ruled(t,
		Rule{Name: "p", Measure: Priority}, Rule{Name: "t", Measure: Throttle, Limits: Limits{Rate: 1}},
		Rule{Name: "b", Measure: Block}, Rule{Name: "i", Measure: Ignore}, Rule{Name: "b2", Measure: Block, Observe: true})
	var got []string
	for _, r := range p.Rules() {
		got = append(got, r.Name)
	}
	if want := []string{RuleUnexpected, RuleSuspect, RuleOperator, RuleSiblings, "i", "b", "b2", "t", "p"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	text, err := json.Marshal(p.report("b2"))
	want := `{"name":"b2","action":"block","mode":"observe","hits":0,"would_have_hits":0,"bans":0,"clients":0}`
	if err != nil || string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}

func TestBuiltinRulesCount(t *testing.T) {
	p := newPlay(t, Config{})
	for i := range 10 {
		p.probes(fmt.Sprint("/", i))
	}
	p.wantHits(RuleUnexpected, 5, 0)
	if r := p.report(RuleUnexpected); r.Bans != 1 || !r.Builtin {
		t.Errorf("%+v", r)
	}
}
