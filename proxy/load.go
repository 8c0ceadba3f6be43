package proxy

import (
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// Load is how busy the app is at one moment, for whoever supervises it. Behind
// our own limit the app's accept queue stays empty: Waiting counts as that.
type Load struct {
	// Waiting is how many requests wait for a slot, and LongestWait for how
	// long the first of them has.
	Waiting     int
	LongestWait time.Duration
	// InFlight is how many requests are with the app, those included whose
	// client has left and of which the app doesn't know.
	InFlight int
	// Limit is how many may be at a time; 0 means no limit.
	Limit int
	// Held is how many requests wait for an app that starts or is away.
	Held int
}

// Load says how busy the app is now.
func (h *Handler) Load() Load {
	l := h.gate.load(h.Now())
	l.Held = int(h.held.Load())
	return l
}

// Waiting is how many requests wait for a slot now.
func (h *Handler) Waiting() int {
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	return h.gate.queue.depth
}

// ClassDepths counts the waiting requests by class.
func (h *Handler) ClassDepths() map[ban.Class]int {
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	depths := make(map[ban.Class]int, classes)
	for class := range h.gate.queue.lines {
		depths[ban.Class(class)] = h.gate.queue.lines[class].n
	}
	return depths
}

// usual is what a route's requests take with the app, as it is learned: streams
// and other long transfers left out, waits in the queue too.
type usual struct {
	n    int
	mean time.Duration
}

const (
	// meanOf is the weight of one request in a mean, once there were as many.
	meanOf = 16
	// outlier is from how many times the mean on a request counts as less, once
	// there were soundOf: it stood behind another that kept the app. Requests that
	// do take as long bring the mean there all the same, a fifth more with each.
	outlier = 4
	soundOf = 4
)

// maxUsual bounds the routes that are told apart.
const maxUsual = 10_000

func (q *queue) usualOf(route string) *usual {
	if u := q.routes[route]; u != nil {
		return u
	}
	if q.routes == nil {
		q.routes = map[string]*usual{}
	}
	if len(q.routes) >= maxUsual {
		return &usual{}
	}
	u := &usual{}
	q.routes[route] = u
	return u
}

// note learns from a request that the app is done with.
func (q *queue) note(u *usual, took time.Duration) {
	if u.n >= soundOf && u.mean > 0 {
		took = min(took, outlier*u.mean)
	}
	q.completed++
	u.n++
	u.mean += (took - u.mean) / time.Duration(min(u.n, meanOf))
	q.mean += (took - q.mean) / time.Duration(min(int(q.completed), meanOf))
}

// load reads the gate.
func (g *gate) load(now time.Time) Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := &g.queue
	l := Load{
		Waiting: q.depth, InFlight: q.running.n, Limit: max(0, q.limit),
	}
	for class := range q.lines {
		for rank := range q.lines[class].ranks {
			if s := q.lines[class].ranks[rank].head; s != nil {
				l.LongestWait = max(l.LongestWait, now.Sub(s.since))
			}
		}
	}
	return l
}
