package proxy

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/flask2ban/flask2ban/routes"
)

// lanes let only a few unknown paths of one client be with the app at a time:
// the next waits until one is answered, and is then judged by what that was. So
// a scanner with many connections costs no more than one with few. There are
// no more lanes than requests in flight, and laneQueue wait in one at most.
type lanes struct {
	mu   sync.Mutex
	open map[netip.Prefix]lane
}

// lane is the lane of one client.
type lane struct {
	inside  int
	waiting []chan struct{} // in the order in which they came; closed when they may enter
}

// laneWidth is how many unknown paths of a client the app is asked at a time.
const laneWidth = 2

// laneQueue is how many more may wait: HTTP/2 makes waiting cheap for a client,
// 250 requests a connection.
const laneQueue = 250

// enter takes a place in the client's lane, and reports whether there was one
// before ctx ended. Where too many wait there is none.
func (l *lanes) enter(ctx context.Context, client netip.Prefix) bool {
	next, ok := l.queue(client)
	if next == nil {
		return ok
	}
	select {
	case <-next:
		return true
	case <-ctx.Done():
		l.quit(client, next)
		return false
	}
}

// queue takes a place, or says for what to wait; not ok is neither.
func (l *lanes) queue(client netip.Prefix) (next chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[netip.Prefix]lane{}
	}
	mine := l.open[client]
	switch {
	case mine.inside < laneWidth:
		mine.inside++
	case len(mine.waiting) >= laneQueue:
		return nil, false
	default:
		next = make(chan struct{})
		mine.waiting = append(mine.waiting, next)
	}
	l.open[client] = mine
	return next, true
}

// leave gives a place to the next one, or up.
func (l *lanes) leave(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.open[client]
	switch {
	case len(mine.waiting) > 0:
		close(mine.waiting[0])
		mine.waiting = slices.Delete(mine.waiting, 0, 1)
	case mine.inside == 1:
		delete(l.open, client)
		return
	default:
		mine.inside--
	}
	l.open[client] = mine
}

// quit ends waiting. Whoever got a place at that moment gives it up.
func (l *lanes) quit(client netip.Prefix, next chan struct{}) {
	l.mu.Lock()
	mine := l.open[client]
	at := slices.Index(mine.waiting, next)
	if at >= 0 {
		mine.waiting = slices.Delete(mine.waiting, at, at+1)
		l.open[client] = mine
	}
	l.mu.Unlock()
	if at < 0 {
		l.leave(client)
	}
}

// enter takes a place in the client's lane, and reports whether there was one;
// if not, the client has been told, or has left. Requests for what the table has
// are in no lane, and neither are those to an app that welcomes unknown paths.
func (x *exchange) enter() bool {
	if x.verdict.Kind != routes.UnexpectedPath || x.handler.manner.Load() == welcoming {
		return true
	}
	x.inLane = x.handler.lanes.enter(x, x.identity.Client)
	switch {
	case x.inLane:
	case x.Err() != nil:
		x.status = statusClientClosed
	default:
		x.overloaded()
	}
	return x.inLane
}

// leave gives the place up, if it has one.
func (x *exchange) leave() {
	if x.inLane {
		x.inLane = false
		x.handler.lanes.leave(x.identity.Client)
	}
}
