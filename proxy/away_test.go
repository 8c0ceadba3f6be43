package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// otherApp is an app of others, which comes and goes at one address.
type otherApp struct {
	*rig
	sidecar *Sidecar
	addr    string
	log     safeLog
	told    chan error
	view    http.HandlerFunc
	server  *httptest.Server
}

// safeLog is a log that two goroutines may use.
type safeLog struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// newOtherApp is away at first.
func newOtherApp(t *testing.T, view http.HandlerFunc, change func(*Config)) *otherApp {
	t.Helper()
	addr, err := testbed.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	o := &otherApp{addr: addr, told: make(chan error, 100), view: view}
	upstream := &url.URL{Scheme: "http", Host: addr}
	o.sidecar = NewSidecar(upstream, slog.New(slog.NewTextHandler(&o.log, nil)), func(why error) { o.told <- why })
	o.rig = newRig(t, flask, func(c *Config, _ *ban.Config) {
		c.App, c.Upstream, c.Now, c.Hold = o.sidecar, upstream, nil, time.Minute
		if change != nil {
			change(c)
		}
	})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.sidecar.Serve(ctx) }()
	t.Cleanup(func() { end(); <-ended; o.goes() })
	return o
}

// comes has the app accept connections.
func (o *otherApp) comes(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	o.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.UserAgent(), "flask2ban") {
			http.NotFound(w, r) // a random path, asked by ourselves
			return
		}
		o.asked.Add(1)
		o.view(w, r)
	}))
	o.server.Listener = l
	o.server.Start()
}

// goes has it refuse them.
func (o *otherApp) goes() {
	if o.server != nil {
		o.server.CloseClientConnections()
		o.server.Close()
		o.server = nil
	}
}

func (o *otherApp) ready() bool { return o.sidecar.Ready(context.Background()) == nil }

func repeats(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }

// TestRequestsWaitForAnAppOfOthers that starts later than we do, and that restarts:
// of any method, each once.
func TestRequestsWaitForAnAppOfOthers(t *testing.T) {
	o := newOtherApp(t, repeats, nil)
	for round := range 3 {
		await(t, "it is known to be away", func() bool { return !o.ready() })
		var answers []chan int
		for n, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			answers = append(answers, o.ask(t.Context(), method, "/post", strings.NewReader(strings.Repeat("x", n*10_000))))
		}
		await(t, "all wait", func() bool { return o.handler.Load().Held == len(answers) })
		o.comes(t)
		for _, got := range answers {
			if status := <-got; status != http.StatusOK {
				t.Errorf("round %d: got %d", round, status)
			}
		}
		await(t, "it is ready", o.ready)
		if n := o.handler.held.Load(); n != 0 {
			t.Errorf("%d are still held", n)
		}
		o.goes()
	}
	if n := o.asked.Load(); n != 12 {
		t.Errorf("the app was asked %d times for 12 requests", n)
	}
}

// TestFirstToFindItAway: a request that is refused is sent once the app is back, also over
// connections that were kept, and as often as it comes and goes.
func TestFirstToFindItAway(t *testing.T) {
	o := newOtherApp(t, repeats, nil)
	o.comes(t)
	for round := range 2 * maxResend {
		if w := o.do("192.0.2.1", "GET", "/"); w.Code != http.StatusOK {
			t.Fatalf("round %d: %d", round, w.Code)
		}
		o.goes()
		get, post := o.ask(t.Context(), "GET", "/", nil), o.ask(t.Context(), "POST", "/post", strings.NewReader("body"))
		await(t, "both wait", func() bool { return o.handler.Load().Held == 2 })
		o.comes(t)
		if a, b := <-get, <-post; a != http.StatusOK || b != http.StatusOK {
			t.Errorf("round %d: GET %d, POST %d", round, a, b)
		}
	}
}

// TestAwayForTooLong is told, when to ask again, too.
func TestAwayForTooLong(t *testing.T) {
	for _, hold := range []time.Duration{0, 300 * time.Millisecond} {
		o := newOtherApp(t, repeats, func(c *Config) { c.Hold = hold })
		o.comes(t)
		await(t, "it is ready", o.ready)
		o.goes()
		for _, method := range []string{"GET", "POST", "GET"} { // the first finds out
			w := o.do("192.0.2.1", method, "/post")
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "The application is away") {
				t.Errorf("%s with --hold %s: %d %v %s", method, hold, w.Code, w.Header(), w.Body)
			}
		}
		if n := len(o.engine.Bans(o.handler.Now())); n != 0 {
			t.Errorf("%d bans of who asked an app that is away", n)
		}
	}
}

// TestWhoWaitsForTheAppMayLeave, and nothing of it stays.
func TestWhoWaitsForTheAppMayLeave(t *testing.T) {
	o := newOtherApp(t, repeats, nil)
	ctx, leave := context.WithCancel(t.Context())
	for range 10 {
		o.ask(ctx, "GET", "/", nil)
	}
	await(t, "they wait", func() bool { return o.handler.Load().Held == 10 })
	leave()
	await(t, "nobody waits", func() bool { return o.handler.Load().Held == 0 })
	o.comes(t)
	await(t, "it is ready", o.ready)
	if n := o.asked.Load(); n != 0 {
		t.Errorf("the app was asked %d times for clients that had left", n)
	}
}

