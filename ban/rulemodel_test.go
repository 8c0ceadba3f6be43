package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ruleModel is what rules should do, written as plainly as can be: it looks at
// every rule for each request, and keeps every match for ever. Of throttles it
// knows those by rate and in flight, with whole seconds between requests.
type ruleModel struct {
	rules   []Rule
	matches map[string][]time.Time // by rule and client
	marked  map[string]time.Time
	bans    map[netip.Prefix]modelRuleBan
	tokens  map[string]*modelBucket
	flight  map[string]int
	hits    map[string]int64
	would   map[string]int64
}

type modelRuleBan struct {
	rule  string
	until time.Time
}

// modelBucket holds tokens as they were at a time.
type modelBucket struct {
	tokens float64
	at     time.Time
}

func newRuleModel(rules []Rule) *ruleModel {
	return &ruleModel{rules, map[string][]time.Time{}, map[string]time.Time{}, map[netip.Prefix]modelRuleBan{},
		map[string]*modelBucket{}, map[string]int{}, map[string]int64{}, map[string]int64{}}
}

// ask is one request with its answer, as the model is told of it.
type ask struct {
	client        netip.Prefix
	route, method string
	status        int
	kind          Kind
}

func (a ask) fits(r *Rule, answered bool) bool {
	m := r.Match
	in := func(p netip.Prefix) bool { return p.Contains(a.client.Addr()) }
	method := a.method
	if method == "HEAD" && slices.Contains(m.Methods, "GET") {
		method = "GET"
	}
	switch {
	case len(m.Peers) > 0 && !slices.ContainsFunc(m.Peers, in),
		len(m.Routes) > 0 && !slices.Contains(m.Routes, a.route),
		len(m.Methods) > 0 && !slices.Contains(m.Methods, method):
		return false
	case !answered:
		return true
	case len(m.Evidence) > 0 && !slices.Contains(m.Evidence, a.kind):
		return false
	}
	return len(m.Status) == 0 || slices.ContainsFunc(m.Status, func(s StatusRange) bool { return s.From <= a.status && a.status <= s.To })
}

func modelCounted(r *Rule) bool {
	return r.MaxRetry > 1 || len(r.Match.Evidence) > 0 || len(r.Match.Status) > 0
}

func (m *ruleModel) note(r *Rule) {
	if r.Observe {
		m.would[r.Name]++
	} else {
		m.hits[r.Name]++
	}
}

// each calls f for the rules of a measure that fit a request.
func (m *ruleModel) each(a ask, what Measure, answered bool, f func(*Rule) (stop bool)) bool {
	for i := range m.rules {
		r := &m.rules[i]
		if r.Measure == what && a.fits(r, answered) && f(r) {
			return true
		}
	}
	return false
}

func (m *ruleModel) inForce(now time.Time, r *Rule, a ask) bool {
	return now.Before(m.marked[r.Name+a.client.String()])
}

// verdict is what the model says of a request.
type modelVerdict struct {
	refused string // the rule
	wait    time.Duration
	class   Class
	holds   []string
}

func (m *ruleModel) admit(now time.Time, a ask) modelVerdict {
	v := modelVerdict{class: Normal}
	if m.each(a, Ignore, false, func(r *Rule) bool {
		if modelCounted(r) {
			return false
		}
		m.note(r)
		return !r.Observe
	}) {
		return v
	}
	if b, ok := m.bans[a.client]; ok && now.Before(b.until) {
		m.hits[b.rule]++
		return modelVerdict{refused: b.rule}
	}
	if m.each(a, Block, false, func(r *Rule) bool {
		if modelCounted(r) && !(r.Observe && m.inForce(now, r, a)) {
			return false
		}
		m.note(r)
		if r.Observe {
			return false
		}
		v.refused = r.Name
		if r.BanTime > 0 {
			m.bans[a.client] = modelRuleBan{r.Name, now.Add(r.BanTime)}
		}
		return true
	}) {
		return v
	}
	if m.throttle(now, a, &v); v.refused != "" {
		return v
	}
	m.each(a, Priority, false, func(r *Rule) bool {
		if modelCounted(r) && !m.inForce(now, r, a) {
			return false
		}
		m.note(r)
		if !r.Observe {
			v.class = r.Class
		}
		return !r.Observe
	})
	return v
}

