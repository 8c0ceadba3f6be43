package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/metrics"
)

// slotted is a rig whose app works on n requests at a time.
func slotted(t *testing.T, n int, wait time.Duration, upstream http.HandlerFunc) *rig {
	return newRig(t, upstream, func(c *Config, _ *ban.Config) {
		c.Queue = QueueConfig{Slots: func() int { return n }, Wait: wait}
		c.Now = nil
	})
}

// ask starts a request that ends with the context.
func (g *rig) ask(ctx context.Context, method, target string, body io.Reader) chan int {
	status := make(chan int, 1)
	r, err := http.NewRequestWithContext(ctx, method, g.front.URL+target, body)
	if err != nil {
		panic(err)
	}
	go func() {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			status <- 0
			return
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		status <- res.StatusCode
	}()
	return status
}

func (g *rig) load() Load { return g.handler.Load() }

// A worker goes on with a request whose client has left, and so does the slot,
// however the request was sent.
func TestSlotIsHeldUntilTheAppIsDone(t *testing.T) {
	for _, tt := range []struct {
		name, method, target, body string
	}{
		{"lean", "GET", "/", ""}, {"upload", "POST", "/post", "a body"}, {"fresh", "POST", "/post", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			free := make(chan struct{})
			g := slotted(t, 1, time.Minute, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				<-free
				io.WriteString(w, "late")
			})
			ctx, leave := context.WithCancel(t.Context())
			first := g.ask(ctx, tt.method, tt.target, strings.NewReader(tt.body))
			await(t, "the app has it", func() bool { return g.asked.Load() == 1 })
			leave()
			<-first
			second := g.ask(t.Context(), "GET", "/2020", nil)
			await(t, "the next waits", func() bool { return g.load().Waiting == 1 })
			if l := g.load(); l.InFlight != 1 || g.asked.Load() != 1 {
				t.Errorf("%+v; the app was asked %d times", l, g.asked.Load())
			}
			close(free)
			if got := <-second; got != http.StatusOK {
				t.Errorf("the next got %d", got)
			}
			await(t, "all slots are free", func() bool { return g.load().InFlight == 0 })
		})
	}
}

// A client that leaves while it waits costs the app nothing.
func TestLeavingTheQueue(t *testing.T) {
	free := make(chan struct{})
	g := slotted(t, 1, time.Minute, func(http.ResponseWriter, *http.Request) { <-free })
	first := g.background("/")
	await(t, "the app has one", func() bool { return g.asked.Load() == 1 })
	ctx, leave := context.WithCancel(t.Context())
	g.ask(ctx, "GET", "/2020", nil)
	await(t, "one waits", func() bool { return g.load().Waiting == 1 })
	leave()
	await(t, "none waits", func() bool { return g.load().Waiting == 0 })
	close(free)
	<-first
	if got := g.asked.Load(); got != 1 {
		t.Errorf("the app was asked %d times", got)
	}
}

// The 503 says when to come again, counts, and blames nobody.
func TestOverloadIsToldAndNoEvidence(t *testing.T) {
	free := make(chan struct{})
	defer close(free)
	g := slotted(t, 1, 20*time.Millisecond, func(http.ResponseWriter, *http.Request) { <-free })
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	g.ask(ctx, "GET", "/", nil)
	await(t, "the app has one", func() bool { return g.asked.Load() == 1 })
	res, err := http.Get(g.front.URL + "/no/such/page")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "5" || !strings.Contains(string(body), "The application is busy") {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if n := g.engine.Stats(time.Now()).Suspects; n != 0 || len(g.engine.Bans(time.Now())) != 0 {
		t.Error("who was refused for overload has evidence")
	}
	families, err := g.handler.Metrics.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	waited := false
	for _, f := range families {
		if f.GetName() == "flask2ban_queue_wait_seconds" {
			for _, m := range f.GetMetric() {
				waited = waited || m.GetHistogram().GetSampleCount() == 1 && m.GetLabel()[0].GetValue() == "normal"
			}
		}
	}
	if !waited {
		t.Error("flask2ban_queue_wait_seconds does not count the wait")
	}
}

// Events hold no slot: an app with one worker that streams is not shut.
func TestStreamsHoldNoSlotForEver(t *testing.T) {
	free := make(chan struct{})
	defer close(free)
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		select {
		case <-free:
		case <-r.Context().Done():
		}
	}, func(c *Config, _ *ban.Config) { // its clock stands: what takes long without a word of it doesn't count
		c.Queue = QueueConfig{Slots: func() int { return 2 }, Wait: time.Minute}
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range 3 {
		g.ask(ctx, "GET", "/", nil)
	}
	await(t, "all stream", func() bool { return g.asked.Load() == 3 })
	if got := <-g.ask(t.Context(), "GET", "/2020", nil); got != http.StatusOK {
		t.Errorf("beside streams: %d", got)
	}
}

// A half-closed connection still brings the app's answer; the app's end ends
// the lingering.
func TestLingerHalfCloses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	go func() { awaitEnd(c.(closer)); ended.Store(true) }()
	if b, err := io.ReadAll(far); len(b) != 0 || err != nil {
		t.Errorf("the app sees %q, %v, want the end", b, err)
	}
	if ended.Load() {
		t.Error("it ended before the app did")
	}
	far.Close()
	await(t, "it ends", ended.Load)
}

