package ban

import (
	"net/netip"
	"time"
	"unsafe"
)

// sizeState is what one state takes, with its limiters and matches.
const sizeState = int(unsafe.Sizeof(state{})) + 160

// RuleReport is what "flask2ban rules" shows of one rule.
type RuleReport struct {
	Name    string  `json:"name"`
	Measure Measure `json:"action"`
	// Mode is "enforce" or "observe".
	Mode string `json:"mode"`
	// Builtin rules are always there.
	Builtin bool `json:"builtin,omitempty"`
	// Hits are the requests and connections that the rule ignored, blocked,
	// delayed or refused, or gave a class; WouldHits those that it would have.
	Hits      int64 `json:"hits"`
	WouldHits int64 `json:"would_have_hits"`
	// Bans is how many it made.
	Bans int64 `json:"bans"`
	// Clients is against how many it is in force for what they did before.
	Clients int64 `json:"clients"`
}

// Rules reports on all rules: the built-in ones, and those of the configuration
// in the order in which they are judged. It counts from the engine's start, or
// the rule's last change.
func (e *Engine) Rules() []RuleReport {
	p := e.policy.Load()
	measure := map[string]Measure{RuleUnexpected: Block, RuleSuspect: Throttle, RuleOperator: Block, RuleSiblings: Block}
	reports := make([]RuleReport, 0, len(builtin)+len(p.rules.rules))
	for _, name := range builtin {
		report := p.rules.records[name].report(name, measure[name], p.Observe)
		report.Builtin = true
		reports = append(reports, report)
	}
	for _, r := range p.rules.rules {
		reports = append(reports, r.report(r.Name, r.Measure, r.Observe))
	}
	return reports
}

func (r *ruleRecord) report(name string, m Measure, observing bool) RuleReport {
	report := RuleReport{
		Name: name, Measure: m, Mode: "enforce",
		Hits: r.hits.Load(), WouldHits: r.would.Load(), Bans: r.bans.Load(), Clients: r.marks.Load(),
	}
	if observing {
		report.Mode = "observe"
	}
	return report
}

// RuleLine is what one rule has to do with a client, for Why.
type RuleLine struct {
	Name    string  `json:"name"`
	Measure Measure `json:"action"`
	Mode    string  `json:"mode"`
	// Named says that the client is one of the rule's peers or hosts.
	Named bool `json:"named,omitempty"`
	// Matches are those counted within findtime, of MaxRetry that it takes.
	Matches  int `json:"matches,omitempty"`
	MaxRetry int `json:"maxretry,omitempty"`
	// Until is to when the measure is in force for them.
	Until time.Time `json:"until,omitzero"`
}

// lines are the rules that name the client or have counted something of it.
func (e *Engine) lines(now time.Time, p *policy, k key, a netip.Addr) []RuleLine {
	var lines []RuleLine
	q := p.rules.peer(a)
	for r := q.first(0, len(p.rules.rules)); r != nil; r = q.first(r.index+1, len(p.rules.rules)) {
		yes, _ := q.is(r)
		if !yes {
			continue
		}
		report := r.report(r.Name, r.Measure, r.Observe)
		line := RuleLine{Name: r.Name, Measure: r.Measure, Mode: report.Mode, Named: len(r.Match.Peers)+len(r.Match.Hosts) > 0}
		if r.counted() {
			line.MaxRetry = r.MaxRetry
			line.Matches, line.Until = e.states.look(now, r, k)
		}
		if line.Named || line.Matches > 0 || !line.Until.IsZero() {
			lines = append(lines, line)
		}
	}
	return lines
}

// look returns what a rule has counted of a client, and to when its measure is
// in force.
func (t *states) look(now time.Time, r *rule, k key) (matches int, until time.Time) {
	id := stateKey{r.id, k}
	s := t.shard(id)
	defer s.mu.Unlock()
	st := s.m[id]
	if st == nil {
		return 0, time.Time{}
	}
	if now.Before(st.until) {
		until = st.until.UTC().Round(0)
	}
	return st.sum(now, r.FindTime), until
}

// findtimes are those of all rules by their ids.
func (s *ruleset) findtimes() map[uint32]time.Duration {
	all := make(map[uint32]time.Duration, len(s.rules))
	for _, r := range s.rules {
		all[r.id] = r.FindTime
	}
	return all
}

// AtAccept returns what refuses all requests of an address, whatever they ask
// for: a ban as Banned returns it, or a rule that blocks the peer. Rules that
// name routes or methods refuse nobody here, nor do the bans that they made,
// and who may be ignored by a rule is not refused.
func (e *Engine) AtAccept(now time.Time, a netip.Addr) (Ban, bool) {
	p := e.policy.Load()
	if len(p.rules.rules) == 0 {
		return e.Banned(now, a)
	}
	a = a.WithZone("").Unmap()
	if !a.IsValid() {
		return Ban{}, false
	}
	q := p.rules.peer(a)
	if ignored, pending := q.ignored(false, false); ignored || pending {
		return Ban{}, false
	}
	if b, ok := e.Banned(now, a); ok {
		return b, p.rules.acceptable(b)
	}
	if p.Standing(a) != Bannable {
		return Ban{}, false
	}
	return q.blocked(now, p)
}

// acceptable says whether a ban holds for all that its client may ask.
func (s *ruleset) acceptable(b Ban) bool {
	for _, r := range s.rules {
		if r.Name == b.Rule {
			return r.atAccept() || b.Manual
		}
	}
	return true
}

// blocked returns the block of a rule that names nothing but peers.
func (q *query) blocked(now time.Time, p *policy) (b Ban, ok bool) {
	q.all(Block, func(r *rule) bool {
		if r.Observe || r.counted() || !r.atAccept() || r.BanTime > 0 {
			return true
		}
		b = Ban{
			Client: netip.PrefixFrom(q.addr, q.addr.BitLen()), Since: now, Until: now.Add(p.BanTime),
			Rule: r.Name, Reason: r.reason(), Penalty: r.Penalty,
		}
		ok = true
		return false
	})
	return b, ok
}

// absolve lifts the bans of clients whose names, known only now, are ignored by
// a rule. A person's bans are left to persons.
func (e *Engine) absolve(now time.Time, p *policy) {
	named := false
	for _, r := range p.rules.rules[:p.rules.begin[1]] {
		named = named || len(r.Match.Hosts) > 0 && r.atAccept() && !r.counted()
	}
	if !named {
		return
	}
	for _, b := range e.Bans(now) {
		if b.Manual {
			continue
		}
		q := p.rules.request(b.Client.Addr(), "", "")
		if ignored, _ := q.ignored(false, false); ignored {
			e.Remove(now, b.Client)
		}
	}
}
