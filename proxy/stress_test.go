package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/flask2ban/flask2ban/ban"
)

// oddApp is an app that does to each request what its X-How says.
type oddApp struct {
	net.Listener
	conns sync.WaitGroup
	mu    sync.Mutex
	ran   map[string]int // how often each POST came
}

// oddities are what it does; but for the first three, no answer is whole.
var oddities = []string{"answer", "hints", "more", "early", "close", "reset", "garbage", "status", "half", "stop"}

func (a *oddApp) serve() {
	for {
		c, err := a.Accept()
		if err != nil {
			return
		}
		a.conns.Go(func() {
			defer c.Close()
			for in := bufio.NewReader(c); a.answer(c, in); {
			}
		})
	}
}

// answer takes one request, and reports whether another may follow.
func (a *oddApp) answer(c net.Conn, in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	id, how := r.Header.Get("X-Id"), r.Header.Get("X-How")
	a.mu.Lock()
	if r.Method == "POST" {
		a.ran[id]++
	}
	a.mu.Unlock()
	head := "HTTP/1.1 200 OK\r\nX-Routing: found\r\nX-Id: " + id + "\r\n"
	switch how {
	case "early":
		fmt.Fprintf(c, "%sContent-Length: 2\r\n\r\nno", strings.Replace(head, "200 OK", "403 No", 1))
		return false
	case "reset":
		c.(*net.TCPConn).SetLinger(0)
		return false
	case "close":
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	if r.Header.Get("Upgrade") != "" {
		io.WriteString(c, strings.Replace(head, "200 OK", "101 Now", 1)+"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		io.Copy(c, in)
		return false
	}
	text := answerTo(r.Header, body)
	length := len(text)
	switch {
	case how == "garbage":
		io.WriteString(c, "\x00\r\n\r\n")
		return false
	case how == "status":
		head = strings.Replace(head, "200 OK", "042 Odd", 1)
	case how == "hints":
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
	case how == "half":
		length++
	case how == "stop":
		fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", head, length, text)
		return false
	}
	if r.Method == "HEAD" {
		text = ""
	}
	if how == "more" && len(text) < 1000 { // in one segment
		text += "HTTP/1.1 200 OK\r\nX-Id: another\r\nContent-Length: 0\r\n\r\n"
	}
	fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, length, text)
	return how != "half" && !r.Close
}

// answerTo is the whole answer to a request with these headers.
func answerTo(h http.Header, body []byte) string {
	times := 1
	if h.Get("X-Long") != "" {
		times = 2000
	}
	return strings.Repeat(fmt.Sprintf("%s %x\n", h.Get("X-Id"), sha256.Sum256(body)), times)
}

// stress is one client's random requests.
type stress struct {
	*rand.Rand
	t    *testing.T
	url  string
	http *http.Client
	tls  bool
}

var errMidBody = errors.New("the client's body ends")

// one asks once, and checks what came.
func (s *stress) one(id string) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	left := s.IntN(4) == 0
	if left {
		time.AfterFunc(time.Duration(s.IntN(20_000))*time.Microsecond, cancel)
	}
	method, how := []string{"GET", "POST", "HEAD", "OPTIONS"}[s.IntN(4)], oddities[s.IntN(len(oddities))]
	body := bytes.Repeat([]byte("x"), []int{0, 10, 5000, 100_000}[s.IntN(4)])
	path := []string{"/user/x", "/post", "/unknown"}[s.IntN(3)]
	r, _ := http.NewRequestWithContext(ctx, method, s.url+path, nil)
	switch {
	case method != "POST":
		body = nil
	case s.IntN(5) == 0:
		left = true
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(errMidBody)))
	case s.IntN(2) == 0:
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body))) // in chunks
	default:
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	r.Header.Set("X-Id", id)
	r.Header.Set("X-How", how)
	if s.IntN(4) == 0 {
		r.Header.Set("X-Long", "yes")
	}
	if method == "GET" && how == "answer" && !s.tls && s.IntN(4) == 0 {
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Connection", "Upgrade")
	}
	res, err := s.http.Do(r)
	if err != nil {
		if !left && how != "half" && how != "stop" {
			s.t.Errorf("%s %s %s: %v", id, method, how, err)
		}
		return
	}
	defer res.Body.Close()
	s.check(r, res, how, left, answerTo(r.Header, body))
}

