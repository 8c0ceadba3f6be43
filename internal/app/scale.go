package app

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// When the number of instances changes. Growing is quick, for somebody waits;
// shrinking is slow, for what grew may be needed again.
const (
	scaleEvery  = 500 * time.Millisecond
	growAfter   = 2 * time.Second
	growPause   = 3 * time.Second // for the new one to take its part
	shrinkAfter = time.Minute
	// threadLoad is how many requests at one time are enough for an instance
	// whose server begins on all at once: Python runs one thread at a time.
	threadLoad = 4
)

// scaler says how many instances there should be. It knows no clock.
type scaler struct {
	min, max int
	busy     time.Time // since when all have enough to do; zero: they have not
	calm     time.Time // since when one less would do
	changed  time.Time
}

// step takes how many instances there are, how many requests they have and how
// many each takes at one time. It returns 1, 0 or -1.
func (s *scaler) step(now time.Time, instances, requests, each int) int {
	if each <= 0 {
		each = threadLoad
	}
	since(&s.busy, requests > instances*each, now)
	since(&s.calm, requests <= (instances-1)*each/2, now)
	switch {
	case instances < s.max && !s.busy.IsZero() && now.Sub(s.busy) >= growAfter && now.Sub(s.changed) >= growPause:
		s.changed, s.busy = now, time.Time{}
		return 1
	case instances > s.min && !s.calm.IsZero() && now.Sub(s.calm) >= shrinkAfter && now.Sub(s.changed) >= shrinkAfter:
		s.changed = now
		return -1
	}
	return 0
}

// since keeps from when on something holds.
func since(at *time.Time, holds bool, now time.Time) {
	switch {
	case !holds:
		*at = time.Time{}
	case at.IsZero():
		*at = now
	}
}

// scale adds an instance or lets one retire.
func (a *App) scale(s *scaler, now time.Time, begin func(*place)) {
	if s.max <= s.min {
		return
	}
	places := a.history.accepting()
	if slices.ContainsFunc(places, (*place).fixed) {
		return
	}
	requests, each := 0, 0
	for _, p := range places {
		requests += a.traffic.working(p)
		if i := p.current.Load(); i != nil {
			if b := i.binding.Load(); b != nil {
				each = max(1, b.processes) * b.threads
			}
		}
	}
	if waiting := a.config.Waiting; waiting != nil {
		requests += waiting()
	}
	switch s.step(now, len(places), requests, each) {
	case 1:
		a.grow(len(places), requests, begin)
	case -1:
		last := places[len(places)-1]
		a.history.replace(last, nil)
		last.retire()
		a.note(Event{Kind: Scaled, Seen: fmt.Sprintf("%d instances have little to do", len(places)), Done: "one ends when its requests are done"})
	}
}

// grow starts another instance; it gets requests as soon as it is ready.
func (a *App) grow(instances, requests int, begin func(*place)) {
	p, err := a.newPlace(false)
	if err != nil {
		a.log.Warn("no further instance of the app", "error", err)
		return
	}
	a.history.replace(nil, p)
	begin(p)
	a.note(Event{Kind: Scaled, Seen: fmt.Sprintf("%d requests at %d instances", requests, instances), Done: "started another"})
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
