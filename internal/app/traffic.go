package app

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/internal/app/health"
)

// Flight is one request on its way through the app: what the health of the
// app is judged by, and what proves whether it may be sent again. The zero
// value with the first fields set is ready for [App.Enter]; all methods do
// nothing on one that did not enter. It must not be copied.
type Flight struct {
	// ID is the [Forwarded.ID]. [App.Again] changes it.
	ID string
	// Method and Route say what is asked for; Route is a rule's pattern,
	// never a path.
	Method, Route string
	// Streams says that the answer may take any time: events, WebSockets.
	Streams bool

	traffic    *traffic
	place      *place
	prev, next *Flight

	// Guarded by traffic.mu.
	sent, begun, answered time.Time
	tried                 time.Time // when this try was sent; sent moves with the client's pauses
	client                time.Time // since when it waits for its client
	pid                   int
	by                    *instance // who has begun to read it
	conn                  net.Conn
	failed                time.Time // when its connection broke first
	toll                  *toll     // whose fault that was

	gaveUp atomic.Bool
	heard  atomic.Bool           // see HasBegun
	to     atomic.Pointer[place] // place, for those who connect
}

// traffic is all flights.
type traffic struct {
	mu          sync.Mutex
	first, last *Flight // in the order of sending
	byID        map[string]*Flight
	routes      map[string]*record
	requests    uint64
}

func newTraffic() *traffic {
	return &traffic{byID: map[string]*Flight{}, routes: map[string]*record{}}
}

// enter notes that f is being sent to p.
func (t *traffic) enter(f *Flight, p *place, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.traffic, f.place, f.sent, f.tried = t, p, now, now
	f.to.Store(p)
	f.prev = t.last
	if t.last != nil {
		t.last.next = f
	} else {
		t.first = f
	}
	t.last = f
	t.byID[f.ID] = f
	p.flights++
	p.served++
	t.requests++
}

// leave notes that f has its answer, or never will.
func (t *traffic) leave(f *Flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		t.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		t.last = f.prev
	}
	delete(t.byID, f.ID)
	f.conn = nil
	f.place.flights--
	f.place.progress.Add(1)
	t.abandon(f)
}

// maxAbandoned bounds what is remembered of requests without a client.
const maxAbandoned = 256

// abandon remembers a request that the app works on though its client has
// left: it may be what keeps all others waiting. t.mu is held.
func (t *traffic) abandon(f *Flight) {
	if f.begun.IsZero() || !f.answered.IsZero() || f.by == nil || f.by != f.place.current.Load() {
		return
	}
	if len(f.by.abandoned) >= maxAbandoned {
		f.by.abandoned = f.by.abandoned[1:]
	}
	f.by.abandoned = append(f.by.abandoned, abandoned{method: f.Method, route: f.Route, begun: f.begun, pid: f.pid})
}

// abandoned is a request whose client has left. When the app is done with it
// is not known: it explains a hang for as long as its route may take.
type abandoned struct {
	method, route string
	begun         time.Time
	pid           int
}

// again moves f to another place under another id, for a second try.
func (t *traffic) again(f *Flight, id string, p *place, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, f.ID)
	f.place.flights--
	f.ID, f.place = id, p
	f.to.Store(p)
	f.sent, f.tried, f.begun, f.pid, f.conn, f.client = now, now, time.Time{}, 0, nil, time.Time{}
	f.heard.Store(false)
	t.byID[id] = f
	f.toll.count(0, 1, 0, 0)
	p.flights++
}

// begins notes that a process has announced a request.
func (t *traffic) begins(id string, pid int, by *instance, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.byID[id]; f != nil {
		f.begun, f.pid, f.by = now, pid, by
		f.heard.Store(true)
	}
}

func (t *traffic) hasBegun(f *Flight) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !f.begun.IsZero()
}

func (t *traffic) triedAt(f *Flight) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.tried
}

// at counts the flights at a place.
func (t *traffic) at(p *place) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.flights
}

// entered counts all requests since the start.
func (t *traffic) entered() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requests
}

// renew says that p has a new instance.
func (t *traffic) renew(p *place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.served = 0
}

// counted adds requests that did not pass through us.
func (t *traffic) counted(p *place, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.served += uint64(max(0, n))
}