func (m *ruleModel) throttle(now time.Time, a ask, v *modelVerdict) {
	var taken []*modelBucket
	m.each(a, Throttle, false, func(r *Rule) bool {
		if modelCounted(r) && !m.inForce(now, r, a) {
			return false
		}
		id := r.Name + "|" + map[Scope]string{"": a.client.String(), PerRoute: a.route}[r.Limits.Per]
		bucket, wait, ok := m.take(now, r, id)
		if !ok || wait > 0 {
			m.note(r)
		}
		switch {
		case !ok && !r.Observe:
			v.refused = r.Name
			for _, b := range taken {
				b.tokens++
			}
			for _, id := range v.holds {
				m.flight[id]--
			}
			v.holds = nil
			return true
		case ok && r.Limits.InFlight > 0:
			m.flight[id]++
			v.holds = append(v.holds, id)
		}
		if ok && !r.Observe {
			v.wait = max(v.wait, wait)
			if bucket != nil {
				taken = append(taken, bucket)
			}
		}
		return false
	})
}

func (m *ruleModel) take(now time.Time, r *Rule, id string) (b *modelBucket, wait time.Duration, ok bool) {
	if r.Limits.InFlight > 0 && m.flight[id] >= r.Limits.InFlight {
		return nil, 0, false
	}
	if r.Limits.Rate == 0 {
		return nil, 0, true
	}
	if b = m.tokens[id]; b == nil {
		b = &modelBucket{float64(r.Limits.Burst), now}
		m.tokens[id] = b
	}
	b.tokens = min(float64(r.Limits.Burst), b.tokens+now.Sub(b.at).Seconds()*r.Limits.Rate)
	b.at = now
	wait = time.Duration(max(0, (1-b.tokens)/r.Limits.Rate) * float64(time.Second))
	if wait > DefaultMaxWait {
		return nil, 0, false
	}
	b.tokens--
	return b, wait, true
}

func (m *ruleModel) observe(now time.Time, a ask) (banned string) {
	ignored := false
	m.each(a, Ignore, true, func(r *Rule) bool {
		if modelCounted(r) {
			m.note(r)
		}
		ignored = !r.Observe
		return ignored
	})
	if ignored {
		return ""
	}
	for _, what := range []Measure{Block, Throttle, Priority} {
		m.each(a, what, true, func(r *Rule) bool {
			if !modelCounted(r) || !m.reached(now, r, a) {
				return false
			}
			switch {
			case r.Measure != Block:
				m.marked[r.Name+a.client.String()] = now.Add(r.FindTime)
				return false
			case r.Observe:
				m.note(r)
				m.marked[r.Name+a.client.String()] = now.Add(r.BanTime)
			case !now.Before(m.bans[a.client].until):
				m.note(r)
				m.bans[a.client] = modelRuleBan{r.Name, now.Add(r.BanTime)}
				banned = r.Name
			}
			m.matches[r.Name+a.client.String()] = nil
			return banned != ""
		})
	}
	return banned
}

func (m *ruleModel) reached(now time.Time, r *Rule, a ask) bool {
	id := r.Name + a.client.String()
	m.matches[id] = append(m.matches[id], now)
	n := 0
	for _, at := range m.matches[id] {
		if now.Sub(at) < r.FindTime {
			n++
		}
	}
	return n >= max(1, r.MaxRetry)
}

