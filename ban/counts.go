package ban

import (
	"time"
)

// Counts is what one rule has counted of a client: rules with a MaxRetry count
// over restarts, and over all engines with the same store.
type Counts struct {
	Rule  string `json:"rule"`
	Ticks []Tick `json:"ticks"`
}

// Tick is N matches at a time.
type Tick struct {
	At time.Time `json:"at"`
	N  int       `json:"n"`
}

// counting calls f for each rule that counts to more than one.
func (s *ruleset) counting(f func(*rule)) {
	for _, r := range s.rules {
		if r.MaxRetry > 1 {
			f(r)
		}
	}
}

// counts is what the rules have counted of a client here, and until when that
// matters.
func (t *states) counts(s *ruleset, k key) (all []Counts, expires time.Time) {
	s.counting(func(r *rule) {
		id := stateKey{r.id, k}
		shard := t.shard(id)
		defer shard.mu.Unlock()
		st := shard.m[id]
		if st == nil || len(st.matches) == 0 {
			return
		}
		c := Counts{Rule: r.Name}
		for _, m := range st.matches {
			c.Ticks = append(c.Ticks, Tick{m.at.UTC().Round(0), m.n})
		}
		all = append(all, c)
		expires = later(expires, c.Ticks[len(c.Ticks)-1].At.Add(r.FindTime))
	})
	return all, expires
}

// restore takes over what was counted of a client, here and elsewhere.
func (t *states) restore(now time.Time, s *ruleset, k key, own, others []Counts) {
	s.counting(func(r *rule) {
		mine, theirs := ticksOf(r, own), ticksOf(r, others)
		if len(mine)+len(theirs) == 0 {
			return
		}
		id := stateKey{r.id, k}
		shard := t.shard(id)
		defer shard.mu.Unlock()
		st := shard.get(id, now)
		st.matches, st.others = mine, theirs
	})
}

// ticksOf are those of one rule: as many as it needs, the latest.
func ticksOf(r *rule, all []Counts) (ticks []tick) {
	for _, c := range all {
		if c.Rule != r.Name {
			continue
		}
		for _, t := range c.Ticks[max(0, len(c.Ticks)-exact-1):] {
			ticks = append(ticks, tick{t.At, t.N})
		}
	}
	return ticks[:min(len(ticks), mostOtherTicks)]
}

// mostOtherTicks bounds what is remembered of others' matches of one rule.
const mostOtherTicks = 4 * exact

// hear replaces what others have counted of a client, and returns the rules that
// take their measure for it. The caller holds the client's shard.
func (t *states) hear(now time.Time, s *ruleset, k key, others []Counts) (reached []*rule) {
	s.counting(func(r *rule) {
		theirs := ticksOf(r, others)
		id := stateKey{r.id, k}
		shard := t.shard(id)
		defer shard.mu.Unlock()
		st := shard.m[id]
		if st == nil && len(theirs) == 0 {
			return
		}
		if st == nil {
			st = shard.get(id, now)
		}
		st.others = theirs
		if len(theirs) > 0 && st.sum(now, r.FindTime) >= r.MaxRetry && r.reach(now, st) {
			reached = append(reached, r)
		}
	})
	return reached
}

// reach begins the rule's measure where it is none of banning, and says whether
// it is that.
func (r *rule) reach(now time.Time, st *state) bool {
	switch {
	case r.Measure != Block:
		st.enforce(now.Add(r.FindTime), r.ruleRecord)
		return false
	case r.Observe:
		return false // told of with the next match
	}
	return true
}

// heard forgets what was counted towards a decision of others.
func (e *Engine) heard(p *policy, k key, n News) {
	switch {
	case !n.Decided:
	case n.Ban == nil:
		e.acquit(p, k)
	case p.rules.records[n.Ban.Rule] != nil:
		e.states.forget(stateKey{p.rules.records[n.Ban.Rule].id, k})
	}
}

// shareCount has a client saved for what a rule has counted of it.
func (e *Engine) shareCount(k key) {
	s, _ := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark(k, false)
}
