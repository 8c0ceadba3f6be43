package app

import (
	"context"
	"slices"
	"time"
)

// scale adds an instance or lets one retire.
func (a *App) scale(s *scaler, now time.Time, begin func(*place)) {
	if s.max <= s.min {
		return
	}
	places := a.history.destined()
	if slices.ContainsFunc(places, (*place).fixed) {
		return // only one can have its port
	}
	switch change, why := s.step(now, a.demand(places)); change {
	case 1:
		a.grow(why, begin)
	case -1:
		a.shrink(places, why)
	}
}

// demand is what the app has to do at present.
func (a *App) demand(places []*place) demand {
	d := demand{instances: len(places), asked: a.traffic.entered()}
	for _, p := range places {
		d.requests += a.traffic.working(p)
		if a.history.isReady(p) {
			d.ready++
		}
		if b := p.binding.Load(); b != nil {
			d.each = b.slots()
		}
	}
	if waiting := a.config.Waiting; waiting != nil {
		d.requests += waiting()
	}
	if a.config.Unseen && d.ready > 0 {
		d.requests = a.effort.requests(a, d)
	}
	return d
}

// effort stands for requests that do not pass through us. It belongs to the
// goroutine that scales.
type effort struct {
	work *Work
	used time.Duration
	at   time.Time
}

// requests are those that wait in the socket with all instances busy; where none
// waits, as many as keep a processor as busy as the app does.
func (e *effort) requests(a *App, d demand) int {
	if e.work == nil {
		e.work = a.Work()
	}
	used, _ := e.work.Used()
	now := time.Now()
	cores := (used - e.used).Seconds() / max(now.Sub(e.at), time.Millisecond).Seconds()
	e.used, e.at = used, now
	if n, err := a.socket.queued(); err == nil && n > 0 {
		return d.ready*d.slots() + n
	}
	return int(cores * float64(d.slots()))
}

// grow starts another instance; it gets requests as soon as it is ready.
func (a *App) grow(why string, begin func(*place)) {
	p, err := a.newPlace(false)
	if err != nil {
		a.log.Warn("no further instance of the app", "error", err)
		return
	}
	a.history.replace(nil, p)
	begin(p)
	a.log.Info("one instance of the app more", "reason", why)
	a.note(Event{Kind: Scaled, Seen: why, Done: "started another"})
}

// shrink ends the instance that was added last.
func (a *App) shrink(places []*place, why string) {
	last := places[len(places)-1]
	a.history.replace(last, nil)
	last.retire()
	a.log.Info("one instance of the app less", "reason", why)
	a.note(Event{Kind: Scaled, Seen: why, Done: "one ends when its requests are done"})
}

// working counts the requests that the app has and has not answered, streams
// left out.
func (t *traffic) working(p *place) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for f := t.first; f != nil; f = f.next {
		if f.place == p && f.answered.IsZero() && !f.Streams && f.client.IsZero() {
			n++
		}
	}
	return n
}

// reload replaces the app because its source has changed.
func (a *App) reload(ctx context.Context, why string) {
	if err := a.Roll(ctx, Reloaded, why); err != nil && ctx.Err() == nil {
		a.log.Error("the app's new version is refused", "seen", why, "error", err)
	}
}