func drawRule(t *rapid.T, i int) Rule {
	oneOf := func(label string, all ...string) []string {
		if rapid.Bool().Draw(t, label+" at all") {
			return nil
		}
		return []string{rapid.SampledFrom(all).Draw(t, label)}
	}
	r := Rule{
		Name: fmt.Sprint("r", i), Measure: rapid.SampledFrom(measures[:]).Draw(t, "measure"),
		FindTime: 20 * time.Second, BanTime: 30 * time.Second, Observe: rapid.IntRange(0, 3).Draw(t, "observe") == 0,
		Match: Match{Routes: oneOf("route", "/a", "/b"), Methods: oneOf("method", "GET", "POST")},
		Class: rapid.SampledFrom([]Class{High, Low}).Draw(t, "class"),
	}
	if peers := oneOf("peers", "192.0.2.0/24", "192.0.2.1/32", "2001:db8::/32", "::/0"); peers != nil {
		r.Match.Peers = prefixes(peers...)
	}
	if rapid.Bool().Draw(t, "by answer") {
		r.Match.Status = []StatusRange{{401, 404}}
	}
	if rapid.IntRange(0, 3).Draw(t, "by evidence") == 0 {
		r.Match.Evidence = []Kind{ServerError}
	}
	if r.Measure != Ignore {
		r.MaxRetry = rapid.SampledFrom([]int{0, 1, 3, 8}).Draw(t, "maxretry")
	}
	if r.Measure == Block && r.Match.empty() {
		r.Match.Routes = []string{"/a"}
	}
	if r.Measure == Throttle {
		r.Limits = Limits{Rate: rapid.SampledFrom([]float64{0, 0.25, 1, 4}).Draw(t, "rate"), InFlight: rapid.IntRange(0, 3).Draw(t, "in flight"),
			Burst: rapid.IntRange(1, 5).Draw(t, "burst"), Per: rapid.SampledFrom([]Scope{"", PerRule, PerRoute}).Draw(t, "per")}
		if r.Limits.Rate == 0 && r.Limits.InFlight == 0 {
			r.Limits.InFlight = 1
		}
	}
	return r
}

func (m Match) empty() bool {
	return len(m.Peers)+len(m.Routes)+len(m.Methods)+len(m.Status)+len(m.Evidence) == 0
}

// open is an admitted request that goes on.
type open struct {
	decision Decision
	holds    []string
}

// TestRulesAgainstAModel has engine and model decide about the same requests.
// Evidence is of a kind without weight, so that only rules act.
func TestRulesAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		for i := range rapid.IntRange(0, 9).Draw(t, "rules") {
			rules = append(rules, drawRule(t, i))
		}
		config := Config{Rules: rules, BanJitter: -1, Waiters: 1 << 20, WaitersAll: 1 << 20}
		e, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		m := newRuleModel(rules)
		now := start
		var going []open
		for range rapid.IntRange(1, 80).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "pause")) * time.Second)
			if rapid.IntRange(0, 15).Draw(t, "chore") == 0 {
				e.Expire(now)
				if err := e.Configure(config); err != nil {
					t.Fatal(err)
				}
			}
			if len(going) > 0 && rapid.Bool().Draw(t, "ends") {
				i := rapid.IntRange(0, len(going)-1).Draw(t, "which")
				e.Done(going[i].decision)
				for _, id := range going[i].holds {
					m.flight[id]--
				}
				going = slices.Delete(going, i, i+1)
			}
			a := ask{
				client: drawClient(t), route: rapid.SampledFrom([]string{"/a", "/b", ""}).Draw(t, "route"),
				method: rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT"}).Draw(t, "method"),
				status: rapid.SampledFrom([]int{200, 401, 404, 500}).Draw(t, "status"),
				kind:   rapid.SampledFrom([]Kind{"", ServerError}).Draw(t, "kind"),
			}
			want := m.admit(now, a)
			d := e.Admit(now, Request{Client: a.client, Known: true, Route: a.route, Method: a.method})
			gotRule := ""
			if d.Refused() {
				gotRule = d.Rule
			}
			if gotRule != want.refused || !d.Refused() && (d.Class != want.class || (d.Wait-want.wait).Abs() > time.Millisecond) {
				t.Fatalf("%+v at %v:\n got %+v\nwant %+v", a, now.Sub(start), d, want)
			}
			if d.Refused() {
				continue
			}
			e.Waited(now, d, false)
			going = append(going, open{d, want.holds})
			banned := m.observe(now, a)
			o := Observation{Client: a.client, Known: true, Status: a.status, Route: a.route, Method: a.method}
			if a.kind != "" {
				o.Evidence = &Evidence{Kind: a.kind, Path: "/x"}
			}
			got := ""
			if b := e.Observe(now, o).Banned; b != nil {
				got = b.Rule
			}
			if got != banned {
				t.Fatalf("%+v at %v: banned by %q, want %q", a, now.Sub(start), got, banned)
			}
		}
		for _, r := range e.Rules() {
			if !r.Builtin && (r.Hits != m.hits[r.Name] || r.WouldHits != m.would[r.Name]) {
				t.Fatalf("rule %s: %d hits, %d would-have-hits; want %d, %d", r.Name, r.Hits, r.WouldHits, m.hits[r.Name], m.would[r.Name])
			}
		}
	})
}
