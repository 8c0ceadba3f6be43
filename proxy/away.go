package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// An app that someone else runs restarts, or starts later than we do. While it
// refuses connections nothing of a request is sent, so that any can wait. One
// goroutine connects for all of them, and says no word of HTTP, so that nothing
// is in the app's log.

// Times of connecting to an app of others.
const (
	// awayPoll is how often an app that is away is tried.
	awayPoll = 200 * time.Millisecond
	// lookEvery is how often Ready tries one that is there, at most.
	lookEvery = time.Second
	// lookTime is how long it waits. An app that is away is given as long as a
	// request would be: its name may take as long to be looked up.
	lookTime = 2 * time.Second
)

// reach says whether an app of others accepts connections.
type reach struct {
	addr string
	log  *slog.Logger
	// changed is told, where it is set, of an app that is away and why, and with
	// nil that it is back.
	changed func(why error)
	away    atomic.Pointer[absence] // nil while the app is there
	missed  chan struct{}           // has a word where away has begun

	looking sync.Mutex
	looked  time.Time // when Ready tried it
}

// absence is a time in which the app can't be reached.
type absence struct {
	why  error
	back chan struct{} // closed at its end
}

// Error implements error.
func (a *absence) Error() string { return "the app does not accept connections: " + a.why.Error() }

// newReach begins with an app that is away until it was reached once.
func newReach(addr string, log *slog.Logger) *reach {
	r := &reach{addr: addr, log: log, missed: make(chan struct{}, 1)}
	r.miss(errors.New("none was tried yet"))
	return r
}

// miss says that a connection failed because the app is not there.
func (r *reach) miss(why error) {
	if r.away.CompareAndSwap(nil, &absence{why, make(chan struct{})}) {
		r.missed <- struct{}{} // has room: watch took the last one before it ended that absence
	}
}

// absent says whether a connection failed because nobody is there: refused,
// unreachable, or of no known address. Not where it was not answered, as the
// accept queue of a busy app may be full, nor for a fault on our side, as too many
// open files.
func absent(err error) bool {
	var name *net.DNSError
	return errors.As(err, &name) && !name.Timeout() || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTDOWN)
}

// wait returns nil as soon as the app is there, or at ctx's end why it isn't.
func (r *reach) wait(ctx context.Context) error {
	for {
		gone := r.away.Load()
		if gone == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return gone
		case <-gone.back:
		}
	}
}

// watch tries an app that is away until it is back, each time; until ctx ends.
func (r *reach) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.missed:
			r.await(ctx)
		}
	}
}

// await ends the present absence. It is told of where the first try fails, too.
func (r *reach) await(ctx context.Context) {
	gone, began, told := r.away.Load(), time.Now(), false
	for err := r.connect(ctx, leanDialTime); err != nil; err = r.connect(ctx, leanDialTime) {
		if ctx.Err() != nil {
			return
		}
		r.away.Store(&absence{err, gone.back})
		if !told {
			r.log.Warn("the app does not accept connections; requests wait for it as long as --hold says", "error", err)
			r.tell(err)
			told = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(awayPoll):
		}
	}
	r.away.Store(nil)
	close(gone.back)
	if told {
		r.log.Info("the app accepts connections", "after", time.Since(began).Round(time.Millisecond))
		r.tell(nil)
	}
}

func (r *reach) tell(why error) {
	if r.changed != nil {
		r.changed(why)
	}
}

func (r *reach) connect(ctx context.Context, limit time.Duration) error {
	dialer := net.Dialer{Timeout: limit}
	conn, err := dialer.DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// known says why the app can't be reached, as far as is known; nil where it can.
func (r *reach) known() error {
	if gone := r.away.Load(); gone != nil {
		return gone
	}
	return nil
}

// ready is known after a look.
func (r *reach) ready(ctx context.Context) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	if r.known() == nil && time.Since(r.looked) >= lookEvery {
		if err := r.connect(ctx, lookTime); absent(err) {
			r.miss(err)
		}
		r.looked = time.Now()
	}
	return r.known()
}

// maxReturning is how many of the requests that have waited for an app are with
// it at a time, where no queue bounds them: new ones, whose clients are sure to be
// there, shall not stand behind a crowd. Below the shortest accept queue of a
// server (Werkzeug's 128).
const maxReturning = 32

// returning lets requests pass that have waited. nil lets all pass at once.
type returning chan struct{}

// giveWay gives back the place that the request has among those that have waited.
func (x *exchange) giveWay() {
	if x.returned != nil {
		x.returned()
	}
}

// enter waits for a place, which the func gives back. One whose answer has not
// begun after longAfter is not waited for.
func (r returning) enter(ctx context.Context) (leave func(), err error) {
	if r == nil {
		return func() {}, nil
	}
	select {
	case r <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = sync.OnceFunc(func() { <-r })
	time.AfterFunc(longAfter, leave)
	return leave, nil
}
