package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/handover"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/store"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

// held is what only one process can have: the store, whose file is locked, and
// the command socket.
type held struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	store  ban.Store

	mu  sync.Mutex
	err error
}

// hold opens the store and the command socket and serves both until letGo.
func (s *service) hold(ctx context.Context) error {
	st, err := store.Open(ctx, s.config.Store, s.dir, store.WithLog(s.log))
	if err != nil {
		return err
	}
	if err := s.engine.Restore(ctx, st); err != nil {
		return errors.Join(err, st.Close())
	}
	local, err := state.Listen(ctx, s.dir)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	s.holdFor(st, part{"command socket", func(ctx context.Context) error { return s.admin.Serve(ctx, local) }})
	return nil
}

// holdFor serves the engine with a store, and parts beside it.
func (s *service) holdFor(st ban.Store, parts ...part) {
	ctx, cancel := context.WithCancel(context.Background())
	h := &held{cancel: cancel, store: st}
	parts = append(parts, part{"engine", func(ctx context.Context) error { return s.engine.Serve(ctx, st) }})
	for _, p := range parts {
		h.group.Go(func() {
			if err := p.run(ctx); err != nil {
				h.fail(err)
				select {
				case s.lost <- struct{}{}:
				default: // it is known
				}
			}
		})
	}
	s.held = h
}

func (h *held) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = errors.Join(h.err, err)
}

// awaitLoss returns when ctx ends or something that was held has failed; letGo
// says what.
func (s *service) awaitLoss(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.lost:
	}
	return nil
}

// letGo ends what hold began, after a last save.
func (s *service) letGo() error {
	h := s.held
	if h == nil {
		return nil
	}
	s.held = nil
	h.cancel()
	h.group.Wait()
	return errors.Join(h.err, h.store.Close())
}

// takeOver gets what only one process can have from a predecessor, if there is
// one, when the app is ready.
func (s *service) takeOver(ctx context.Context) error {
	if s.before == nil {
		return nil
	}
	if s.app != nil {
		if err := s.app.Wait(ctx); err != nil {
			return err
		}
	}
	if err := s.before.Ready(ctx); err != nil {
		return err
	}
	return s.hold(ctx)
}

// hearPredecessor tells it that we serve, and hears what it still finds out
// until its last requests are done.
func (s *service) hearPredecessor(ctx context.Context) error {
	if err := s.before.Serving(); err != nil {
		s.log.Warn("the predecessor can't be told that we serve", "error", err)
	}
	s.before.Heard(ctx, cmdline.Patience(s.config), func(data json.RawMessage) {
		var r ban.Record
		if err := json.Unmarshal(data, &r); err != nil {
			s.log.Warn("a record of the predecessor is lost", "error", err)
			return
		}
		s.engine.Take(time.Now(), ban.News{
			Record:  ban.Record{Client: r.Client, Ban: r.Ban, Spent: r.Spent, Last: r.Last, Others: ban.Share{Evidence: r.Evidence, More: r.More}},
			Decided: r.Ban != nil,
		})
	})
	<-ctx.Done()
	return nil
}

// upgradeOnSignal gives way to a new process at SIGUSR2; end begins our own end.
func (s *service) upgradeOnSignal(ctx context.Context, end func()) error {
	return cmdline.OnSignal(ctx, syscall.SIGUSR2, func() {
		if s.after != nil {
			s.after.Signal(syscall.SIGUSR2) // for our last requests we are still here
			return
		}
		s.log.Info("starting a successor")
		if err := s.upgrade(ctx); err != nil {
			s.log.Error("the successor did not take over; this process goes on", "error", err)
			return
		}
		s.log.Info("a successor has taken over", "pid", s.after.PID())
		cmdline.Name(s.manager, s.after, s.log)
		end()
	})
}

func (s *service) upgrade(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, s.config.StartTimeout+cmdline.TakeOverTime)
	defer cancel()
	sockets := handover.Sockets{}
	defer sockets.Close()
	if err := s.copySockets(sockets); err != nil {
		return err
	}
	next, err := handover.Start(wait, sockets, systemd.Watched())
	if err != nil {
		return err
	}
	if err := s.letGo(); err != nil {
		s.log.Warn("the last save before a successor", "error", err)
	}
	s.pauseKernel(true)
	if err := next.Go(wait); err != nil {
		s.pauseKernel(false)
		return errors.Join(err, s.hold(ctx))
	}
	s.after = next
	s.holdFor(successorStore{next})
	return nil
}

// pauseKernel leaves the packet filter to a successor, or takes it back.
func (s *service) pauseKernel(on bool) {
	if s.kernel != nil {
		s.kernel.Pause(on)
	}
}

// copySockets copies all that we listen on.
func (s *service) copySockets(to handover.Sockets) error {
	open := map[string]net.Listener{}
	for addr, l := range s.front.Sockets() {
		open[s.nameOf(addr)] = l
	}
	if s.adminAt != nil {
		open[adminSocket] = s.adminAt
	}
	if s.kernel != nil {
		open[kernelSocket] = s.kernel.Lock()
	}
	for name, l := range open {
		f, err := handover.Copy(l)
		if err != nil {
			return err
		}
		to[name] = f
	}
	return nil
}

// successorStore takes what the last requests bring to light to the successor.
type successorStore struct{ next *handover.Successor }

var _ ban.Store = successorStore{}

// Load implements ban.Store: the successor has everything.
func (successorStore) Load(context.Context, func(ban.Record) error) error { return nil }

// Save implements ban.Store.
func (s successorStore) Save(_ context.Context, records []ban.Record) error {
	for _, r := range records {
		if r.Empty() {
			continue
		}
		if err := s.next.Send(r); err != nil {
			return err
		}
	}
	return nil
}

// Close implements ban.Store.
func (successorStore) Close() error { return nil }
