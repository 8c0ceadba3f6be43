package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/internal/app/health"
)

// place is a listening socket with the instance behind it. The socket outlives
// its instances, so connections wait while there is none. Several places are
// several workers; a new version gets a new place, and the old one retires.
type place struct {
	app     *App
	socket  *socket
	current atomic.Pointer[instance] // nil between instances
	binding atomic.Pointer[binding]  // of current, or of the last one; nil before the first
	// launching says that there may be processes before there is a current.
	launching atomic.Bool
	over      atomic.Bool   // keepAlive has ended
	progress  atomic.Uint64 // see health.Sample
	relieved  atomic.Bool   // it gets half as many requests at a time; see health.Relief
	toll      atomic.Pointer[toll]
	// elsewhere is where the app listens by itself; nil while it has our
	// socket. It stays until the next instance serves: then requests that
	// meet nobody there come again.
	elsewhere atomic.Pointer[elsewhere]
	pace      pacing
	window    health.Window // of current, and the baseline of all; of keepAlive

	first bool // it opens the socket, where that is the app's own
	// trial places end with their first failure instead of trying again.
	trial bool
	ready chan struct{} // closed when an instance has served here
	once  sync.Once
	// retired is closed when no new request comes here.
	retired chan struct{}
	leave   sync.Once
	// renew has the event for which the instance ends and another starts.
	renew chan Event
	ended chan error // has one value when keepAlive is over

	flights int    // guarded by traffic.mu
	served  uint64 // guarded by traffic.mu; requests of this instance

	// blindTo is until when requests may have begun without our knowing, in
	// nanoseconds since 1970.
	blindTo atomic.Int64

	state     State // guarded by history.mu
	accepting bool  // guarded by history.mu
}

// newPlace opens a place; the first has the app's first socket, and all have
// the operator's.
func (a *App) newPlace(first bool) (*place, error) {
	p := &place{
		app: a, socket: a.socket, first: first,
		ready: make(chan struct{}), retired: make(chan struct{}), renew: make(chan Event, 1), ended: make(chan error, 1),
		state: State{Name: Starting, Since: time.Now()},
	}
	if first || a.socket.shared {
		return p, nil
	}
	var err error
	p.socket, err = socketFor(Config{})
	return p, err
}

// retire lets the place end as soon as its requests are done.
func (p *place) retire() { p.leave.Do(func() { close(p.retired) }) }

// close gives the socket up. The app's own goes with the app.
func (p *place) close() {
	if p.socket != p.app.socket {
		p.socket.close()
	}
}

// ending is how one instance ended.
type ending struct {
	exit     exit
	err      error // the instance could not be started at all
	ready    bool
	bound    bool
	hooked   bool // the hook was in a process of it
	healthy  time.Duration
	reason   string
	lastSaid []string
	// event is what was found and done by the detector; zero mostly.
	event Event
	oom   bool
}

// keepAlive runs one instance after the other until ctx ends, the place
// retires, or starting again makes no sense.
func (p *place) keepAlive(ctx context.Context) (err error) {
	defer func() {
		p.over.Store(true)
		p.app.history.forget(p)
		p.close()
		select {
		case p.ended <- err:
		default: // a trial has said why
		}
	}()
	if !p.awaitSocket(ctx) {
		return nil
	}
	back := &backoff{random: rand.Float64}
	for {
		end := p.runOnce(ctx)
		if ctx.Err() != nil || p.isRetired() {
			return nil
		}
		if err := p.app.isFinal(end); err != nil && !p.trial {
			return err
		}
		if p.trial && !end.ready {
			p.ended <- errors.New(end.reason + outputOf(end.lastSaid))
			return nil
		}
		p.trial = false
		p.app.giveUpVariables(end)
		var wait time.Duration
		if !p.app.servesItself(end) {
			wait = p.afterFailure(end, back)
		}
		if !p.sleep(ctx, wait) {
			return nil
		}
	}
}

// awaitSocket has all but the first instance wait until that has opened the
// app's own port: it would be in their way.
func (p *place) awaitSocket(ctx context.Context) bool {
	if p.first || p.trial {
		return true
	}
	select {
	case <-p.socket.open:
		return true
	case <-p.retired:
	case <-ctx.Done():
	}
	return false
}

func outputOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\n  " + strings.Join(lines, "\n  ")
}

func (p *place) isRetired() bool {
	select {
	case <-p.retired:
		return true
	default:
		return false
	}
}

// sleep reports whether to go on after d.
func (p *place) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-p.retired:
		return false
	case <-timer.C:
		return true
	}
}

