package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

const (
	readyPoll = 20 * time.Millisecond
	// hookPatience is how long an instance that accepts may take until the
	// hook says so: a server that the hook doesn't know never does.
	hookPatience = 500 * time.Millisecond
	// readersPatience is for the last output of processes that are gone.
	readersPatience = time.Second
)

// instance is one start of the app.
type instance struct {
	*child
	app      *App
	place    *place
	hookDir  string
	words    *words // the hook's
	started  time.Time
	hookSeen atomic.Bool
	wasBound atomic.Bool
	// board, direct: see [instance.vouches].
	hasBoard, indirect atomic.Bool
	binding            atomic.Pointer[binding]
	served             chan struct{} // closed when the hook has reported the url_map
	urlMap             routes.URLMap // the first report, once served is closed
	serve              sync.Once
	settled            chan struct{} // closed when it is ready, or has ended
	errors             tail
	stacks             stackReader
	pardoned           bool // guarded by traffic.mu, as abandoned
	abandoned          []abandoned
	hung               map[int]bool // processes that were killed because they hang
	pids               numberSet    // of processes that serve
	hookedIn           numberSet    // processes that have the hook
	strange            numberSet    // ports of other Flask apps than the entry app
	named              namedPort
	readers            sync.WaitGroup
	exited             chan exit
}

var _ listener = (*instance)(nil)

// launch starts the app once.
func (p *place) launch() (*instance, error) {
	order, err := p.app.orderFor(p)
	if err != nil {
		return nil, err
	}
	c, err := p.app.spawner.spawn(order, p.socket)
	if err != nil {
		return nil, err
	}
	i := &instance{
		child: c, app: p.app, place: p, hookDir: order.Cleanup, words: &words{pipe: c.pipe},
		named: order.named, started: time.Now(), served: make(chan struct{}), exited: make(chan exit, 1), settled: make(chan struct{}),
	}
	i.readAll()
	go func() { i.exited <- c.waitExit() }()
	return i, nil
}

// vouches says that a request which the hook has not announced did not begin:
// the hook runs in the process that has our socket, it has never failed to
// announce one, and nothing of the app's own runs before it.
func (i *instance) vouches() bool {
	select {
	case <-i.served:
		return i.wasBound.Load() && i.hasBoard.Load() && !i.indirect.Load() && !i.board.lost()
	default:
		return false
	}
}

// unheard says, of an instance that has ended, that it may have read requests
// without our knowing. One that ended before it served has read none where
// others of the same app vouch: the hook comes before the server.
func (i *instance) unheard() bool {
	select {
	case <-i.served:
		return !i.vouches()
	default:
		return !i.app.vouched.Load() || i.board.lost() || i.indirect.Load()
	}
}

// readAll reads what the app writes, until all of it has ended.
func (i *instance) readAll() {
	mark := fmt.Sprintf("app[%d] | ", i.pid)
	i.readers.Go(func() { i.words.read(i) })
	if i.port != nil {
		i.readers.Go(func() {
			if err := i.place.socket.receive(i.port); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
				i.app.log.Warn("the app's port can't be kept open while it restarts", "error", err)
			}
		})
	}
	i.readers.Go(func() {
		o := i.output(mark)
		o.each = func(string) {}
		o.read(i.stdout)
	})
	i.readers.Go(func() {
		trace := &tracebackReader{report: i.logged, now: time.Now}
		o := i.output(mark)
		o.each = func(line string) {
			i.stacks.line(line)
			if !isRequestLine(line) {
				i.errors.add(line)
			}
			trace.line(line)
		}
		o.read(i.stderr)
		trace.close()
	})
}

func (i *instance) output(mark string) *output {
	o := &output{to: i.app.output, mark: mark}
	if i.app.config.HideRequests {
		o.hide = func(line string) bool { return isRequestLine(line) || isBanner(line) }
	}
	return o
}

// finish returns when nothing of the instance is left and all it wrote has
// been read.
func (i *instance) finish(e exit) {
	i.waitGone(e)
	overdue := time.AfterFunc(readersPatience, i.closeReaders)
	i.readers.Wait()
	if !overdue.Stop() {
		i.indirect.Store(true) // something may have been said that we did not hear
	}
	i.closeReaders()
	removeHook(i.hookDir) // the guard has done it, unless it was killed
}

func (i *instance) closeReaders() {
	if i.port != nil {
		i.port.Close()
	}
	i.pipe.Close()
	i.stdout.Close()
	i.stderr.Close()
}

