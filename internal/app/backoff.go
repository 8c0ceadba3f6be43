package app

import (
	"slices"
	"time"
)

// When to start an app again that has ended (supervision.md): the first time
// at once, then after 0.5 s, doubled up to 30 s, ± 20 %; forgotten after 60 s
// of health. Five failures in 60 s are a crash loop: a try every 30 s.
const (
	firstDelay   = 500 * time.Millisecond
	maxDelay     = 30 * time.Second
	delayJitter  = 0.2
	healthyAfter = 60 * time.Second
	loopFailures = 5
	loopWindow   = 60 * time.Second
)

// backoff says when to start again. It knows no clock.
type backoff struct {
	// random returns a number in [0, 1).
	random   func() float64
	failures []time.Time
	next     time.Duration
}

// failed is told that an instance has ended at now after it was healthy for
// some time (0: never ready). It returns how long to wait, and whether this is
// a crash loop; an instance that was well and was killed from outside is no
// sign of one.
func (b *backoff) failed(now time.Time, healthy time.Duration, outside bool) (wait time.Duration, loop bool) {
	if healthy >= healthyAfter {
		b.failures, b.next = nil, 0
	}
	b.failures = slices.DeleteFunc(b.failures, func(at time.Time) bool {
		return now.Sub(at) >= loopWindow && !b.looping()
	})
	if !outside {
		b.failures = append(b.failures, now)
	}
	if len(b.failures) > loopFailures {
		b.failures = b.failures[len(b.failures)-loopFailures:]
	}
	if b.looping() {
		return b.jitter(maxDelay), true
	}
	wait = b.jitter(b.next)
	b.next = min(max(2*b.next, firstDelay), maxDelay)
	return wait, false
}

// looping stays true until an instance was healthy: slow tries must not look
// like the end of the loop.
func (b *backoff) looping() bool { return len(b.failures) >= loopFailures }

func (b *backoff) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + delayJitter*(2*b.random()-1)))
}
