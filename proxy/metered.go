package proxy

import (
	"net/netip"
	"sync"
)

// Connect says whether a new connection of this peer, or of the client that a
// trusted peer announced, is to be closed before a byte of it is read, since a
// rule limits connections. release is to be called when one that was let in is
// closed; nil means that there is no need.
func (h *Handler) Connect(peer netip.Addr) (release func(), refused bool) {
	c := h.Engine.Connect(h.Now(), peer)
	switch {
	case c.Refused():
		h.Metrics.Refused("accept", c.Rule)
		return nil, true
	case c.Counted():
		return func() { h.Engine.Disconnect(c) }, false
	}
	return nil, false
}

// lease is what a connection gives back when it is closed, which may happen
// before it was taken.
type lease struct {
	mu      sync.Mutex
	release func()
	closed  bool
}

// hold keeps release for the end, or calls it when that has come.
func (l *lease) hold(release func()) {
	l.mu.Lock()
	late := l.closed
	if !late {
		l.release = release
	}
	l.mu.Unlock()
	if late && release != nil {
		release()
	}
}

// end gives back, once.
func (l *lease) end() {
	l.mu.Lock()
	release := l.release
	l.release, l.closed = nil, true
	l.mu.Unlock()
	if release != nil {
		release()
	}
}
