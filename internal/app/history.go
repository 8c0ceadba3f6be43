package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxEvents is how many events are kept.
const maxEvents = 100

// history is how the app is and was. It wakes those who wait for a change.
type history struct {
	mu      sync.Mutex
	places  []*place
	state   State
	changed chan struct{} // closed with the next change
	events  []Event
}

func newHistory() *history {
	return &history{state: State{Name: Starting, Since: time.Now()}, changed: make(chan struct{})}
}

// set changes a place's state and returns the app's.
func (h *history) set(p *place, change func(*State)) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, restarts := p.state.Name, p.state.Restarts
	change(&p.state)
	if p.state.Name != name {
		p.state.Since = time.Now()
	}
	h.state.Restarts += p.state.Restarts - restarts
	return h.update()
}

// accept sends requests to p from now on.
func (h *history) accept(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.accepting = true
	h.places = append(h.places, p)
	h.update()
}

// replace sends requests to successor instead of p, which may be nil as either.
func (h *history) replace(p, successor *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p != nil {
		p.accepting = false
	}
	if successor != nil {
		successor.accepting = true
		h.places = append(h.places, successor)
	}
	if p != nil && successor != nil {
		h.state.Restarts++
	}
	h.update()
}

// forget takes a place off that has ended.
func (h *history) forget(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places = slices.DeleteFunc(h.places, func(other *place) bool { return other == p })
	h.update()
}

// update makes the app's state of its places': that of the first that is
// ready, else of the first. h.mu is held.
func (h *history) update() State {
	best := bestOf(h.places)
	if best != nil && h.state.Name != Stopped {
		old := h.state
		h.state = best.state
		h.state.Restarts = old.Restarts
		if h.state.LastExit == "" {
			h.state.LastExit = old.LastExit
		}
		if h.state.Name == old.Name {
			h.state.Since = old.Since
		}
		h.state.Instances = instancesOf(h.places)
	}
	close(h.changed)
	h.changed = make(chan struct{})
	return h.state
}

func bestOf(places []*place) *place {
	var best *place
	for _, p := range places {
		switch {
		case best == nil:
			best = p
		case p.accepting && !best.accepting, p.accepting && p.state.Name == Ready && best.state.Name != Ready:
			best = p
		}
	}
	return best
}

func instancesOf(places []*place) []InstanceState {
	if len(places) < 2 {
		return nil
	}
	list := make([]InstanceState, 0, len(places))
	for _, p := range places {
		list = append(list, InstanceState{Name: p.state.Name, Since: p.state.Since, PID: p.state.PID})
	}
	return list
}

// only is the one place that requests go to; nil where there are others, or none.
func (h *history) only() *place {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.places) == 1 && h.places[0].accepting {
		return h.places[0]
	}
	return nil
}

// accepting are the places that requests go to: those that are ready, else all.
func (h *history) accepting() []*place {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ready, all []*place
	for _, p := range h.places {
		if !p.accepting {
			continue
		}
		all = append(all, p)
		if p.state.Name == Ready {
			ready = append(ready, p)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return all
}

// destined are the places that requests go to, or will as soon as they are
// ready.
func (h *history) destined() []*place {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.places), func(p *place) bool { return !p.accepting })
}

func (h *history) isReady(p *place) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.state.Name == Ready
}

// othersReady says whether another place than p has an instance that serves.
func (h *history) othersReady(p *place) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.places, func(other *place) bool { return other != p && other.state.Name == Ready })
}

// end is the last change of all.
func (h *history) end(reason string) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Name, h.state.Since, h.state.PID, h.state.Reason = Stopped, time.Now(), 0, reason
	return h.update()
}

func (h *history) note(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) >= maxEvents {
		h.events = append(h.events[:0], h.events[1:]...)
	}
	h.events = append(h.events, e)
}

func (h *history) now() (State, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, h.changed
}

// wait returns nil as soon as the app is ready.
func (h *history) wait(ctx context.Context) error {
	for {
		state, changed := h.now()
		switch state.Name {
		case Ready:
			return nil
		case CrashLoop:
			return &stateError{ErrCrashLoop, state}
		case Stopped:
			return &stateError{ErrStopped, state}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// stateError says why there is no instance. Its text is made only where it is
// read: under load most requests just want to know.
type stateError struct {
	kind  error
	state State
}

// Error implements error.
func (e *stateError) Error() string { return fmt.Sprintf("%v: %s", e.kind, e.state.explained()) }

// Unwrap gives ErrCrashLoop or ErrStopped.
func (e *stateError) Unwrap() error { return e.kind }

// explained is the reason with the end of the app's output.
func (s State) explained() string {
	text := s.Reason
	for _, line := range s.Output {
		text += "\n  " + line
	}
	return text
}

// State is how the app is now.
func (a *App) State() State {
	state, _ := a.history.now()
	return state
}

// Events are the last 100, oldest first.
func (a *App) Events() []Event {
	a.history.mu.Lock()
	defer a.history.mu.Unlock()
	events := slices.Clone(a.history.events)
	for i := range events {
		if t := events[i].toll; t != nil {
			events[i].Cost = t.String()
		}
	}
	return events
}
