package proxy

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A WSGI worker goes on with a request whose client has left: nothing tells it
// before it writes. So a connection on which an answer is still due is not
// closed but half-closed, and the slot held until the app answers or closes: a
// worker that has begun to answer notices at its next write. Servers that do
// watch their clients (ASGI) see the half-close as they would a close.

// Bounds of lingering.
const (
	maxLingers = 1024
	// lingerTime is when a worker is given up, as supervision gives up a
	// thread that is stuck.
	lingerTime = 2 * time.Minute
)

// lingers counts the connections that linger.
type lingers struct{ n atomic.Int32 }

// closer is a connection that can be half-closed.
type closer interface {
	net.Conn
	CloseWrite() error
}

// linger takes a connection over whose client has left, and ends the request's
// hold on its slot once the app is done with it. Where too many linger, it
// closes at once.
func (l *lingers) linger(ctx context.Context, c net.Conn) {
	x := exchangeOf(ctx)
	conn, ok := c.(closer)
	if !ok || x == nil || l.n.Add(1) > maxLingers {
		if ok && x != nil {
			l.n.Add(-1)
		}
		c.Close()
		return
	}
	x.slot.holds.Add(1)
	go func() {
		defer l.n.Add(-1)
		defer x.handler.gate.unhold(&x.slot)
		awaitEnd(conn)
	}()
}

// awaitEnd waits until the app answers or closes, and closes.
func awaitEnd(c closer) {
	defer c.Close()
	if c.CloseWrite() != nil || c.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	var b [1]byte
	_, _ = c.Read(b[:]) // whatever comes, the app is done
}

// uploaded notes that the app has the whole request.
func uploaded(r *http.Request) {
	if x := exchangeOf(r.Context()); x != nil {
		x.slot.phase.CompareAndSwap(phaseUpload, phaseView)
	}
}
