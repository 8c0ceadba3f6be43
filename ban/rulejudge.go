package ban

import (
	"fmt"
	"net/netip"
	"time"
)

// visit is one request on its way through the rules.
type visit struct {
	*Engine
	now time.Time
	p   *policy
	q   query
	r   Request
	key key
	// standing is asked for once, by bannable and free.
	standing *Standing
}

// admitByRules decides about a request where there are rules: who is ignored
// goes first, then bans, then rules that block, throttles (that of suspects
// too), and last the class.
func (e *Engine) admitByRules(now time.Time, p *policy, r Request) Decision {
	if !p.rules.concerns(&r) {
		return e.judge(now, p, r)
	}
	v := visit{Engine: e, now: now, p: p, r: r, key: p.client(keyOf(r.Client))}
	v.q = p.rules.request(r.address(), r.Route, r.Method)
	yes, pending := v.q.ignored(false, true)
	if yes || pending && e.wouldRefuse(now, p, &v) {
		return Decision{Class: Normal}
	}
	d := e.judge(now, p, r)
	if d.Refused() {
		return d
	}
	if d = v.block(d); d.Refused() {
		return d
	}
	if d = v.throttle(d); !d.Refused() {
		v.prioritize(&d)
	}
	return d
}

// address is the client's own where it is known, else its network's.
func (r *Request) address() netip.Addr { return orAddr(r.Addr, r.Client) }

func (o *Observation) address() netip.Addr { return orAddr(o.Addr, o.Client) }

func orAddr(a netip.Addr, p netip.Prefix) netip.Addr {
	if a.IsValid() {
		return a
	}
	return p.Addr()
}

// wouldRefuse says whether a ban or a rule's block stands against a client
// whose name is pending: it is served until that is known.
func (e *Engine) wouldRefuse(now time.Time, p *policy, v *visit) bool {
	if _, banned := e.inForce(now, p, v.key); banned {
		return true
	}
	blocked := false
	v.q.all(Block, func(r *rule) bool { blocked = !r.counted() && !r.Observe; return !blocked })
	return blocked
}

// stands says what may be done to the client.
func (v *visit) stands() Standing {
	if v.standing == nil {
		standing := v.p.Standing(v.r.Client.Addr())
		v.standing = &standing
	}
	return *v.standing
}

// block applies the rules that refuse what they match.
func (v *visit) block(d Decision) Decision {
	v.q.all(Block, func(r *rule) bool {
		switch {
		case r.counted() && !(r.Observe && v.states.marked(v.now, r, v.key)), v.stands() != Bannable:
			return true
		case r.Observe:
			r.count(true)
			d.note(r)
			return true
		}
		v.Waited(v.now, d, true)
		d = v.refuse(r)
		return false
	})
	return d
}

// note marks the decision as one that would have been another.
func (d *Decision) note(r *rule) {
	if !d.Observed {
		d.Observed, d.Penalty, d.Rule, d.Reason = true, r.Penalty, r.Name, r.reason()
	}
}

func (r *rule) reason() string { return fmt.Sprintf("rule %s", r.Name) }

// refuse is the decision of a rule that blocks: of a trap it makes a ban.
func (v *visit) refuse(r *rule) Decision {
	if r.BanTime > 0 {
		if b := v.banBy(v.now, v.p, r, v.key, r.reason()); b != nil {
			v.widen(v.now, v.p, b)
			d := v.p.refuse(v.now, b, 1)
			d.Banned = b
			return d
		}
	}
	r.count(false)
	id := stateKey{r.id, v.key}
	s := v.states.shard(id)
	defer s.mu.Unlock()
	st := s.get(id, v.now)
	st.refusals++
	return Decision{
		Action: Refuse, Class: Suspect, Penalty: r.Penalty, Rule: r.Name, Reason: r.reason(),
		RetryAfter: wholeSeconds(v.p.BanTime), Refusals: st.refusals,
	}
}

