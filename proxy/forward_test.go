package proxy

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// before is a rig before an app that listens at addr.
func before(t *testing.T, addr string) *rig {
	return newRig(t, flask, func(c *Config, _ *ban.Config) { c.Upstream = &url.URL{Scheme: "http", Host: addr} })
}

// TestLongAnswersArriveWhole, of known length and of unknown.
func TestLongAnswersArriveWhole(t *testing.T) {
	t.Parallel()
	want := make([]byte, 3<<20)
	rand.Read(want)
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Length", fmt.Sprint(len(want)))
		}
		w.Write(want)
	}, nil)
	for _, path := range []string{"/", "/2020"} {
		for range 2 { // the second over the same connection
			res, err := http.Get(g.front.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %d bytes (%v), want %d", path, len(got), err, len(want))
			}
		}
	}
}

// TestWhoSharesConnections: requests that may be sent again, and no others: a POST
// that meets a connection that the app closes at that moment would be lost.
func TestWhoSharesConnections(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var on = map[string][]string{} // what came over which connection
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		on[r.RemoteAddr] = append(on[r.RemoteAddr], r.Method+r.Header.Get("Upgrade"))
		io.Copy(w, r.Body)
	}, nil)
	for range 3 {
		g.do("192.0.2.1", "GET", "/")
		g.do("192.0.2.1", "HEAD", "/")
		g.do("192.0.2.1", "POST", "/post")
		g.do("192.0.2.1", "DELETE", "/")
		g.do("192.0.2.1", "GET", "/", "Connection", "Upgrade", "Upgrade", "websocket")
	}
	mu.Lock()
	defer mu.Unlock()
	var got []string
	for _, requests := range on {
		slices.Sort(requests)
		got = append(got, fmt.Sprint(slices.Compact(requests)))
	}
	slices.Sort(got)
	// What asked for a change of protocol and got none leaves a connection like any other.
	shared := slices.DeleteFunc(got, func(s string) bool { return s == "[POST]" || s == "[DELETE]" })
	if posts := len(on) - len(shared); posts != 6 {
		t.Errorf("POST and DELETE had %d connections of their own, want 6", posts)
	}
	for _, s := range shared {
		if strings.Contains(s, "POST") || strings.Contains(s, "DELETE") {
			t.Errorf("one connection had %s", s)
		}
	}
}

