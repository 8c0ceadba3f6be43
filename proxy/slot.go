package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/metrics"
)

// QueueConfig says how many requests the app gets at a time, and what becomes
// of the others. The zero value lets all pass.
type QueueConfig struct {
	// Slots is how many requests the app can work on at a time: its workers
	// times their threads. 0 means that it is not known, negative that it is
	// to be learned from Work; nil that it never will be known. It is asked
	// ten times a second at most.
	Slots func() int
	// Work is the processor time that the app's processes have used so far;
	// ok is false where there are none. nil leaves what is to be learned
	// unlimited.
	Work func() (used time.Duration, ok bool)
	// Size bounds the requests that wait; 0 means DefaultQueueSize.
	Size int
	// Wait is how long a request may wait; 0 means DefaultQueueWait.
	Wait time.Duration
}

// Defaults of [QueueConfig].
const (
	// DefaultQueueSize is the length of the app's accept queue (listen(2)).
	DefaultQueueSize = 4096
	DefaultQueueWait = 30 * time.Second
)

// slot is one request's place: among those that wait, or those with the app.
type slot struct {
	client netip.Prefix
	class  ban.Class
	route  string

	prev, next *slot // guarded by the gate, as all up to ready
	state      slotState
	rank       int       // how many of its client's are ahead
	order      uint64    // in which it began to wait
	since      time.Time // when it began to wait, or got the slot
	usual      *usual
	expected   time.Duration // of a waiting one: what it will take with the app
	long       bool          // not counted as work
	ready      chan struct{} // told when a waiting one is settled; nil where it need not wait

	phase    atomic.Uint32
	holds    atomic.Int32 // of the handler and of connections: the last gives the slot back
	released bool         // by the handler
}

type slotState uint8

const (
	slotNew slotState = iota
	slotWaiting
	slotRunning
	slotRefused
	slotDone
)

// The phases of a request with the app.
const (
	phaseView   uint32 = iota // the app has it whole and works on it
	phaseUpload               // its body is on the way
	phaseAnswer               // its answer is
)

func (s *slot) settle(to slotState) {
	s.state = to
	if s.ready != nil {
		s.ready <- struct{}{} // has room for the one
	}
}

// gate is the queue in use.
type gate struct {
	QueueConfig
	now   func() time.Time
	lines [classes]*metrics.QueueMetrics

	mu        sync.Mutex
	queue     queue
	timer     *time.Timer
	due       time.Time // when timer fires; zero: it doesn't
	learner   learner
	measuring bool
	limitAt   time.Time // when Slots was asked
}

func newGate(c QueueConfig, m *metrics.Metrics, now func() time.Time) *gate {
	g := &gate{QueueConfig: c, now: now}
	g.queue.size = orDefault(c.Size, DefaultQueueSize)
	g.queue.patience = orDefault(c.Wait, DefaultQueueWait)
	for _, class := range ban.Classes() {
		g.lines[class] = m.Queue(class.String())
	}
	return g
}

// acquire gets the request a slot, which release gives back. It reports
// whether there is one; if not, the client has been told, or has left.
func (g *gate) acquire(x *exchange) bool {
	s := &x.slot
	s.client, s.class, s.route = x.identity.Client, x.decision.Class, x.label()
	s.holds.Store(1)
	if hasBody(x.request) {
		s.phase.Store(phaseUpload)
	}
	now := g.now()
	g.mu.Lock()
	g.limit(now)
	g.queue.arrive(now, s)
	waits := s.state == slotWaiting
	if waits {
		s.ready = make(chan struct{}, 1)
		g.arm(now)
	}
	g.mu.Unlock()
	if waits {
		g.await(x, now)
	}
	switch s.state {
	case slotRunning:
		return true
	case slotRefused:
		x.overloaded()
	default:
		x.status = statusClientClosed
	}
	return false
}

// await waits until the request is settled or its client has left.
func (g *gate) await(x *exchange, since time.Time) {
	s := &x.slot
	x.waited = true
	line := g.lines[s.class]
	line.Enter()
	select {
	case <-s.ready:
	case <-x.Done():
		g.mu.Lock()
		g.queue.leave(s)
		g.mu.Unlock()
		if s.state == slotRunning { // it got a slot at the same moment
			g.release(s)
		}
	}
	x.queued = g.now().Sub(since)
	line.Leave(x.queued)
}

// release is the handler's end with the slot.
func (g *gate) release(s *slot) {
	if !s.released {
		s.released = true
		g.unhold(s)
	}
}

// unhold ends one hold on the slot; the last gives it back.
func (g *gate) unhold(s *slot) {
	if s.holds.Add(-1) != 0 {
		return
	}
	now := g.now()
	g.mu.Lock()
	g.queue.done(now, s)
	g.arm(now)
	g.mu.Unlock()
}

// lengthen marks a stream.
func (g *gate) lengthen(s *slot) {
	now := g.now()
	g.mu.Lock()
	g.queue.lengthen(now, s)
	g.arm(now)
	g.mu.Unlock()
}

// arm has tick called in time. It never puts off a call: where requests come
// and go all the time, none would be made. The caller holds mu.
func (g *gate) arm(now time.Time) {
	d := g.queue.wake(now)
	at := now.Add(d)
	if d == 0 || !g.due.IsZero() && !at.Before(g.due) {
		return
	}
	g.due = at
	if g.timer == nil {
		g.timer = time.AfterFunc(d, g.tick)
	} else {
		g.timer.Reset(d)
	}
}

func (g *gate) tick() {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = time.Time{}
	g.limit(now)
	g.queue.tick(now)
	g.arm(now)
}

// answering notes that the app has begun to answer.
func (x *exchange) answering(status int) {
	x.giveWay()
	x.slot.phase.Store(phaseAnswer)
	if status == http.StatusSwitchingProtocols || strings.HasPrefix(first(x.Header(), "Content-Type"), "text/event-stream") {
		x.handler.gate.lengthen(&x.slot)
	}
}

// overloadRetry is when a client that was refused for overload should ask
// again.
const overloadRetry = 5 * time.Second

// overloaded refuses a request for which there is no slot.
func (x *exchange) overloaded() {
	x.failed = true
	x.handler.Metrics.Refused("overload", "queue")
	x.retryAfter(overloadRetry)
	x.page(http.StatusServiceUnavailable, pageData{
		Title:   "The application is busy",
		Text:    "More people ask than it can answer just now. This page asks again by itself in a few seconds.",
		Refresh: int(overloadRetry / time.Second),
	})
}
