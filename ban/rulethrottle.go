package ban

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// throttle applies the rules that limit requests. d is the decision so far,
// which may be that a suspect has to wait.
func (v *visit) throttle(d Decision) Decision {
	v.q.all(Throttle, func(r *rule) bool {
		if r.Limits.Rate == 0 && r.Limits.InFlight == 0 || r.counted() && !v.states.marked(v.now, r, v.key) || v.stands() == Never {
			return true
		}
		d = v.limit(d, r)
		return !d.Refused()
	})
	if d.Refused() || d.Wait == 0 || d.ticket.waits {
		return d
	}
	if d.ticket.waits = v.waiters.enter(v.p, v.key); !d.ticket.waits {
		return v.turnAway(d, d.ticket.rule, d.Wait)
	}
	return d
}

// limit takes a place in one rule's throttle, or refuses.
func (v *visit) limit(d Decision, r *rule) Decision {
	id := r.scope(v.key, v.r.Route)
	s := v.states.shard(id)
	st := s.get(id, v.now)
	reservation, delay, ok := st.pass(v.now, v.p, r)
	if ok && r.Limits.InFlight > 0 {
		st.inFlight++
	}
	limit := st.shown(v.now, r)
	s.mu.Unlock()
	if !ok || delay > 0 {
		r.count(r.Observe)
	}
	switch {
	case !ok && r.Observe:
		if !d.Observed {
			d.Observed, d.Penalty, d.Rule, d.Reason, d.RetryAfter = true, TooMany, r.Name, tooMany(r.Name), wholeSeconds(delay)
		}
		return d
	case !ok:
		d = v.turnAway(d, r.Name, delay)
		d.Limit = limit
		return d
	}
	return d.hold(v.key, r, st, reservation, delay, limit)
}

// pass takes a place in the state's throttle. Where there is none it says how
// long until there may be.
func (st *state) pass(now time.Time, p *policy, r *rule) (reservation *rate.Reservation, delay time.Duration, ok bool) {
	if r.Limits.InFlight > 0 && st.inFlight >= r.Limits.InFlight {
		return nil, time.Second, false
	}
	if r.Limits.Rate == 0 {
		return nil, 0, true
	}
	if st.limiter == nil {
		st.limiter = rate.NewLimiter(rate.Limit(r.Limits.Rate), r.Limits.Burst)
	}
	reservation = st.limiter.ReserveN(now, 1)
	if delay = reservation.DelayFrom(now); delay > p.MaxWait {
		reservation.CancelAt(now)
		return nil, delay, false
	}
	return reservation, delay, true
}

// shown is what the client is told of the throttle.
func (st *state) shown(now time.Time, r *rule) Limit {
	if r.Observe || st.limiter == nil {
		return Limit{}
	}
	return limitOf(now, r.Name, st.limiter)
}

// hold adds a place in a throttle to what the request has.
func (d Decision) hold(k key, r *rule, st *state, reservation *rate.Reservation, delay time.Duration, limit Limit) Decision {
	if r.Limits.InFlight == 0 && r.Observe {
		return d
	}
	if d.ticket == nil {
		d.ticket = &ticket{client: k}
	}
	if r.Limits.InFlight > 0 {
		d.ticket.served = append(d.ticket.served, st)
	}
	if reservation != nil && !r.Observe {
		d.ticket.reservations = append(d.ticket.reservations, reservation)
	}
	if delay > d.Wait && !r.Observe {
		d.Action, d.Wait, d.ticket.rule = Wait, delay, r.Name
	}
	return d.show(limit)
}

// show keeps the limit with the least left.
func (d Decision) show(limit Limit) Decision {
	if limit.Policy != "" && (d.Limit.Policy == "" || limit.Remaining < d.Limit.Remaining || limit.Reset > d.Limit.Reset) {
		d.Limit = limit
	}
	return d
}

// turnAway refuses a request for a throttle, and gives back what it had.
func (v *visit) turnAway(d Decision, name string, delay time.Duration) Decision {
	if t := d.ticket; t != nil {
		v.Waited(v.now, d, true)
		t.cancel(v.now)
		v.Done(d)
	}
	return Decision{
		Action: Refuse, Class: d.Class, AnswerLocally: d.AnswerLocally, Penalty: TooMany, Rule: name,
		Reason: tooMany(name), RetryAfter: wholeSeconds(delay), Limit: d.Limit,
	}
}

func tooMany(rule string) string { return "too many requests: rule " + rule }

// Connection is a connection that rules count. The zero Connection is one that
// they don't.
type Connection struct {
	// Rule that refuses it; empty for none.
	Rule   string
	states []*state
}

// Refused says whether the connection is to be closed before anything is read.
func (c Connection) Refused() bool { return c.Rule != "" }

// Counted says whether Disconnect has something to do.
func (c Connection) Counted() bool { return len(c.states) > 0 }

// Connect decides about a new connection of a client, by the rules with limits
// on connections. It must be told once the connection that it admitted is
// closed, by Disconnect.
func (e *Engine) Connect(now time.Time, a netip.Addr) Connection {
	p := e.policy.Load()
	a = a.WithZone("").Unmap()
	if len(p.rules.accept) == 0 || !a.IsValid() || p.Standing(a) == Never {
		return Connection{}
	}
	q := p.rules.peer(a)
	if ignored, pending := q.ignored(false, false); ignored || pending {
		return Connection{}
	}
	k := p.client(keyOf(netip.PrefixFrom(a, a.BitLen())))
	var c Connection
	for _, r := range p.rules.accept {
		if !q.sets[0].has(r.index) || r.counted() && !e.states.marked(now, r, k) {
			continue
		}
		if yes, _ := q.is(r); yes && !e.connect(now, r, k, &c) {
			e.Disconnect(c)
			return Connection{Rule: r.Name}
		}
	}
	return c
}

// connect counts the connection for one rule. It returns false where the rule
// refuses it.
func (e *Engine) connect(now time.Time, r *rule, k key, c *Connection) bool {
	id := r.scope(k, "")
	s := e.states.shard(id)
	defer s.mu.Unlock()
	st := s.get(id, now)
	if r.Limits.ConnectionRate > 0 && st.connecting == nil {
		st.connecting = rate.NewLimiter(rate.Limit(r.Limits.ConnectionRate), secondsWorth(r.Limits.ConnectionRate))
	}
	full := r.Limits.Connections > 0 && st.open >= r.Limits.Connections
	if full || st.connecting != nil && !st.connecting.AllowN(now, 1) {
		r.count(r.Observe)
		return r.Observe
	}
	if r.Limits.Connections > 0 {
		st.open++
		c.states = append(c.states, st)
	}
	return true
}

// Disconnect tells that a connection is closed. It must be called once for each
// Connection that is Counted.
func (e *Engine) Disconnect(c Connection) {
	for _, st := range c.states {
		s := e.states.shard(st.id)
		st.open--
		s.mu.Unlock()
	}
}