// banBy bans a client for what it did against a rule. It returns nil where the
// client is banned already, or can't be remembered.
func (e *Engine) banBy(now time.Time, p *policy, r *rule, k key, reason string) *Ban {
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.track(k, hash, now, tierBanned|rank(uint32(now.Unix())))
	if entry == nil {
		return nil
	}
	d := s.open(entry)
	if d.banned(now) || d.spared(now) {
		return nil
	}
	d.forget(now)
	d.last = now.UTC().Round(0)
	b := d.begin(now, p, verdict{rule: r.Name, reason: reason, penalty: r.Penalty, bantime: r.BanTime})
	r.bans.Add(1)
	s.account(d)
	s.shrink(now)
	s.mark(k, true)
	e.wake()
	return b
}

// prioritize gives the request the class of the first rule that has one for
// it. Suspects keep theirs.
func (v *visit) prioritize(d *Decision) {
	if d.Class == Suspect {
		return
	}
	v.q.all(Priority, func(r *rule) bool {
		if r.counted() && !v.states.marked(v.now, r, v.key) {
			return true
		}
		r.count(r.Observe)
		if r.Observe {
			return true
		}
		d.Class = r.Class
		return false
	})
}

// observeByRules shows an observation to the rules that count, after it was
// judged otherwise.
func (e *Engine) observeByRules(now time.Time, p *policy, q *query, o *Observation, out *Outcome) {
	k := p.client(keyOf(o.Client))
	for _, m := range measures[1:] {
		q.all(m, func(r *rule) bool {
			if r.counted() {
				e.match(now, p, r, k, o, out)
			}
			return out.Banned == nil || m != Block
		})
	}
}

// match notes a match of a rule that counts, and takes its measure when there
// were enough.
func (e *Engine) match(now time.Time, p *policy, r *rule, k key, o *Observation, out *Outcome) {
	reached := e.reached(now, p, r, k, o.pending)
	if r.MaxRetry > 1 {
		e.shareCount(k)
	}
	if !reached {
		return
	}
	if r.Measure != Block {
		return
	}
	switch standing := p.Standing(o.Client.Addr()); {
	case r.Observe:
		r.count(true)
		if out.Noted == nil && standing == Bannable {
			out.Noted = &Ban{Client: k.prefix(), Since: now, Until: now.Add(r.length(p)), Rule: r.Name, Reason: r.tally(), Penalty: r.Penalty, Observed: true}
		}
	case standing == SuspectOnly:
		out.Spared = true
	case standing == Bannable:
		if b := e.banBy(now, p, r, k, r.tally()); b != nil {
			r.count(false)
			out.Banned = b
		}
	}
}

// length is how long the rule's ban would last.
func (r *rule) length(p *policy) time.Duration {
	if r.BanTime > 0 {
		return r.BanTime
	}
	return p.BanTime
}

// tally says in words what brought a block about.
func (r *rule) tally() string {
	if r.MaxRetry > 1 {
		return fmt.Sprintf("rule %s: %d matching requests within %v", r.Name, r.MaxRetry, r.FindTime)
	}
	return r.reason()
}

// reached counts a match and says whether there are enough. The measure of a
// rule that doesn't ban is in force from then on; a counter that led to a block
// begins anew, and one whose block waits for a name does not.
func (e *Engine) reached(now time.Time, p *policy, r *rule, k key, pending bool) bool {
	id := stateKey{r.id, k}
	s := e.states.shard(id)
	defer s.mu.Unlock()
	st := s.get(id, now)
	if st.count(now, r) < r.MaxRetry {
		return false
	}
	switch {
	case r.Measure != Block:
		st.enforce(now.Add(r.FindTime), r.ruleRecord)
	case pending:
		return false
	case r.Observe:
		st.enforce(now.Add(r.length(p)), r.ruleRecord)
		st.matches, st.others = nil, nil
	default:
		st.matches, st.others = nil, nil
	}
	return true
}

// scope is what shares the rule's throttle with this request.
func (r *rule) scope(k key, route string) stateKey {
	switch r.Limits.Per {
	case PerRule:
		return stateKey{rule: r.id}
	case PerRoute:
		return stateKey{rule: r.id, key: key{hi: hashRoute(route), lo: 1}}
	}
	return stateKey{rule: r.id, key: k}
}
