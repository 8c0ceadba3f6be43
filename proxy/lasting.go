package proxy

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// lasting are the answers that may go on for long: WebSockets, streams of
// events, downloads. No request of theirs comes by any more, so they are looked
// through for clients that were banned since.
type lasting struct {
	handler *Handler
	mu      sync.Mutex
	open    map[*exchange]func() // each ends one; it must not block
	timer   *time.Timer          // looks through them; nil while there are none
}

// lastingEvery is how long a banned client's answer goes on at most.
const lastingEvery = 500 * time.Millisecond

// add takes an answer in; end ends it from another goroutine.
func (l *lasting) add(x *exchange, end func()) {
	x.lasts = true
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[*exchange]func(){}
	}
	l.open[x] = end
	if l.timer == nil {
		l.timer = time.AfterFunc(lastingEvery, l.sweep)
	}
}

// remove forgets an answer that has ended. From then on nobody ends it.
func (l *lasting) remove(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, x)
}

// sweep ends what banned clients have open, and comes again while anything is.
// Bans that hold for some routes only end nothing (see ban.Engine.AtAccept).
func (l *lasting) sweep() {
	now := l.handler.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for x, end := range l.open {
		if !x.identity.Client.IsValid() {
			continue
		}
		if b, banned := l.handler.Engine.AtAccept(now, x.identity.Addr); banned {
			delete(l.open, x)
			end()
			l.handler.Metrics.Refused("close", b.Rule)
		}
	}
	l.timer = nil
	if len(l.open) > 0 {
		l.timer = time.AfterFunc(lastingEvery, l.sweep)
	}
}

// lastingConn is how a WebSocket ends. Unlike closing, a deadline never waits
// for what a client has not taken; its tunnel closes both sides then.
func lastingConn(conn net.Conn) func() {
	return func() { _ = conn.SetDeadline(past) } // fails where it is closed already
}

// follow takes the answer in, where it may last: what was read ahead is short.
func (x *exchange) follow(length []string) {
	if x.stream == nil || len(length) > 0 && !isLong(length) {
		return
	}
	x.handler.lasting.add(x, func() {
		x.stream.cut()
		http.NewResponseController(x.writer).SetWriteDeadline(past)
	})
}

// unfollow is the answer's end, before its writer is taken away.
func (x *exchange) unfollow() {
	if x.lasts {
		x.handler.lasting.remove(x)
	}
}
