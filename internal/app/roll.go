package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of [App.Roll].
var (
	errRolling = errors.New("the app is being replaced already")
	errOver    = errors.New("another instance took the place meanwhile")
)

// Roll replaces each instance by a new one, one after the other: the new one
// is ready before the old one gets no more requests, and then ends when its
// requests are done. why is for the history. Where a new instance does not
// start, the old one goes on, and the error says why. ctx bounds the waiting.
func (a *App) Roll(ctx context.Context, kind EventKind, why string) error {
	if !a.rolling.TryLock() {
		return errRolling
	}
	defer a.rolling.Unlock()
	return a.ask(ctx, func(ctx context.Context, begin func(*place)) error {
		for _, p := range a.history.accepting() {
			if err := a.replace(ctx, p, begin, kind, why); err != nil {
				return err
			}
		}
		return nil
	})
}

// ask has keepAlive do something, and waits for its end.
func (a *App) ask(ctx context.Context, do func(context.Context, func(*place)) error) error {
	o := order{do: do, done: make(chan error, 1)}
	select {
	case a.orders <- o:
	case <-a.closed:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rollLater has one place replaced, beside everything else.
func (a *App) rollLater(ctx context.Context, p *place, kind EventKind, why string) {
	do := func(ctx context.Context, begin func(*place)) error {
		a.rolling.Lock()
		defer a.rolling.Unlock()
		err := a.replace(ctx, p, begin, kind, why)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("the app was not replaced", "reason", why, "error", err)
		}
		return err
	}
	select {
	case a.orders <- order{do: do, done: make(chan error, 1)}:
	case <-ctx.Done():
	}
}

// replace puts a new place with a new instance beside p and lets p retire.
func (a *App) replace(ctx context.Context, p *place, begin func(*place), kind EventKind, why string) error {
	if p.isRetired() || p.over.Load() {
		return errOver
	}
	if a.config.NoOverlap || p.fixed() {
		select {
		case p.renew <- Event{Kind: kind, Seen: why, Done: "ended it"}:
		default: // it is about to
		}
		return nil
	}
	q, err := a.newPlace(false)
	if err != nil {
		return err
	}
	q.trial = true
	q.window.Baseline = p.window.Baseline
	began := time.Now()
	begin(q)
	select {
	case <-q.ready:
	case err = <-q.ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		q.retire()
		a.note(Event{Kind: kind, Seen: why, Done: "started another instance, which failed; the old one goes on: " + err.Error()})
		return fmt.Errorf("the new instance did not start, the old one goes on: %w", err)
	}
	a.history.replace(p, q)
	p.retire()
	a.log.Info("the app was replaced", "reason", why)
	a.note(Event{Kind: kind, Restart: true, Seen: why, Done: fmt.Sprintf("another instance took over %s later; the old one ends when its requests are done",
		time.Since(began).Round(time.Millisecond)), toll: p.trouble(false)})
	return nil
}

// mayRestartSlow says, at most once an hour, that a slow app may be restarted.
func (a *App) mayRestartSlow() bool {
	now := time.Now().UnixNano()
	last := a.slowAt.Load()
	return now-last >= int64(slowRestarts) && a.slowAt.CompareAndSwap(last, now)
}
