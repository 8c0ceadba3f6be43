package ban

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// gate throttles one suspect: its known URLs and the others apart.
type gate struct {
	known, unknown *rate.Limiter
	waiters        atomic.Int32
}

func newGate(p *policy) *gate {
	limiter := func(r Rate) *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }
	return &gate{known: limiter(p.SuspectKnown), unknown: limiter(p.SuspectUnknown)}
}

// ticket is a place among the waiters.
type ticket struct {
	gate        *gate
	reservation *rate.Reservation
}

// throttle lets a suspect's request pass, wait or go away.
func (e *Engine) throttle(now time.Time, p *policy, g *gate, known bool) Decision {
	limiter := g.unknown
	if known {
		limiter = g.known
	}
	d := Decision{Class: Suspect, AnswerLocally: true}
	if p.Observe {
		d = Decision{Class: Normal}
	}
	reservation := limiter.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	switch {
	case delay == 0:
	case delay > p.MaxWait, !p.Observe && !e.enter(p, g):
		reservation.CancelAt(now)
		d = refuseThrottled(p, d, delay)
	case !p.Observe:
		d.Action, d.Wait, d.ticket = Wait, delay, &ticket{gate: g, reservation: reservation}
	}
	d.Limit = limitOf(now, RuleSuspect, limiter)
	return d
}

// enter takes a place among the waiters, if there is one.
func (e *Engine) enter(p *policy, g *gate) bool {
	if g.waiters.Add(1) <= int32(p.Waiters) {
		if e.waiting.Add(1) <= int32(p.WaitersAll) {
			return true
		}
		e.waiting.Add(-1)
	}
	g.waiters.Add(-1)
	return false
}

func refuseThrottled(p *policy, d Decision, delay time.Duration) Decision {
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
	if d.ticket == nil {
		return
	}
	d.ticket.gate.waiters.Add(-1)
	e.waiting.Add(-1)
	if left {
		d.ticket.reservation.CancelAt(now)
	}
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

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// wholeSeconds rounds up, as Retry-After has no fractions: one second at least.
func wholeSeconds(d time.Duration) time.Duration {
	return max(1, time.Duration(math.Ceil(d.Seconds()))) * time.Second
}