// served counts the requests that the instance of a place has had.
func (t *traffic) served(p *place) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.served
}

// quietest picks of places the one with the fewest flights.
func (t *traffic) quietest(places []*place) *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *place
	for _, p := range places {
		if best == nil || p.flights < best.flights {
			best = p
		}
	}
	return best
}

// look fills in what a sample says of the requests at p. announced means that
// the app announces each request as it begins to read it.
func (t *traffic) look(s *health.Sample, p *place, announced bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := t.first; f != nil; f = f.next {
		if f.place != p || f.gaveUp.Load() {
			continue
		}
		if !f.answered.IsZero() || f.Streams || !f.client.IsZero() {
			s.Held++
			continue
		}
		since := f.begun
		if since.IsZero() && announced {
			s.Queue++
			s.Waited = max(s.Waited, s.At.Sub(f.sent))
			continue
		}
		if since.IsZero() {
			since = f.sent
		}
		s.Running = append(s.Running, health.Request{Method: f.Method, Route: f.Route, Age: s.At.Sub(since), Usual: t.usual(f.Route), PID: f.pid})
	}
	if i := p.current.Load(); i != nil {
		for _, gone := range i.abandoned {
			s.Running = append(s.Running, health.Request{Method: gone.method, Route: gone.route, Age: s.At.Sub(gone.begun), Usual: t.usual(gone.route), PID: gone.pid})
		}
	}
	s.Progress = p.progress.Load()
}

// giveUp breaks the connections of requests at p that the app has had for
// longer than limit, and returns how many.
func (t *traffic) giveUp(p *place, limit time.Duration, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for f := t.first; f != nil; f = f.next {
		since := f.begun
		if since.IsZero() {
			since = f.sent
		}
		if f.place != p || !f.answered.IsZero() || f.Streams || !f.client.IsZero() || f.conn == nil || now.Sub(since) < limit {
			continue
		}
		if f.gaveUp.CompareAndSwap(false, true) {
			f.conn.SetDeadline(time.Unix(1, 0))
			n++
		}
	}
	return n
}

// Addr is where to send it, as "127.0.0.1:port"; empty outside an app of ours.
func (f *Flight) Addr() string {
	if f.traffic == nil {
		return ""
	}
	return f.place.address()
}

// Moved says that bytes went to or came from the app.
func (f *Flight) Moved() {
	if f.traffic != nil {
		f.place.progress.Add(1)
	}
}

// Answered says that the answer has begun: what comes from now on may take any
// time.
func (f *Flight) Answered() {
	t := f.traffic
	if t == nil {
		return
	}
	f.place.progress.Add(1)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.answered.IsZero() {
		f.answered = now
		if !f.failed.IsZero() {
			f.toll.count(0, 0, 0, now.Sub(f.failed))
		}
		t.learn(f, now)
	}
}

// AwaitsClient says whether it now waits for its client, as for the rest of an
// upload: that time is not the app's.
func (f *Flight) AwaitsClient(yes bool) {
	t := f.traffic
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case yes:
		f.client = time.Now()
	case !f.client.IsZero():
		// The app's time begins anew: how much of it had passed counts less
		// than never to blame it for a slow client.
		f.client, f.sent = time.Time{}, time.Now()
		if !f.begun.IsZero() {
			f.begun = f.sent
		}
	}
}

// On names the connection to the app, which is broken where the app takes
// longer than [Config.AnswerTimeout].
func (f *Flight) On(c net.Conn) {
	t := f.traffic
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.conn = c
}

// Begins says that the app has begun to work on it, or may have without
// anybody's knowing.
func (f *Flight) Begins() { f.heard.Store(true) }

// HasBegun says that the app is known to have begun, or is taken to have: its
// request is not sent again unless it may run twice.
func (f *Flight) HasBegun() bool { return f.heard.Load() }

// Provable says whether the app could be proved not to have begun, as long as
// nothing is heard of it.
func (f *Flight) Provable() bool {
	if f.traffic == nil {
		return true // it has not entered: nothing is known
	}
	i := f.place.current.Load()
	return i == nil || i.vouches() || f.place.current.Load() != i // it has ended meanwhile
}

// GivenUp says that the app took too long and was not waited for.
func (f *Flight) GivenUp() bool { return f.gaveUp.Load() }