// TestAReturnIsNoFlood: of a crowd that has waited the app gets some at a time, those who
// come now need not stand behind it, and where the app has a queue it is bounded by that alone.
func TestAReturnIsNoFlood(t *testing.T) {
	var now, most atomic.Int32
	free := make(chan struct{})
	o := newOtherApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2020" {
			return
		}
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		<-free
	}, nil)
	const crowd = 4 * maxReturning
	var answers []chan int
	for range crowd {
		answers = append(answers, o.ask(t.Context(), "GET", "/", nil))
	}
	await(t, "all wait", func() bool { return o.handler.Load().Held == crowd })
	o.comes(t)
	await(t, "the app has some", func() bool { return now.Load() == maxReturning })
	if w := o.do("192.0.2.1", "GET", "/2020"); w.Code != http.StatusOK {
		t.Errorf("who comes now got %d", w.Code)
	}
	if n := most.Load(); n > maxReturning {
		t.Errorf("%d were with the app at a time, want %d at most", n, maxReturning)
	}
	close(free)
	for _, got := range answers {
		if status := <-got; status != http.StatusOK {
			t.Errorf("one who has waited got %d", status)
		}
	}
	queued := newOtherApp(t, repeats, func(c *Config) { c.Queue.Slots = func() int { return 2 } })
	if queued.handler.returning != nil {
		t.Error("an app with a queue is bounded twice")
	}
}

// TestAStuckOneGivesItsPlaceUp after a while, and only once.
func TestAStuckOneGivesItsPlaceUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := make(returning, 1)
		if _, err := r.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		leave, err := r.enter(t.Context())
		if took := time.Since(began); err != nil || took != longAfter {
			t.Errorf("the second entered after %v, %v; want %v", took, err, longAfter)
		}
		leave()
		if _, err := r.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		leave() // again
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := r.enter(ended); err == nil {
			t.Error("one whose time is over has entered a full place")
		}
	})
}

// TestReadinessSaysNoWord to the app, and does not connect more often than once a second.
func TestReadinessSaysNoWord(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(conn) // an error is an end, too
			heard <- string(all)
			conn.Close()
		}
	}()
	r := newReach(l.Addr().String(), slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.watch(ctx) }()
	defer func() { end(); <-ended }()
	await(t, "it is found", func() bool { return r.known() == nil })
	began := time.Now()
	for range 1000 {
		if err := r.ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	most := 2 + int(time.Since(began)/lookEvery)
	for range 2 { // by watch, by ready
		if said := <-heard; said != "" {
			t.Errorf("the app heard %q", said)
		}
	}
	if more := len(heard) + 2; more > most {
		t.Errorf("%d connections, want %d at most", more, most)
	}
}

// TestAbsenceIsToldOnce, its end too; and a refusal that is over at once not at all.
func TestAbsenceIsToldOnce(t *testing.T) {
	o := newOtherApp(t, repeats, func(c *Config) { c.Hold = 10 * time.Millisecond })
	if why := <-o.told; why == nil {
		t.Error("told of an app that is there")
	}
	for range 20 {
		o.do("192.0.2.1", "GET", "/")
	}
	if err := o.sidecar.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), o.addr) {
		t.Errorf("not ready: %v", err)
	}
	o.comes(t)
	if why := <-o.told; why != nil {
		t.Errorf("told of %v", why)
	}
	o.sidecar.reach.miss(syscall.ECONNREFUSED)
	await(t, "it is back", func() bool { return o.sidecar.Away() == nil })
	log := o.log.String()
	if n := strings.Count(log, "does not accept connections"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
	if n := strings.Count(log, "the app accepts connections"); n != 1 || len(o.told) > 0 {
		t.Errorf("its return was told %d times:\n%s", n, log)
	}
}

// TestWhatIsAbsence: nobody there, as opposed to an app that is busy and to our own faults.
func TestWhatIsAbsence(t *testing.T) {
	dial := func(err error) error {
		return errUnsent{&net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connect: %w", err)}}
	}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{dial(syscall.ECONNREFUSED), true},
		{dial(syscall.EHOSTUNREACH), true},
		{dial(syscall.ENETUNREACH), true},
		{dial(&net.DNSError{Err: "no such host", Name: "app", IsNotFound: true}), true},
		{dial(&net.DNSError{Err: "server misbehaving", Name: "app", IsTemporary: true}), true},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "app", IsTimeout: true}), false},
		{dial(context.DeadlineExceeded), false},
		{dial(syscall.ETIMEDOUT), false},
		{dial(syscall.EMFILE), false},
		{dial(syscall.EADDRNOTAVAIL), false},
		{syscall.ECONNRESET, false},
		{errStale, false},
	} {
		if got := absent(tt.err); got != tt.want {
			t.Errorf("%v: absent %v, want %v", tt.err, got, tt.want)
		}
	}
}

// TestOfTwoAddressesOneIsEnough: a name of IPv6 and IPv4 is there where one of them is.
func TestOfTwoAddressesOneIsEnough(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Skipf("%s can't be listened on here: %v", listen, err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		host := l.Addr().String()
		if addrs, err := net.LookupHost("localhost"); err == nil && len(addrs) > 1 {
			host = net.JoinHostPort("localhost", port)
		}
		r := newReach(host, slog.New(slog.DiscardHandler))
		ctx, end := context.WithCancel(t.Context())
		go r.watch(ctx)
		if err := r.wait(t.Context()); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		end()
	}
}