// gateAt is a gate in a bubble of its own time.
func gateAt(slots int) *gate {
	return newGate(QueueConfig{Slots: func() int { return slots }}, metrics.New("test"), time.Now)
}

// waitersHandler is what tells a waiter that it is refused.
var waitersHandler = sync.OnceValue(func() *Handler { return &Handler{Config: Config{Metrics: metrics.New("test")}} })

func waiter(class ban.Class, n int) *exchange {
	x := &exchange{Context: context.Background(), request: &http.Request{Header: http.Header{}}, identity: clientip.Identity{Client: client(n)}}
	x.decision.Class = class
	x.handler = waitersHandler()
	x.writer = &reusedWriter{header: http.Header{}}
	return x
}

// Under a flood the patience of those that stand shrinks; the best class is
// served all the while within a service's time.
func TestFloodInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const service = 50 * time.Millisecond
		g := gateAt(4)
		serve := func(x *exchange) {
			time.Sleep(service)
			g.release(&x.slot)
		}
		var served, left atomic.Int64
		end := time.Now().Add(30 * time.Second)
		for n := 0; time.Now().Before(end); n++ {
			go func() {
				x := waiter(ban.Normal, n%200)
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				x.Context = ctx
				if !g.acquire(x) {
					left.Add(1)
					return
				}
				served.Add(1)
				serve(x)
			}()
			if n%200 == 100 { // four a second
				go func() {
					start := time.Now()
					x := waiter(ban.High, 250)
					if !g.acquire(x) {
						t.Error("the best class is refused")
						return
					}
					if waited := time.Since(start); waited > service/2 && start.After(end.Add(-25*time.Second)) {
						t.Errorf("the best class waits %v", waited)
					}
					serve(x)
				}()
			}
			time.Sleep(time.Second / 800)
		}
		time.Sleep(time.Minute)
		if part := float64(served.Load()) / (30 * 80); part < .9 {
			t.Errorf("the rest gets %.0f %% of what can be done", 100*part)
		}
		t.Logf("the rest gets %.1f/s of 80", float64(served.Load())/30)
		if l := g.load(time.Now()); l.Waiting != 0 || l.InFlight != 0 || left.Load() == 0 {
			t.Errorf("left over: %+v; %d left", l, left.Load())
		}
	})
}

// Who has waited for as long as one may is told so, however much comes and goes
// meanwhile.
func TestPatienceEndsWhileTheAppIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateAt(1)
		g.queue.patience = 2 * time.Second
		first := waiter(ban.Normal, 0)
		if !g.acquire(first) {
			t.Fatal("no slot")
		}
		go func() { // always one with the app, and another that is newer
			held := first
			for n := range 500 {
				next := waiter(ban.High, n%200)
				got := make(chan bool)
				go func() { got <- g.acquire(next) }()
				time.Sleep(20 * time.Millisecond)
				g.release(&held.slot)
				<-got
				held = next
			}
			g.release(&held.slot)
		}()
		time.Sleep(time.Second)
		start := time.Now()
		old := waiter(ban.Normal, 250)
		ok := g.acquire(old)
		if waited := time.Since(start); ok || waited > 3*time.Second {
			t.Errorf("served %v after %v, want refused after 2 s", ok, waited)
		}
		time.Sleep(time.Minute)
	})
}

// Who waits alone is told when its time is over, though nothing else happens.
func TestPatienceEndsForOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateAt(1)
		g.queue.patience = 2 * time.Second
		first, second := waiter(ban.Normal, 0), waiter(ban.Normal, 1)
		g.acquire(first)
		start := time.Now()
		if g.acquire(second) || time.Since(start) > 2*time.Second+tickEvery {
			t.Errorf("after %v; want it refused after 2 s", time.Since(start))
		}
		g.release(&first.slot)
	})
}

// A slot that the app has more of now goes to who waits, though nothing else
// happens.
func TestAWaitingOneHearsOfMoreSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slots atomic.Int32
		slots.Store(1)
		g := newGate(QueueConfig{Slots: func() int { return int(slots.Load()) }}, metrics.New("test"), time.Now)
		first, second := waiter(ban.Normal, 0), waiter(ban.Normal, 1)
		g.acquire(first)
		time.AfterFunc(time.Second, func() { slots.Store(2) })
		start := time.Now()
		if !g.acquire(second) || time.Since(start) > 2*time.Second {
			t.Errorf("after %v; want it served as soon as there are two", time.Since(start))
		}
		g.release(&first.slot)
		g.release(&second.slot)
	})
}

// A slot that comes at the moment at which its client leaves is not lost.
func TestASlotForOneWhoJustLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateAt(1)
		for range 100 { // which of the two it sees first is chance
			first, second := waiter(ban.Normal, 0), waiter(ban.Normal, 1)
			g.acquire(first)
			ctx, leave := context.WithCancel(t.Context())
			second.Context = ctx
			got := make(chan bool)
			go func() { got <- g.acquire(second) }()
			synctest.Wait()
			leave()
			g.release(&first.slot)
			if <-got {
				g.release(&second.slot)
			} else if second.status != statusClientClosed {
				t.Errorf("status %d of one who left, want %d", second.status, statusClientClosed)
			}
		}
		if l := g.load(time.Now()); l.InFlight != 0 || l.Waiting != 0 {
			t.Errorf("left over: %+v", l)
		}
	})
}