// check reads the answer: a whole one is that to its request, and there is one
// wherever the app gave one and the client has not left.
func (s *stress) check(r *http.Request, res *http.Response, how string, left bool, want string) {
	id := r.Header.Get("X-Id")
	if got := res.Header.Get("X-Id"); got != id && got != "" {
		s.t.Errorf("%s got the answer to %s", id, got)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		want = "hello " + id
		io.WriteString(res.Body.(io.Writer), want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); string(got) != want && !left {
			s.t.Errorf("%s: the tunnel said %q, %v", id, got, err)
		}
		return
	}
	if s.IntN(8) == 0 {
		return // it has read enough
	}
	got, err := io.ReadAll(res.Body)
	whole := how == "answer" || how == "hints" || how == "more"
	switch {
	case err != nil && (left || !whole):
	case err != nil, whole && !left && res.StatusCode != 200:
		s.t.Errorf("%s %s %s: %s, %v", id, r.Method, how, res.Status, err)
	case res.StatusCode == 200 && r.Method != "HEAD" && string(got) != want:
		s.t.Errorf("%s %s %s: %d bytes that are not its answer's %d", id, r.Method, how, len(got), len(want))
	}
}

// TestStress throws random requests at an app that does all that it should not,
// over HTTP/1.1 and HTTP/2, by clients that leave at any moment: each whole answer
// is that to its request, no POST runs twice, and in the end nothing is left.
func TestStress(t *testing.T) {
	for _, hold := range []bool{false, true} {
		t.Run(fmt.Sprintf("holding bodies %t", hold), func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			a := &oddApp{Listener: l, ran: map[string]int{}}
			go a.serve()
			defer a.conns.Wait()
			defer l.Close()
			g := newRig(t, flask, func(c *Config, b *ban.Config) {
				c.Upstream, c.Now, c.MinRate = &url.URL{Scheme: "http", Host: l.Addr().String()}, nil, 1000
				c.BodyDir, c.HoldBodies = t.TempDir(), hold
				c.Queue = QueueConfig{Slots: func() int { return 8 }, Wait: time.Minute}
			})
			second := httptest.NewUnstartedServer(g.handler)
			second.EnableHTTP2 = true
			second.StartTLS()
			defer second.Close()
			defer g.front.Close()
			plain := &http.Client{Transport: &http.Transport{}}
			defer plain.CloseIdleConnections()
			const clients, each = 32, 20
			var all sync.WaitGroup
			for n := range clients {
				s := &stress{Rand: rand.New(rand.NewPCG(7, uint64(n))), t: t, url: g.front.URL, http: plain}
				if n%2 == 1 {
					s.url, s.http, s.tls = second.URL, second.Client(), true
				}
				all.Go(func() {
					for i := range each {
						s.one(fmt.Sprintf("%d-%d", n, i))
					}
				})
			}
			all.Wait()
			a.mu.Lock()
			for id, times := range a.ran {
				if times > 1 {
					t.Errorf("POST %s ran %d times", id, times)
				}
			}
			a.mu.Unlock()
			g.nothingIsLeft(t)
		})
	}
}

// nothingIsLeft waits until every book says that no request is under way.
func (g *rig) nothingIsLeft(t *testing.T) {
	t.Helper()
	h := g.handler
	forward := h.reverse.Transport.(*transport)
	await(t, "the end of all", func() bool {
		load := h.Load()
		h.lanes.mu.Lock()
		defer h.lanes.mu.Unlock()
		return load.InFlight == 0 && load.Waiting == 0 && len(h.lanes.open) == 0 && openTunnels(g) == 0 &&
			forward.kept.Load() == 0 && h.Metrics.Totals().InFlight == 0 && forward.lean.lingers.n.Load() == 0 && h.kept.used.Load() == 0 &&
			(h.spool == nil || h.spool.used.Load() == 0 && h.spool.mem.Load() == 0)
	})
	forward.lean.CloseIdleConnections()
}
