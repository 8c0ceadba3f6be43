package proxy

import (
	"net"
	"sync"
	"time"
)

// upgraded are the connections that have changed their protocol: WebSockets.
// No request of theirs comes by any more, so they are looked through for
// clients that were banned since.
type upgraded struct {
	handler *Handler
	mu      sync.Mutex
	open    map[*exchange]net.Conn
	timer   *time.Timer // looks through them; nil while there are none
}

// upgradedEvery is how long a banned client's WebSocket goes on at most.
const upgradedEvery = time.Second

// add takes a connection in.
func (u *upgraded) add(x *exchange, conn net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open == nil {
		u.open = map[*exchange]net.Conn{}
	}
	u.open[x] = conn
	if u.timer == nil {
		u.timer = time.AfterFunc(upgradedEvery, u.sweep)
	}
}

// remove forgets a connection that has ended.
func (u *upgraded) remove(x *exchange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, x)
}

// sweep ends what banned clients have open, and comes again while anything is.
// A deadline ends it: unlike closing, it never waits for what a client has not
// taken, and the ReverseProxy closes both sides then.
func (u *upgraded) sweep() {
	now := u.handler.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	for x, conn := range u.open {
		if !x.identity.Client.IsValid() {
			continue
		}
		if b, banned := u.handler.Engine.AtAccept(now, x.identity.Addr); banned {
			delete(u.open, x)
			_ = conn.SetDeadline(past) // fails where it is closed already
			u.handler.Metrics.Refused("close", b.Rule)
		}
	}
	u.timer = nil
	if len(u.open) > 0 {
		u.timer = time.AfterFunc(upgradedEvery, u.sweep)
	}
}
