package proxy

import (
	"net/netip"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// told are the direct peers that have been told of their ban. Whether the ban
// still holds is asked anew at each connection, so that an unban works at once.
type told struct {
	mu    sync.RWMutex
	until map[netip.Addr]time.Time
	swept time.Time // when those whose time is up were looked for
}

// maxTold bounds the peers remembered; beyond it they are refused in HTTP.
const maxTold = 100_000

// toldSweep is how often a full memory is looked through: a network of many
// addresses can fill it, and would else have all of it read for each request.
const toldSweep = time.Minute

func (t *told) add(peer netip.Addr, now, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.until == nil {
		t.until = map[netip.Addr]time.Time{}
	}
	if len(t.until) >= maxTold && now.Sub(t.swept) >= toldSweep {
		t.swept = now
		for a, end := range t.until {
			if !now.Before(end) {
				delete(t.until, a)
			}
		}
	}
	if len(t.until) < maxTold {
		t.until[peer] = until
	}
}

func (t *told) has(peer netip.Addr, now time.Time) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	until, ok := t.until[peer]
	return ok && now.Before(until)
}

func (t *told) remove(peer netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.until, peer)
}

// RefusePeer says whether a connection of this peer is to be closed before a
// byte of it is read: it is banned and has been told so often enough.
func (h *Handler) RefusePeer(peer netip.Addr) bool {
	now := h.Now()
	if !h.told.has(peer, now) {
		return false
	}
	b, ok := h.Engine.AtAccept(now, peer)
	if !ok {
		h.told.remove(peer)
		return false
	}
	h.Metrics.Refused("accept", b.Rule)
	return true
}

// tell notes a refusal: after enough of them the peer has been told.
func (h *Handler) tell(x *exchange) {
	until := x.decision.Until
	if until.IsZero() { // a rule's block has no end
		until = x.start.Add(x.decision.RetryAfter)
	}
	if x.identity.Direct && x.decision.Refusals >= ban.Explained {
		h.told.add(x.identity.Peer, x.start, until)
	}
}
