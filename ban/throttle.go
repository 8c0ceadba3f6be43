package ban

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// gate throttles one suspect: its known URLs and the others apart.
type gate struct{ known, unknown *rate.Limiter }

func newGate(p *policy) *gate {
	limiter := func(r Rate) *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }
	return &gate{known: limiter(p.SuspectKnown), unknown: limiter(p.SuspectUnknown)}
}

// ticket is what a request holds while it waits or is served.
type ticket struct {
	client key
	// waits says that it has a place among the waiters; reservations are its
	// places in the throttles' order, given back by who leaves.
	waits bool
	// rule is the slowest of the rules' throttles.
	rule         string
	reservations []*rate.Reservation
	// served are the states that count it as in flight.
	served []*state
}

// waiters counts the requests that throttles hold, in all and by client.
type waiters struct {
	mu    sync.Mutex
	n     map[key]int
	total int
}

// enter takes a place for a request of the client, if there is one.
func (w *waiters) enter(p *policy, k key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n[k] >= p.Waiters || w.total >= p.WaitersAll {
		return false
	}
	w.n[k]++
	w.total++
	return true
}

func (w *waiters) leave(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.n[k]--; w.n[k] <= 0 {
		delete(w.n, k)
	}
}

func (w *waiters) all() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// throttle lets a suspect's request pass, wait or go away.
func (e *Engine) throttle(now time.Time, p *policy, client *dossier, known bool) Decision {
	limiter := client.gate.unknown
	if known {
		limiter = client.gate.known
	}
	d := Decision{Class: Suspect, AnswerLocally: true}
	if p.Observe {
		d = Decision{Class: Normal}
	}
	reservation := limiter.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	switch {
	case delay == 0:
	case delay > p.MaxWait, !p.Observe && !e.waiters.enter(p, client.key):
		reservation.CancelAt(now)
		d = refuseSuspect(p, d, delay)
	default:
		p.rules.records[RuleSuspect].count(p.Observe)
		if !p.Observe {
			d.Action, d.Wait = Wait, delay
			d.ticket = &ticket{client: client.key, waits: true, reservations: []*rate.Reservation{reservation}}
		}
	}
	if !p.Observe {
		d.Limit = limitOf(now, RuleSuspect, limiter)
	}
	return d
}

func refuseSuspect(p *policy, d Decision, delay time.Duration) Decision {
	p.rules.records[RuleSuspect].count(p.Observe)
	d.Penalty, d.Rule, d.Reason = TooMany, RuleSuspect, "too many requests of a suspect client"
	d.RetryAfter = wholeSeconds(delay)
	if p.Observe {
		d.Observed = true
	} else {
		d.Action = Refuse
	}
	return d
}

// Waited must be called exactly once for each decision with Action Wait: after
// the wait, or when the client went away meanwhile (left), whose place in the
// throttle is then given back. For other decisions it does nothing.
func (e *Engine) Waited(now time.Time, d Decision, left bool) {
	t := d.ticket
	if t == nil || !t.waits {
		return
	}
	t.waits = false
	e.waiters.leave(t.client)
	if left {
		t.cancel(now)
	}
}

func (t *ticket) cancel(now time.Time) {
	for _, r := range t.reservations {
		r.CancelAt(now)
	}
	t.reservations = nil
}

// Done must be called exactly once for each decision of Admit, when the request
// has ended, and after Waited: it no longer counts as in flight. For most
// decisions it does nothing.
func (e *Engine) Done(d Decision) {
	if d.ticket == nil {
		return
	}
	for _, st := range d.ticket.served {
		s := e.states.shard(st.id)
		st.inFlight--
		s.mu.Unlock()
	}
	d.ticket.served = nil
}

func limitOf(now time.Time, policy string, l *rate.Limiter) Limit {
	tokens, perSecond := l.TokensAt(now), float64(l.Limit())
	limit := Limit{Policy: policy, Quota: l.Burst(), Window: seconds(float64(l.Burst()) / perSecond)}
	if tokens >= 1 {
		limit.Remaining = int(tokens)
	} else {
		limit.Reset = seconds((1 - tokens) / perSecond)
	}
	return limit
}

// seconds is a duration of at most a year.
func seconds(s float64) time.Duration {
	return time.Duration(math.Min(s, 365*24*60*60) * float64(time.Second))
}

// wholeSeconds rounds up, as Retry-After has no fractions: one second at least.
func wholeSeconds(d time.Duration) time.Duration {
	return max(1, time.Duration(math.Ceil(d.Seconds()))) * time.Second
}