// TestPostMeetsNoClosedConnection: the app closes a kept connection as the next
// request comes. A GET is sent again, a POST never meets it.
func TestPostMeetsNoClosedConnection(t *testing.T) {
	t.Parallel()
	var gets, posts atomic.Int32
	addr := rawApp(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for n := 0; ; n++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			map[string]*atomic.Int32{"GET": &gets, "POST": &posts}[r.Method].Add(1)
			if n > 0 {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Routing: found\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	g := before(t, addr)
	for _, method := range []string{"GET", "POST", "GET", "POST", "GET"} {
		if w := g.do("192.0.2.1", method, map[string]string{"GET": "/", "POST": "/post"}[method]); w.Code != http.StatusOK {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if posts.Load() != 2 || gets.Load() < 3 {
		t.Errorf("the app had %d POSTs and %d GETs, want 2 and at least 3", posts.Load(), gets.Load())
	}
}

// TestWhatTheAppIsTold of a request: its line, its agent, how long its body is.
func TestWhatTheAppIsTold(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	addr := rawApp(t, func(c net.Conn) {
		var lines []string
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if err != nil || line == "\r\n" {
				break
			}
			for _, want := range []string{"Host:", "User-Agent:", "Content-Length:", "Transfer-Encoding:", "Connection:"} {
				if lines == nil || strings.HasPrefix(line, want) {
					lines = append(lines, strings.TrimSpace(line))
					break
				}
			}
		}
		got <- strings.Join(lines, "|")
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	g := before(t, addr)
	for _, c := range []struct{ send, want string }{
		{"GET /2020?a=%zz&b HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\n\r\n", "GET /2020?a=%zz&b HTTP/1.1|Host: a.example|User-Agent: curl/8"},
		{"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET / HTTP/1.1|Host: a.example"},
		{"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody", "GET / HTTP/1.1|Host: a.example|Content-Length: 4|Connection: close"},
		{"DELETE / HTTP/1.1\r\nHost: a.example\r\n\r\n", "DELETE / HTTP/1.1|Host: a.example|Connection: close"},
		{"POST /post HTTP/1.1\r\nHost: a.example\r\n\r\n", "POST /post HTTP/1.1|Host: a.example|Content-Length: 0|Connection: close"},
		{"POST /post HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody", "POST /post HTTP/1.1|Host: a.example|Content-Length: 4|Connection: close"},
		{"PUT / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "PUT / HTTP/1.1|Host: a.example|Transfer-Encoding: chunked|Connection: close"},
	} {
		conn, err := net.Dial("tcp", g.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, c.send)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%q: %+v %v", c.send, res, err)
		}
		if line := <-got; line != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.send, line, c.want)
		}
	}
}

// TestHeadNamesItsLength, though there is nothing to read.
func TestHeadNamesItsLength(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1234")
		w.Header().Set("X-Routing", "found")
	}, nil)
	w := g.do("192.0.2.1", "HEAD", "/")
	if w.Code != http.StatusOK || w.Header().Get("Content-Length") != "1234" || g.asked.Load() != 1 {
		t.Errorf("%d %v after %d requests, want 200 and a length of 1234 after one", w.Code, w.Header(), g.asked.Load())
	}
}

// TestExpectedBodyNeedNotCome: a client that asks whether it should send its body
// is told what the app says of the header alone.
func TestExpectedBodyNeedNotCome(t *testing.T) {
	t.Parallel()
	addr := rawApp(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if line, err := in.ReadString('\n'); err != nil || line == "\r\n" {
				break
			}
		}
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, in)
	})
	g := before(t, addr)
	conn, err := net.Dial("tcp", g.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience / 2))
	io.WriteString(conn, "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err == nil && res.StatusCode == http.StatusContinue { // who reads the body asks for it
		res, err = http.ReadResponse(in, nil)
	}
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
		t.Errorf("%+v %v, want 413 and the connection's end", res, err)
	}
}

// TestUploadGivesUp: a client that leaves while the app is silent waits no longer,
// in the middle of its body and behind it.
func TestUploadGivesUp(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	for _, whole := range []bool{true, false} {
		reached := make(chan struct{})
		addr := rawApp(t, func(c net.Conn) {
			io.ReadFull(c, make([]byte, 10))
			close(reached)
			<-hold
		})
		ctx, leave := context.WithCancel(t.Context())
		in, out := io.Pipe()
		go func() {
			io.WriteString(out, "a body")
			if whole {
				out.Close()
			}
		}()
		r, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/", in)
		go func() {
			<-reached
			leave()
			in.CloseWithError(context.Canceled) // as net/http's server does with a body
		}()
		if _, err := (&lean{}).upload(r); !errors.Is(err, context.Canceled) {
			t.Errorf("whole %v: %v, want context.Canceled", whole, err)
		}
	}
}

// TestPhasesOfAnUpload: while its body is on the way, and while its answer is, a
// request keeps the app by its client's slowness; between them by the app's own.
func TestPhasesOfAnUpload(t *testing.T) {
	t.Parallel()
	answer, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	g := slotted(t, 1, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-answer
		w.(http.Flusher).Flush()
		<-end
	})
	phase := func(want uint32) func() bool {
		return func() bool {
			g.handler.gate.mu.Lock()
			defer g.handler.gate.mu.Unlock()
			s := g.handler.gate.queue.running.head
			return s != nil && s.phase.Load() == want
		}
	}
	in, out := io.Pipe()
	g.ask(t.Context(), "POST", "/post", in)
	io.WriteString(out, "half")
	await(t, "the upload is under way", phase(phaseUpload))
	out.Close()
	await(t, "the app works", phase(phaseView))
	close(answer)
	await(t, "the answer is under way", phase(phaseAnswer))
}

