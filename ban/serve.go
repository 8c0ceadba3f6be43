package ban

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// saveEvery is how often scores are saved: half of the second that a crash
	// may cost, so that a slow disk has the other half.
	saveEvery = 500 * time.Millisecond
	// batch is how many records are saved at once.
	batch = 4096
	// longestPause is how many times saveEvery a store that doesn't work is
	// left alone at most.
	longestPause = 16
	// lastSave bounds the saving at the end.
	lastSave = 10 * time.Second
)

// ErrNotServing is returned by Flush when there is something to save but no
// Serve to save it.
var ErrNotServing = errors.New("ban: nothing is saved: Engine.Serve is not running")

// saver connects those who decide with the one goroutine that saves.
type saver struct {
	kick    chan struct{}
	retry   chan struct{} // a store that was away is back
	flushes chan chan error
	mu      sync.Mutex
	ended   chan struct{} // closed when Serve returns; nil while none runs
	loaded  Store
}

func newSaver() *saver {
	return &saver{kick: make(chan struct{}, 1), retry: make(chan struct{}, 1), flushes: make(chan chan error)}
}

// wake asks for a save at once.
func (e *Engine) wake() {
	select {
	case e.saver.kick <- struct{}{}:
	default:
	}
}

func (s *saver) restored(st Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = st
}

func (s *saver) begin(st Store) (loaded bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false, errors.New("ban: the engine is served already")
	}
	s.ended = make(chan struct{})
	return s.loaded == st, nil
}

func (s *saver) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ended)
	s.ended = nil
}

func (s *saver) running() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Serve loads the store, unless Restore has, and saves behind the engine until
// ctx ends: bans and unbans at once, scores at least each second. It returns
// after a last save, with that one's error. While the store doesn't work, what
// was to be saved is kept and tried again, less and less often.
func (e *Engine) Serve(ctx context.Context, st Store) (err error) {
	loaded, err := e.saver.begin(st)
	if err != nil {
		return err
	}
	defer e.saver.end()
	if !loaded {
		if err := e.Restore(ctx, st); err != nil {
			return err
		}
	}
	w := writer{engine: e, store: st, every: saveEvery}
	if shared, ok := st.(Shared); ok {
		w.every = sharedEvery
		stop := e.follow(ctx, shared)
		defer func() { err = errors.Join(err, stop()) }()
	}
	return w.run(ctx)
}

// Flush returns when all that was decided before the call is saved, or with
// the error of the store if that didn't work; it is then tried again.
func (e *Engine) Flush(ctx context.Context) error {
	ended := e.saver.running()
	if ended == nil {
		return e.unsaved()
	}
	reply := make(chan error, 1)
	select {
	case e.saver.flushes <- reply:
	case <-ended:
		return e.unsaved()
	case <-ctx.Done():
		return fmt.Errorf("ban: flush: %w", context.Cause(ctx))
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ban: flush: %w", context.Cause(ctx))
	}
}

// unsaved returns ErrNotServing where something waits to be saved.
func (e *Engine) unsaved() error {
	waiting, _ := e.collect()
	if len(waiting) == 0 {
		return nil
	}
	e.remark(waiting)
	return ErrNotServing
}

// writer is the state of Serve's goroutine.
type writer struct {
	engine *Engine
	store  Store
	every  time.Duration
	// err is the last save's; pause counts the ticks until the next attempt.
	err      error
	failures int
	pause    int
}

func (w *writer) run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return w.finish(ctx)
		case <-w.engine.saver.kick:
			if w.err == nil {
				w.save(ctx)
			}
		case <-w.engine.saver.retry:
			w.pause = 0
			w.save(ctx)
		case <-tick.C:
			w.tick(ctx)
		case reply := <-w.engine.saver.flushes:
			w.flush(ctx, reply)
		}
	}
}

// tick saves, unless the store is being left alone.
func (w *writer) tick(ctx context.Context) {
	if w.pause > 0 {
		w.pause--
		return
	}
	w.save(ctx)
}

// flush saves for all who wait for it, together.
func (w *writer) flush(ctx context.Context, reply chan error) {
	replies := []chan error{reply}
	for more := true; more; {
		select {
		case r := <-w.engine.saver.flushes:
			replies = append(replies, r)
		default:
			more = false
		}
	}
	if w.err == nil {
		w.save(ctx)
	}
	for _, r := range replies {
		r <- w.err
	}
}

// finish saves what is left; the caller's context is over.
func (w *writer) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
	defer cancel()
	w.save(ctx)
	if errors.Is(w.err, ErrAway) {
		return nil // the others have what was shared, and it was told
	}
	return w.err
}

// save writes all that waits, in batches, and reports when that begins to fail
// or to work again.
func (w *writer) save(ctx context.Context) {
	waiting, records := w.engine.collect()
	if len(waiting) == 0 {
		return
	}
	err := w.write(ctx, waiting, records)
	if err == nil {
		if w.failures > 0 && !errors.Is(w.err, ErrAway) {
			w.engine.policy.Load().StoreError(nil)
		}
		w.err, w.failures = nil, 0
		return
	}
	w.err = fmt.Errorf("ban: save: %w", err)
	w.pause = min(1<<min(w.failures, 10), longestPause)
	w.failures++
	if !errors.Is(err, ErrAway) {
		w.engine.policy.Load().StoreError(w.err)
	}
}

func (w *writer) write(ctx context.Context, waiting []pending, records []Record) error {
	for len(records) > 0 {
		n := min(batch, len(records))
		if err := w.store.Save(ctx, records[:n]); err != nil {
			w.engine.remark(waiting)
			return err
		}
		w.engine.settled(waiting[:n])
		waiting, records = waiting[n:], records[n:]
	}
	return nil
}
