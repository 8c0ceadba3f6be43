package proxy

import (
	"net/netip"
	"sync"

	"github.com/flask2ban/flask2ban/routes"
)

// lanes let only a few unknown paths of one client be with the app at a time:
// the next waits until one is answered, and is then judged by what that was. So
// a scanner with many connections costs no more than one with few. There are
// no more lanes than requests in flight.
type lanes struct {
	mu   sync.Mutex
	open map[netip.Prefix]*lane
}

// lane is the lane of one client.
type lane struct {
	slots chan struct{}
	users int // requests in it, waiting or not
}

// laneWidth is how many unknown paths of a client the app is asked at a time.
const laneWidth = 2

// join adds a request to the client's lane.
func (l *lanes) join(client netip.Prefix) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[netip.Prefix]*lane{}
	}
	mine := l.open[client]
	if mine == nil {
		mine = &lane{slots: make(chan struct{}, laneWidth)}
		l.open[client] = mine
	}
	mine.users++
	return mine
}

// part takes it out again.
func (l *lanes) part(client netip.Prefix, mine *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(l.open, client)
	}
}

// enter takes a place in the client's lane, and reports whether the client is
// still there. Requests for what the table has are in no lane, and neither are
// those to an app that welcomes unknown paths.
func (x *exchange) enter() bool {
	if x.verdict.Kind != routes.UnexpectedPath || x.handler.manner.Load() == welcoming {
		return true
	}
	x.lane = x.handler.lanes.join(x.identity.Client)
	select {
	case x.lane.slots <- struct{}{}:
		x.inLane = true
		return true
	case <-x.Done():
		x.status = statusClientClosed
		return false
	}
}

// leave gives the place up.
func (x *exchange) leave() {
	if x.inLane {
		<-x.lane.slots
	}
	if x.lane != nil {
		x.handler.lanes.part(x.identity.Client, x.lane)
	}
}
