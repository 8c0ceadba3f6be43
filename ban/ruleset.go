package ban

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
)

// rule is a policy rule made ready for judging.
type rule struct {
	Rule
	index int
	*ruleRecord
}

// ruleRecord is what is kept of a rule over reloads, as long as it stays the
// same.
type ruleRecord struct {
	// id is never given to another rule: what clients' states refer to.
	id uint32
	// text is the rule itself, to know an unchanged one by.
	text string
	// hits are requests and connections against which the measure was taken,
	// would those against which it would have been; bans how often it banned.
	hits, would, bans atomic.Int64
	// marks counts the clients against which it is in force because of what
	// they did before: mostly none, and then nothing is looked up.
	marks atomic.Int64
}

// count notes that the rule's measure was taken, or would have been.
func (r *ruleRecord) count(observing bool) {
	if observing {
		r.would.Add(1)
		return
	}
	r.hits.Add(1)
}

// ruleset are the rules of one configuration, by precedence and among equals
// by their order.
type ruleset struct {
	rules []*rule
	// begin is the index of the first rule of each measure; the last entry is
	// the number of rules.
	begin [len(measures) + 1]int
	// Addresses, by certain networks alone and with those rules added that name
	// hosts.
	v4, v6, some4, some6 *ranges
	routes, methods      choices[string]
	status               choices[int]
	evidence             choices[Kind]
	// accept are the rules with limits on connections; observes says that there
	// are some to show observations to.
	accept   []*rule
	observes bool
	hosts    Hosts
	records  map[string]*ruleRecord
}

// builtin are the names of the rules that are always there.
var builtin = [...]string{RuleUnexpected, RuleSuspect, RuleOperator, RuleSiblings}

// newRuleset takes over the records of unchanged rules. ids are above last.
func newRuleset(c Config, previous *ruleset, lastID *uint32) *ruleset {
	s := &ruleset{hosts: c.Hosts, records: map[string]*ruleRecord{}}
	for _, name := range builtin {
		s.adopt(name, "", previous, lastID)
	}
	for _, r := range c.Rules {
		r = r.withDefaults(c)
		same := r
		same.Observe = false // who switches a rule on wants to see what it would have done
		record := s.adopt(r.Name, fmt.Sprintf("%+v", same), previous, lastID)
		s.rules = append(s.rules, &rule{Rule: r, ruleRecord: record})
	}
	slices.SortStableFunc(s.rules, func(a, b *rule) int { return precedence(a.Measure) - precedence(b.Measure) })
	s.index()
	return s
}

func (s *ruleset) adopt(name, text string, previous *ruleset, lastID *uint32) *ruleRecord {
	if previous != nil && previous.records[name] != nil && previous.records[name].text == text {
		s.records[name] = previous.records[name]
	} else {
		*lastID++
		s.records[name] = &ruleRecord{id: *lastID, text: text}
	}
	return s.records[name]
}

// index makes the ways to find rules by what a request has.
func (s *ruleset) index() {
	for i, r := range s.rules {
		r.index = i
		for m := precedence(r.Measure) + 1; m < len(s.begin); m++ {
			s.begin[m] = i + 1
		}
		if r.Limits.atAccept() {
			s.accept = append(s.accept, r)
		}
		s.observes = s.observes || r.counted() || r.Measure == Ignore
	}
	s.routes = newChoices(s.rules, func(r *rule) []string { return r.Match.Routes })
	s.methods = newChoices(s.rules, (*rule).methods)
	s.status = newChoices(s.rules, (*rule).statuses)
	s.evidence = newChoices(s.rules, func(r *rule) []Kind { return r.Match.Evidence })
	certain, some := newBitset(len(s.rules)), newBitset(len(s.rules))
	for i, r := range s.rules {
		switch {
		case len(r.Match.Peers)+len(r.Match.Hosts) == 0:
			certain.set(i)
			some.set(i)
		case len(r.Match.Hosts) > 0:
			some.set(i)
		}
	}
	s.v4, s.v6 = newRanges(s.rules, true, certain), newRanges(s.rules, false, certain)
	s.some4, s.some6 = newRanges(s.rules, true, some), newRanges(s.rules, false, some)
}

func (r *rule) methods() []string {
	methods := slices.Clone(r.Match.Methods)
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	return methods
}

func (r *rule) statuses() []int {
	var all []int
	for _, s := range r.Match.Status {
		for code := max(s.From, 0); code <= min(s.To, 999); code++ {
			all = append(all, code)
		}
	}
	return all
}

