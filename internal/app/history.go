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
	state   State
	changed chan struct{} // closed with the next change
	events  []Event
}

func newHistory() *history {
	return &history{state: State{Name: Starting, Since: time.Now()}, changed: make(chan struct{})}
}

// set changes the state. Since moves only with the name.
func (h *history) set(change func(*State)) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := h.state.Name
	change(&h.state)
	if h.state.Name != name {
		h.state.Since = time.Now()
	}
	close(h.changed)
	h.changed = make(chan struct{})
	return h.state
}

func (h *history) note(seen, done string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) >= maxEvents {
		h.events = append(h.events[:0], h.events[1:]...)
	}
	h.events = append(h.events, Event{At: time.Now(), Seen: seen, Done: done})
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
	return slices.Clone(a.history.events)
}
