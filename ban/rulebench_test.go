package ban

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// manyRules are n rules of all kinds of match, which the benchmarks' requests
// don't fit: networks of the documentation, routes and methods of others,
// statuses that don't occur.
func manyRules(n int) []Rule {
	var rules []Rule
	for i := range n {
		r := Rule{Name: fmt.Sprint("r", i), Measure: measures[i%len(measures)], Limits: Limits{Rate: 10}}
		switch i % 4 {
		case 0: // ignore
			r.Match.Peers = prefixes(fmt.Sprintf("2001:db8:%x::/48", i), "2001:db8::1/128")
		case 1: // block
			r.Match.Routes, r.Match.Status, r.MaxRetry = []string{fmt.Sprint("/login/", i)}, []StatusRange{{401, 401}}, 10
		case 2: // throttle
			r.Match.Routes, r.Match.Methods = []string{"/"}, []string{"POST"}
		case 3: // priority
			for j := range 100 {
				r.Match.Peers = append(r.Match.Peers, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(i), byte(j)}), 32))
			}
			r.Match.Routes = []string{"/"}
			r.Match.Methods = []string{"PUT"}
		}
		rules = append(rules, r)
	}
	return rules
}

// BenchmarkAdmitRules1M is a request that no rule is about, by one of a million
// clients.
func BenchmarkAdmitRules1M(b *testing.B) {
	for _, n := range []int{0, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEngine(b, Config{Rules: manyRules(n)})
			populate(e, million)
			benchParallel(b, func(i int) {
				e.Done(e.Admit(start, Request{Client: address(i % million), Known: true, Route: "/", Method: "GET"}))
			})
		})
	}
}

// BenchmarkObserveRules1M is the same for answers.
func BenchmarkObserveRules1M(b *testing.B) {
	for _, n := range []int{0, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEngine(b, Config{Rules: manyRules(n)})
			populate(e, million)
			benchParallel(b, func(i int) {
				e.Observe(start, Observation{Client: address(i % million), Known: true, Found: true, Status: 200, Route: "/", Method: "GET"})
			})
		})
	}
}

// BenchmarkAdmitThrottled is a request that passes a throttle of each client.
func BenchmarkAdmitThrottled(b *testing.B) {
	e := newEngine(b, Config{Rules: []Rule{{Name: "r", Measure: Throttle, Limits: Limits{Rate: 1e9, Burst: 1e9, InFlight: 100}}}})
	benchParallel(b, func(i int) {
		now := start.Add(time.Duration(i) * time.Microsecond)
		e.Done(e.Admit(now, Request{Client: address(i % 10_000), Known: true, Route: "/", Method: "GET"}))
	})
}

// BenchmarkRuleStates is a flood of addresses, each of which a rule has to
// remember.
func BenchmarkRuleStates(b *testing.B) {
	e := newEngine(b, Config{Rules: []Rule{{Name: "r", Measure: Throttle, Limits: Limits{Rate: 10}}}})
	base := liveBytes()
	for i := range 4 * maxStates {
		e.Admit(start, Request{Client: address(i), Method: "GET"})
	}
	b.ReportMetric(float64(liveBytes()-base)/1e6, "MB-full")
	b.ReportMetric(float64(e.Stats(start).States), "states")
	benchParallel(b, func(i int) { e.Admit(start, Request{Client: address(million + i), Method: "GET"}) })
}

// TestAdmitWithRulesAllocatesNothing holds that requests that no rule is about
// are no work for the collector.
func TestAdmitWithRulesAllocatesNothing(t *testing.T) {
	e := newEngine(t, Config{Rules: manyRules(100)})
	populate(e, 1000)
	n := 0
	if got := testing.AllocsPerRun(1000, func() {
		e.Done(e.Admit(start, Request{Client: address(n % 1000), Known: true, Route: "/", Method: "GET"}))
		n++
	}); got != 0 {
		t.Errorf("%v allocations a request", got)
	}
}

// TestManyNetworksAreMatchedFast: 100,000 networks must not cost a request more
// than a few, and not take long to load.
func TestManyNetworksAreMatchedFast(t *testing.T) {
	var list []netip.Prefix
	for i := range 100_000 {
		list = append(list, netip.PrefixFrom(address(i).Addr(), 24+i%9).Masked())
	}
	r := Rule{Name: "list", Measure: Block, Match: Match{Peers: list}}
	began := time.Now()
	e := newEngine(t, Config{Rules: []Rule{r}})
	t.Logf("100,000 networks made ready in %v", time.Since(began))
	if steps := len(e.policy.Load().rules.v4.starts); steps > 2*len(list) {
		t.Errorf("%d pieces of %d networks", steps, len(list))
	}
	for i := 0; i < len(list); i += 997 {
		if d := e.Admit(start, Request{Client: netip.PrefixFrom(list[i].Addr(), 32), Method: "GET"}); !d.Refused() {
			t.Fatalf("%s of the list is served", list[i])
		}
	}
}