// TestPrefetchedIsLentOnce: however often it is closed, its buffer is given back
// once, or two answers would share it.
func TestPrefetchedIsLentOnce(t *testing.T) {
	body := &prefetched{buf: new([maxPrefetch]byte)}
	mine := body.buf
	body.Close()
	body.Close()
	seen := 0
	for range 3 {
		if prefetchPool.Get().(*[maxPrefetch]byte) == mine {
			seen++
		}
	}
	if seen > 1 {
		t.Errorf("one buffer is lent %d times", seen)
	}
}

// TestPoisonOfTwoRoutes: the second does not make the first forgotten.
func TestPoisonOfTwoRoutes(t *testing.T) {
	var p poison
	p.add("/a")
	p.add("/b")
	if !p.has("/a") || !p.has("/b") || p.has("/c") {
		t.Errorf("/a %v, /b %v, /c %v; want true, true, false", p.has("/a"), p.has("/b"), p.has("/c"))
	}
}

// TestLingersAreBounded: beyond it a connection whose client has left is closed at
// once, and its slot is free.
func TestLingersAreBounded(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	defer close(free)
	g := slotted(t, 1, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			<-free
		}
	})
	l := &g.handler.reverse.Transport.(*transport).lean.lingers
	l.n.Store(maxLingers)
	ctx, leave := context.WithCancel(t.Context())
	g.ask(ctx, "GET", "/", nil)
	await(t, "the app has it", func() bool { return g.asked.Load() == 1 })
	leave()
	if got := <-g.ask(t.Context(), "GET", "/2020", nil); got != http.StatusOK {
		t.Errorf("the next got %d", got)
	}
	if n := l.n.Load(); n != maxLingers {
		t.Errorf("%d linger, want %d", n, maxLingers)
	}
}

// TestLanesOfTheWelcoming: an app that answers any path is asked for all at once.
func TestLanesOfTheWelcoming(t *testing.T) {
	t.Parallel()
	const many = 3 * laneWidth
	var at atomic.Int32
	all := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "lacks")
		if r.URL.Path != "/first" && at.Add(1) == many {
			close(all)
		}
		if r.URL.Path != "/first" {
			<-all
		}
		io.WriteString(w, "the single page")
	}, nil)
	g.do("192.0.2.1", "GET", "/first")
	codes := make(chan int, many)
	for n := range many {
		go func() { codes <- g.do("192.0.2.1", "GET", fmt.Sprint("/deep/", n)).Code }()
	}
	for range many {
		if got := <-codes; got != http.StatusOK {
			t.Errorf("got %d", got)
		}
	}
}

// TestLaneKeepsItsWidth as one of those in it leaves, with nobody waiting.
func TestLaneKeepsItsWidth(t *testing.T) {
	var l lanes
	c := client(1)
	for range laneWidth {
		l.enter(t.Context(), c)
	}
	l.leave(c)
	if next, ok := l.queue(c); next != nil || !ok {
		t.Error("the place that was left is not given away")
	}
	if next, _ := l.queue(c); next == nil {
		t.Errorf("more than %d are with the app", laneWidth)
	}
}

// TestLeavingTheLane: who left while it waited for its own unknown paths is no
// refusal, and nothing is held against it for the path.
func TestLeavingTheLane(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	log := &lockedLog{}
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		<-hold
		flask(w, r)
	}, func(c *Config, _ *ban.Config) { c.AccessLog = NewAccessLog(log, slog.Default()) })
	busy := make(chan int, laneWidth)
	for n := range laneWidth {
		go func() { busy <- g.do("192.0.2.1", "GET", fmt.Sprint("/busy/", n)).Code }()
	}
	await(t, "the lane is full", func() bool { return g.asked.Load() == laneWidth })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequest("GET", "/waits", nil).WithContext(ctx)
	r.RemoteAddr = "192.0.2.1:4000"
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	close(hold)
	for range laneWidth {
		<-busy
	}
	if w.Body.Len() > 0 || g.asked.Load() != laneWidth {
		t.Errorf("it was told %d %q; the app was asked %d times", w.Code, w.Body, g.asked.Load())
	}
	if line := log.String(); !strings.Contains(line, "\"GET /waits HTTP/1.1\" 499 ") {
		t.Errorf("the log says %q, want 499 for /waits", line)
	}
}