// record is that of the rule with the name. Bans of rules that are gone, and
// imported ones, are the operator's.
func (s *ruleset) record(name string) *ruleRecord {
	if r, ok := s.records[name]; ok {
		return r
	}
	return s.records[RuleOperator]
}

// query is what a request, an observation or a connection is matched by.
type query struct {
	set  *ruleset
	addr netip.Addr
	// sets are all that must be fit; where the first has rules with hosts, the
	// names have yet to be asked for.
	sets [5]bitset
}

// concerns says whether there may be a rule about the request: mostly not.
func (s *ruleset) concerns(r *Request) bool {
	return next(0, s.near(plain(r.address())), s.routes.of(r.Route), s.methods.of(r.Method)) >= 0
}

// request is the query of what is known before the request is served.
func (s *ruleset) request(addr netip.Addr, route, method string) query {
	q := s.peer(addr)
	q.sets[1], q.sets[2] = s.routes.of(route), s.methods.of(method)
	q.sets[3], q.sets[4] = q.sets[1], q.sets[1]
	return q
}

// concernsAnswer says whether there may be a rule about the answered request.
func (s *ruleset) concernsAnswer(o *Observation) bool {
	if !s.observes {
		return false
	}
	method, kind := o.words()
	return next(0, s.near(plain(o.address())), s.routes.of(o.Route), s.status.of(o.Status), s.methods.of(method), s.evidence.of(kind)) >= 0
}

// observation is the query of an answered request.
func (s *ruleset) observation(o *Observation) query {
	q := s.peer(o.address())
	method, kind := o.words()
	q.sets[1], q.sets[2] = s.routes.of(o.Route), s.methods.of(method)
	q.sets[3], q.sets[4] = s.status.of(o.Status), s.evidence.of(kind)
	return q
}

// words are the method and the kind of evidence that rules go by.
func (o *Observation) words() (method string, kind Kind) {
	if o.Evidence == nil {
		return o.Method, ""
	}
	return cmp.Or(o.Method, o.Evidence.Method), o.Evidence.Kind
}

// peer is the query of an address alone.
func (s *ruleset) peer(addr netip.Addr) query {
	q := query{set: s, addr: plain(addr)}
	for i := range q.sets {
		q.sets[i] = s.near(q.addr)
	}
	return q
}

// plain is an address without zone, and IPv4 where it is mapped.
func plain(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	return a.WithZone("").Unmap()
}

// near are the rules that a plain address fits as far as that is known without
// names, certain those that it fits by network.
func (s *ruleset) near(a netip.Addr) bitset {
	if a.Is4() {
		return s.some4.of(pointOf(a))
	}
	return s.some6.of(pointOf(a))
}

func (s *ruleset) certain(a netip.Addr) bitset {
	if a.Is4() {
		return s.v4.of(pointOf(a))
	}
	return s.v6.of(pointOf(a))
}

// first returns the first rule from index i on that fits, as far as that is
// known without names; nil for none. It stops before the index end.
func (q *query) first(i, end int) *rule {
	if i = next(i, q.sets[:]...); i < 0 || i >= end {
		return nil
	}
	return q.set.rules[i]
}

// is says whether the client is one of the rule's, which first returned; or
// that its name is pending.
func (q *query) is(r *rule) (yes, pending bool) {
	if len(r.Match.Hosts) == 0 || q.set.certain(q.addr).has(r.index) {
		return true, false
	}
	return q.set.hosts.Match(q.addr, r.Match.Hosts)
}

// all calls f for each rule of a measure that fits, until it returns false.
func (q *query) all(m Measure, f func(*rule) bool) {
	p := precedence(m)
	end := q.set.begin[p+1]
	for r := q.first(q.set.begin[p], end); r != nil; r = q.first(r.index+1, end) {
		if yes, _ := q.is(r); yes && !f(r) {
			return
		}
	}
}

// ignored says whether a rule spares the client, or may turn out to: its name
// is pending. served says that the request was answered; before that, rules
// that depend on the answer don't apply. count notes hits.
func (q *query) ignored(served, count bool) (yes, pending bool) {
	end := q.set.begin[1]
	for r := q.first(0, end); r != nil; r = q.first(r.index+1, end) {
		if r.counted() && !served {
			continue
		}
		is, waits := q.is(r)
		pending = pending || waits && !r.Observe
		if is && count && r.counted() == served { // each request counts once
			r.count(r.Observe)
		}
		yes = yes || is && !r.Observe
		if yes {
			return true, false
		}
	}
	return false, pending
}
