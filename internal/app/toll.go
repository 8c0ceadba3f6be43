package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// toll is what one trouble of an instance cost users. It grows until the last
// request that met it has its answer, so it is read when somebody asks. Requests
// may meet a trouble before we know of it.
type toll struct {
	unseen bool // requests don't pass through us
	closed bool // the app has closed its port, which is its own

	mu                  sync.Mutex
	at                  time.Time // of the trouble's last change
	charged             bool      // an event shows it
	down                time.Time // since when there is no instance; zero: there is
	ended               bool      // what comes is another trouble's
	waited, again, lost int
	longest             time.Duration // of the waits
	away                time.Duration // without an instance, in the end
}

// tollFor is how long what happens belongs to one trouble.
const tollFor = 5 * time.Second

// String says it for people.
func (t *toll) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var counts []string
	for _, c := range []struct {
		n    int
		what string
	}{{t.waited, "waited"}, {t.again, "sent again"}, {t.lost, "lost"}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprint(c.n, " ", c.what))
		}
	}
	text := "no request waited or was lost"
	switch {
	case len(counts) > 0:
		text = "requests: " + strings.Join(counts, ", ")
	case t.unseen && t.closed:
		text = "connections are refused"
	case t.unseen:
		text = "connections wait in the kernel's queue"
	}
	if t.longest > 0 {
		text += fmt.Sprintf("; longest wait %s", t.longest.Round(time.Millisecond))
	}
	if t.away > 0 {
		text += fmt.Sprintf("; away for %s", t.away.Round(time.Millisecond))
	}
	return text
}

// count adds requests that waited, at most for longest, were sent again, or lost.
func (t *toll) count(waited, again, lost int, longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waited, t.again, t.lost = t.waited+waited, t.again+again, t.lost+lost
	t.longest = max(t.longest, longest)
}

// take gives the toll to an event; false where it has one.
func (t *toll) take(now time.Time, down bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.charged {
		return false
	}
	t.charged, t.at = true, now
	if down {
		t.down = now
	}
	return true
}

// over says that an instance serves. What no event has shown by now was no
// trouble: it waited for the app's first start.
func (t *toll) over(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.down.IsZero() {
		t.away, t.down, t.ended = now.Sub(t.down), time.Time{}, true
	}
	t.ended = t.ended || !t.charged
}

func (t *toll) stale(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended || t.down.IsZero() && now.Sub(t.at) > tollFor
}

// tollNow is what requests that fail or wait now are charged to.
func (p *place) tollNow() *toll {
	now := time.Now()
	for {
		t := p.toll.Load()
		if t != nil && !t.stale(now) {
			return t
		}
		if fresh := (&toll{unseen: p.app.config.Unseen, closed: p.elsewhere.Load() != nil, at: now}); p.toll.CompareAndSwap(t, fresh) {
			return fresh
		}
	}
}

// trouble is the toll of an event that is told now. down says that there is no
// instance from now on.
func (p *place) trouble(down bool) *toll {
	for now := time.Now(); ; {
		t := p.tollNow()
		if t.take(now, down) {
			return t
		}
		p.toll.CompareAndSwap(t, nil) // that was another trouble's
	}
}

// relieve charges what has waited at p up to now and waits no more.
func (p *place) relieve(now time.Time) {
	t := p.tollNow()
	n, longest := p.app.traffic.waiting(p, now)
	if waiting := p.app.config.Waiting; waiting != nil {
		n += waiting()
	}
	t.count(n, 0, 0, longest)
	t.over(now)
}

// waiting counts the requests at p that the app has not begun, but for those
// that are sent again, and says for how long the first has waited.
func (t *traffic) waiting(p *place, now time.Time) (n int, longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := t.first; f != nil; f = f.next {
		if f.place == p && f.toll == nil && f.begun.IsZero() && f.answered.IsZero() {
			n, longest = n+1, max(longest, now.Sub(f.sent))
		}
	}
	return n, longest
}

// Wait returns nil as soon as an instance is ready; an error that is
// [ErrCrashLoop] or [ErrStopped] says why none will be soon, with the end of
// the app's output.
func (a *App) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return a.history.wait(ctx) // somebody only asks
	}
	began, t := time.Now(), a.history.toll()
	err := a.history.wait(ctx)
	switch {
	case t == nil:
	case err == nil, errors.Is(err, context.Canceled):
		t.count(1, 0, 0, time.Since(began))
	default:
		t.count(0, 0, 1, time.Since(began))
	}
	return err
}

// toll is that of the instance for which everybody waits; nil where none is
// awaited.
func (h *history) toll() *toll {
	h.mu.Lock()
	defer h.mu.Unlock()
	best := bestOf(h.places)
	if best == nil || best.state.Name == Ready {
		return nil
	}
	return best.tollNow()
}

// fails notes that f's connection has failed before an answer.
func (t *traffic) fails(f *Flight, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.toll == nil {
		f.toll, f.failed = f.place.tollNow(), now
	}
}

// Lost says that the client gets no answer of the app's.
func (f *Flight) Lost() {
	if t := f.traffic; t != nil {
		t.fails(f, time.Now())
		f.toll.count(0, 0, 1, 0)
	}
}

// serves says that there is an instance, as far as the toll knows.
func (t *toll) serves() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.down.IsZero()
}