// awaitReady returns nil when the app serves: on our socket, or else on a port
// of its own. Where another instance accepts on the same socket, the hook's word
// is all that there is.
func (i *instance) awaitReady(ctx context.Context) error {
	if i.place.socket.shared && (i.app.history.othersReady(i.place) || i.app.takingOver.Load()) {
		select {
		case <-i.served:
			i.app.takingOver.Store(false)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if i.app.config.Listener != nil {
		return i.awaitSocket(ctx) // clients come there, so nothing else will do
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	onSocket, found := make(chan error, 1), make(chan *elsewhere, 1)
	go func() { onSocket <- i.awaitSocket(ctx) }()
	go func() { found <- i.discover(ctx) }()
	select {
	case err := <-onSocket:
		cancel()
		<-found
		if err == nil {
			i.place.serveAt(nil)
		}
		return err
	case e := <-found:
		if e == nil {
			return <-onSocket // the end of ctx
		}
		cancel()
		<-onSocket
		i.place.serveAt(e)
		return nil
	}
}

// awaitSocket returns nil when the app accepts on our socket and the hook, if
// there is one, has reported.
func (i *instance) awaitSocket(ctx context.Context) error {
	if err := i.awaitAccept(ctx); err != nil {
		return err
	}
	if !i.hookSeen.Load() {
		return nil
	}
	select {
	case <-i.served:
	case <-time.After(hookPatience):
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// awaitAccept puts one connection into the queue and returns when the queue
// gets shorter: then somebody accepts. No byte is sent, so no request is seen.
func (i *instance) awaitAccept(ctx context.Context) error {
	select {
	case <-i.place.socket.open:
	case <-ctx.Done():
		return ctx.Err()
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", i.place.socket.dial())
	if err != nil {
		return fmt.Errorf("ask the app's socket: %w", err)
	}
	defer conn.Close()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for peak := 0; ; {
		n, err := i.place.socket.queued()
		if err != nil {
			return err
		}
		if n < peak || n == 0 {
			return nil
		}
		peak = n
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stop ends the instance: SIGTERM to its process group, after grace SIGKILL to
// all that is left. It returns when the first process has ended.
func (i *instance) stop(grace time.Duration) exit {
	i.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case e := <-i.exited:
		return e
	case <-timer.C:
	}
	i.app.note(Event{Kind: Noted, Seen: fmt.Sprintf("the app did not end within %s of SIGTERM", grace), Done: "killed it"})
	i.kill()
	return <-i.exited
}

// What the hook says.

func (i *instance) hooked(pid int, board bool) {
	i.hookedIn.add(pid)
	i.hasBoard.Store(board && (i.hasBoard.Load() || !i.hookSeen.Load()))
	i.hookSeen.Store(true)
}

func (i *instance) bound(b binding) {
	i.binding.Store(&b)
	i.place.binding.Store(&b)
	i.wasBound.Store(true)
	i.app.tls.Store(b.tls)
	i.app.history.set(i.place, func(s *State) { s.Launcher = ByHook })
	i.app.log.Debug("the app's server has our socket", "server", b.server, "pid", i.pid)
}

func (i *instance) serving(u routes.URLMap, pid int, direct bool) {
	if b := i.binding.Load(); b != nil && b.server == "gunicorn" {
		u.Options.Server = "gunicorn"
	}
	i.pids.add(pid)
	if !direct {
		i.indirect.Store(true)
	}
	i.app.tellURLMap(u)
	i.serve.Do(func() {
		i.urlMap = u
		close(i.served)
	})
}

func (i *instance) other(port int) { i.strange.add(port) }

func (i *instance) counted(n int) { i.app.traffic.counted(i.place, n) }

func (i *instance) begun(pid int, id string) {
	i.pids.add(pid)
	i.app.traffic.begins(id, pid, i, time.Now())
}

func (i *instance) raised(e Exception) {
	i.app.tell(func() { i.app.exceptions.fromHook(e) })
}

// logged is told of an exception in the log.
func (i *instance) logged(e Exception) {
	patience := logPatience
	if !i.hookSeen.Load() {
		patience = 0
	}
	time.AfterFunc(patience, func() {
		i.app.tell(func() { i.app.exceptions.fromLog(e) })
	})
}

func (i *instance) problem(where, text string) {
	i.app.log.Warn("a part of the hook does not work in this app", "where", where, "error", text)
}