// runOnce runs one instance to its end.
func (p *place) runOnce(ctx context.Context) ending {
	killed := oomKills()
	p.launching.Store(true)
	i, err := p.launch()
	p.current.Store(i)
	p.app.traffic.renew(p)
	p.launching.Store(false)
	if err != nil {
		return ending{err: err, reason: err.Error()}
	}
	p.change(func(s *State) { s.PID = i.pid })
	end := p.attend(ctx, i)
	i.finish(end.exit)
	end.bound, end.hooked = i.wasBound.Load(), i.hookSeen.Load()
	end.lastSaid = i.errors.last()
	end.oom = end.exit.status.Signaled() && oomKills() > killed
	if i.unheard() {
		p.blind()
	}
	p.current.Store(nil)
	i.board.close()
	if end.reason == "" {
		end.reason = p.app.explain(end)
	}
	if !end.blames() {
		p.app.traffic.pardon(i)
	}
	return end
}

// blind says that up to now requests may have begun here without our knowing.
func (p *place) blind() { p.blindTo.Store(time.Now().UnixNano()) }

// attend watches an instance until its first process has ended.
func (p *place) attend(ctx context.Context, i *instance) ending {
	starting, cancel := context.WithTimeout(ctx, p.app.config.StartTimeout)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- i.awaitReady(starting) }()
	select {
	case e := <-i.exited:
		cancel()
		<-ready
		return ending{exit: e}
	case err := <-ready:
		if err != nil {
			return p.notReady(ctx, i, err)
		}
	}
	if i.vouches() {
		p.app.vouched.Store(true)
	}
	close(i.settled)
	return p.whileReady(ctx, i)
}

// notReady ends an instance that takes too long, or because we are to end.
func (p *place) notReady(ctx context.Context, i *instance, err error) ending {
	if ctx.Err() != nil {
		p.change(func(s *State) { s.Name, s.Reason = Stopping, p.app.config.Program+" ends" })
		return ending{exit: i.stop(p.app.config.StopTimeout)}
	}
	reason := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		reason = fmt.Sprintf("it did not serve within %s%s", p.app.config.StartTimeout, i.whatIsOpen())
	}
	return ending{exit: i.stop(orphanGrace), reason: reason}
}

// whileReady looks after an instance that serves.
func (p *place) whileReady(ctx context.Context, i *instance) ending {
	since := time.Now()
	p.nowReady(i, since)
	m := newMonitor(p, i)
	defer m.close()
	tick := time.NewTicker(health.Interval)
	defer tick.Stop()
	for {
		select {
		case e := <-i.exited:
			return ending{exit: e, ready: true, healthy: time.Since(since)}
		case <-ctx.Done():
			p.change(func(s *State) { s.Name, s.Reason = Stopping, p.app.config.Program+" ends" })
			return ending{exit: i.stop(p.app.config.StopTimeout), ready: true, healthy: time.Since(since)}
		case <-p.retired:
			return p.drain(ctx, i)
		case event := <-p.renew:
			return p.yield(ctx, i, event, since)
		case now := <-tick.C:
			end, over := m.act(ctx, m.look(now))
			if !over {
				end, over = m.deaf(now)
			}
			if over {
				end.ready, end.healthy = true, time.Since(since)
				return end
			}
		}
	}
}

func (p *place) nowReady(i *instance, since time.Time) {
	p.change(func(s *State) {
		s.Name, s.Reason, s.Output = Ready, "", nil
		s.Launcher, s.Address = i.handedBy()
	})
	p.once.Do(func() { close(p.ready) })
	p.relieve(since)
	p.app.note(Event{Kind: Served, Seen: "the app serves",
		Done: fmt.Sprintf("ready %s after its start", since.Sub(i.started).Round(time.Millisecond))})
}

// drain ends an instance that another has taken over from: first the requests
// that it has, then SIGTERM.
func (p *place) drain(ctx context.Context, i *instance) ending {
	p.change(func(s *State) { s.Name, s.Reason = Stopping, "another instance has taken over" })
	return ending{exit: p.finish(ctx, i)}
}

// yield ends an instance before its successor starts; requests wait meanwhile.
func (p *place) yield(ctx context.Context, i *instance, event Event, since time.Time) ending {
	p.change(func(s *State) { s.Name, s.Reason = Restarting, event.Seen })
	return ending{exit: p.finish(ctx, i), ready: true, healthy: time.Since(since), reason: event.Seen, event: event}
}

// finish lets the requests of an instance end that gets no more.
func (p *place) finish(ctx context.Context, i *instance) exit {
	ctx, cancel := context.WithTimeout(ctx, p.app.config.StopTimeout)
	defer cancel()
	for p.app.traffic.at(p) > 0 {
		select {
		case e := <-i.exited:
			return e
		default:
		}
		if !sleep(ctx, readyPoll) {
			break
		}
	}
	return i.stop(p.app.config.StopTimeout)
}

func (p *place) change(change func(*State)) { p.app.change(p, change) }
