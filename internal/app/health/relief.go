package health

import "time"

// Relief halves what is sent to a slow app at a time, before it is restarted:
// where its requests are in each other's way, fewer at a time are faster. It
// takes that back when the app is as fast as ever, and where it only costs
// answers, as with a database that is slow for each of them. The zero value is
// ready.
type Relief struct {
	on     bool
	before float64       // answers a second before it
	since  time.Duration // how long it has been on
	rest   time.Duration // how long it is not tried again
}

// The bounds of relief.
const (
	reliefTrial = 2 * PaceInterval
	// reliefWorse is the part of the answers from which on it has cost some.
	reliefWorse = 0.9
	reliefRest  = slowRestart
)

// Step takes the window with its newest pace, and whether requests wait, and
// says whether half as many are to be sent at a time from now on.
func (r *Relief) Step(w *Window, waiting bool) bool {
	if len(w.Paces) == 0 {
		return r.on
	}
	last := w.Paces[len(w.Paces)-1]
	switch {
	case r.rest > 0:
		r.rest -= last.Over
	case w.Slowness() == 0:
		*r = Relief{}
	case !r.on:
		r.on, r.before = true, recentAnswers(w.Paces).load()
	default:
		r.since += last.Over
		if r.since >= reliefTrial && waiting && last.load() < reliefWorse*r.before {
			*r = Relief{rest: reliefRest}
		}
	}
	return r.on
}
