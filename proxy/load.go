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
	// Oldest is the oldest request that the app has whole and has not begun to
	// answer: no stream, upload, WebSocket or slow reader. Its zero value
	// means that there is none.
	Oldest OldestRequest
	// LastByte is when the app last sent something, LastDone when it was last
	// done with a request; zero before the first.
	LastByte, LastDone time.Time
	// Completed counts the requests that the app was done with, Took is the
	// sum of their times with the app, streams left out.
	Completed uint64
	Took      time.Duration
}

// OldestRequest is one that the app is at.
type OldestRequest struct {
	// Route is the rule's pattern, or "(none)".
	Route string
	// Age is how long the app has had it; Usual what its route usually takes.
	Age   time.Duration
	Usual Usual
}

// Usual is what the requests of one route take with the app: streams and other
// long transfers left out, waits in the queue too.
type Usual struct {
	// Count is how many there were; a route with few is cold.
	Count int
	// Mean follows the last few dozen; Max is the longest, forgotten by a
	// thousandth with each request.
	Mean, Max time.Duration
}

// Load says how busy the app is now.
func (h *Handler) Load() Load { return h.gate.load(h.Now()) }

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

// Usual says what a route's requests take, by its pattern.
func (h *Handler) Usual(route string) Usual {
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	if u := h.gate.queue.routes[route]; u != nil {
		return u.public()
	}
	return Usual{}
}

// usual is what a route takes, as it is learned.
type usual struct {
	n         int
	mean, max time.Duration
}

func (u *usual) public() Usual { return Usual{Count: u.n, Mean: u.mean, Max: u.max} }

// The weight of one request in a mean, once there were as many.
const meanOf = 16

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
	q.completed++
	q.took += took
	u.n++
	u.mean += (took - u.mean) / time.Duration(min(u.n, meanOf))
	u.max = max(took, u.max-u.max/1000)
	q.mean += (took - q.mean) / time.Duration(min(int(q.completed), meanOf))
}

// load reads the gate.
func (g *gate) load(now time.Time) Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := &g.queue
	l := Load{
		Waiting: q.depth, InFlight: q.running.n, Limit: max(0, q.limit),
		LastDone: q.lastDone, Completed: q.completed, Took: q.took, Oldest: q.oldest(now),
	}
	for class := range q.lines {
		for rank := range q.lines[class].ranks {
			if s := q.lines[class].ranks[rank].head; s != nil {
				l.LongestWait = max(l.LongestWait, now.Sub(s.since))
			}
		}
	}
	if at := g.lastByte.Load(); at != 0 {
		l.LastByte = time.Unix(0, at)
	}
	return l
}

// oldest finds the oldest request that is in a view.
func (q *queue) oldest(now time.Time) OldestRequest {
	for s := q.running.head; s != nil; s = s.next {
		if s.phase.Load() == phaseView {
			return OldestRequest{Route: s.route, Age: now.Sub(s.since), Usual: s.usual.public()}
		}
	}
	return OldestRequest{}
}
