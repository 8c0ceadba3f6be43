package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flask2ban/flask2ban/ban"
)

// upstreamAnswers is a real server with answers of every shape.
func upstreamAnswers(t testing.TB) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, r *http.Request) {
		for n := range 3 {
			fmt.Fprintf(w, "part %d\n", n)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/trailer", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("/unchanged", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) })
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s host %s agent %q x %q", r.Method, r.RequestURI, r.Host, r.UserAgent(), r.Header["X-Test"])
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hinted")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

type answer struct {
	Status  int
	Body    string
	Length  int64
	Trailer string
	Hints   int
}

// ask sends one request by a transport and reads all of the answer.
func ask(t testing.TB, rt http.RoundTripper, method, url string) answer {
	t.Helper()
	var a answer
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { a.Hints = code; return nil },
	})
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["X-Test"] = []string{"one", "two"}
	r.Header["User-Agent"] = []string{""}
	res, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, url, err)
	}
	a.Status, a.Body, a.Length, a.Trailer = res.StatusCode, string(b), res.ContentLength, res.Trailer.Get("X-Sum")
	return a
}

// TestLeanAnswersAsTransport holds lean against http.Transport, on kept
// connections too.
func TestLeanAnswersAsTransport(t *testing.T) {
	t.Parallel()
	s := upstreamAnswers(t)
	own, theirs := &lean{}, &http.Transport{DisableCompression: true}
	defer own.CloseIdleConnections()
	defer theirs.CloseIdleConnections()
	for range 3 {
		for _, path := range []string{"/length", "/chunked", "/trailer", "/empty", "/unchanged", "/close", "/hints", "/missing", "/echo?a=%zz&b"} {
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				got, want := ask(t, own, method, s.URL+path), ask(t, theirs, method, s.URL+path)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s (-Transport +lean):\n%s", method, path, diff)
				}
			}
		}
	}
}

// TestLeanKeepsConnections: one connection serves many requests in a row.
func TestLeanKeepsConnections(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNoContent)
		}
		io.WriteString(w, "ok")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	l := &lean{}
	defer l.CloseIdleConnections()
	for range 20 {
		ask(t, l, "GET", s.URL)
		ask(t, l, "HEAD", s.URL)
		ask(t, l, "GET", s.URL+"/none")
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 60 requests in a row, want 1", n)
	}
}

// rawApp is an app without a server of HTTP: each connection is talked to at the
// same time as the others, then closed. It returns where it listens.
func rawApp(t testing.TB, talk func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
	return l.Addr().String()
}

// TestLeanMeetsAClosedConnection: the app closes kept connections whenever it
// likes; no request is lost to that.
func TestLeanMeetsAClosedConnection(t *testing.T) {
	t.Parallel()
	addr := rawApp(t, func(c net.Conn) { // which is closed after one answer that promised to go on
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	own := &lean{}
	defer own.CloseIdleConnections()
	for n := range 50 {
		if a := ask(t, own, "GET", "http://"+addr+"/"); a.Body != "ok" {
			t.Fatalf("request %d: %+v", n, a)
		}
	}
}

// TestLeanGivesUp: a client that leaves ends the exchange, before the header
// and within the body.
func TestLeanGivesUp(t *testing.T) {
	t.Parallel()
	reached, hold := make(chan struct{}, 2), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			io.WriteString(w, "begin")
			w.(http.Flusher).Flush()
		}
		reached <- struct{}{}
		<-hold
	}))
	defer s.Close()
	defer close(hold)
	for _, path := range []string{"/header", "/body"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
		if path == "/header" {
			go func() { <-reached; cancel() }()
		}
		res, err := (&lean{}).RoundTrip(r)
		if path == "/header" {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if b, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: the body ended without error: %q", path, b)
		}
		res.Body.Close()
	}
}

// TestLeanRefusesAnEndlessHeader bounds what an app can make us hold.
func TestLeanRefusesAnEndlessHeader(t *testing.T) {
	t.Parallel()
	addr := rawApp(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(c, "X-Filler: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	})
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/", nil)
	if _, err := (&lean{}).RoundTrip(r); err == nil || !strings.Contains(err.Error(), "exceeds 1048576 bytes") {
		t.Errorf("error %v, want one that names the bound", err)
	}
}

// TestLeanForgetsIdleConnections does not use one that the app is about to
// close.
func TestLeanForgetsIdleConnections(t *testing.T) {
	t.Parallel()
	s := upstreamAnswers(t)
	l := &lean{}
	defer l.CloseIdleConnections()
	ask(t, l, "GET", s.URL+"/length")
	if len(l.idle) != 1 {
		t.Fatalf("%d kept, want 1", len(l.idle))
	}
	l.idle[0].since = time.Now().Add(-2 * leanIdleTime)
	old := l.idle[0]
	ask(t, l, "GET", s.URL+"/length")
	if len(l.idle) != 1 || l.idle[0] == old {
		t.Error("a connection idle for too long was used again")
	}
}

// BenchmarkTransports compares lean with http.Transport, the server's own cost
// included in both.
func BenchmarkTransports(b *testing.B) {
	s := upstreamAnswers(b)
	for name, rt := range map[string]http.RoundTripper{
		"lean":      &lean{},
		"transport": &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, _ := http.NewRequestWithContext(b.Context(), "GET", s.URL+"/length", nil)
				res, err := rt.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
}

// TestAppDiesWithinAnAnswer: between an answer's header and its body nothing
// has been answered yet, and the request is sent again.
func TestAppDiesWithinAnAnswer(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "found")
		w.Header().Set("Content-Length", "5")
		if tries.Add(1) < 3 {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "whole")
	}, nil)
	if w := g.do("192.0.2.1", "GET", "/"); w.Code != 200 || w.Body.String() != "whole" {
		t.Errorf("%d %q after %d tries", w.Code, w.Body, tries.Load())
	}
	// Two breaks of one request have made the route poison: no more is sent
	// again for it.
	tries.Store(0)
	if w := g.do("192.0.2.1", "GET", "/"); w.Code != 502 || tries.Load() != 1 {
		t.Errorf("poison: %d after %d tries, want 502 after 1", w.Code, tries.Load())
	}
}

// TestPostIsNeverSentTwice, whatever the app does with it.
func TestPostIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, nil)
	if w := g.do("192.0.2.1", "POST", "/post"); w.Code != 502 {
		t.Errorf("%d, want 502", w.Code)
	}
	if n := g.asked.Load(); n != 1 {
		t.Errorf("the app got the POST %d times", n)
	}
}

// TestLeanForgetsWhatTalksUnasked: bytes behind an answer, or a 408 on an idle
// connection, never become the answer to the next request, and the connection is
// closed.
func TestLeanForgetsWhatTalksUnasked(t *testing.T) {
	t.Parallel()
	for name, idle := range map[string]bool{"behind the answer": false, "when it is idle": true} {
		t.Run(name, func(t *testing.T) {
			var open atomic.Int32
			speak, said := make(chan struct{}, 1), make(chan struct{}, 1)
			addr := rawApp(t, func(c net.Conn) {
				open.Add(1)
				defer open.Add(-1)
				r := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
					if idle {
						<-speak
					}
					io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 5\r\n\r\nwrong")
					said <- struct{}{}
				}
			})
			own := &lean{}
			for n := range 20 {
				if a := ask(t, own, "GET", "http://"+addr+"/"); a.Body != "right" {
					t.Fatalf("request %d: %+v", n, a)
				}
				speak <- struct{}{}
				<-said
				if !idle {
					<-speak
				}
			}
			own.CloseIdleConnections()
			await(t, "all connections are closed", func() bool { return open.Load() == 0 })
		})
	}
}

// TestLeanKeepsApart: a connection to one instance serves no request for another.
func TestLeanKeepsApart(t *testing.T) {
	t.Parallel()
	l := &lean{}
	defer l.CloseIdleConnections()
	var urls []string
	for n := range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, n) }))
		defer s.Close()
		urls = append(urls, s.URL)
	}
	for n := range 12 {
		if got := ask(t, l, "GET", urls[n%3]).Body; got != fmt.Sprint(n%3) {
			t.Errorf("request %d was answered by instance %s, want %d", n, got, n%3)
		}
	}
	if len(l.idle) != len(urls) {
		t.Errorf("%d connections are kept, want one to each", len(l.idle))
	}
}

// TestLeanKeepsNoHalfAnswer: what is left of an answer whose client went away must
// not become another's.
func TestLeanKeepsNoHalfAnswer(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(hold)
	l := &lean{}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
	res, err := l.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(res.Body, make([]byte, 4))
	res.Body.Close()
	if len(l.idle) != 0 {
		t.Error("the connection of an unfinished answer is kept")
	}
}

// TestLeanKeepsSoMany connections and no more.
func TestLeanKeepsSoMany(t *testing.T) {
	t.Parallel()
	const many = leanMaxIdle + 10
	all := make(chan struct{})
	var came atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if came.Add(1) == many {
			close(all)
		}
		<-all
	}))
	defer s.Close()
	l := &lean{}
	defer l.CloseIdleConnections()
	ended := make(chan struct{})
	for range many {
		go func() {
			defer func() { ended <- struct{}{} }()
			r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
			if res, err := l.RoundTrip(r); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}()
	}
	for range many {
		<-ended
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) > leanMaxIdle {
		t.Errorf("%d connections are kept, want at most %d", len(l.idle), leanMaxIdle)
	}
}

// TestLeanSweepsTheOldOnly, closes them, and comes again for the rest.
func TestLeanSweepsTheOldOnly(t *testing.T) {
	t.Parallel()
	fresh, old := &leanConn{since: time.Now().Add(time.Hour)}, &leanConn{}
	var far net.Conn
	fresh.Conn, _ = net.Pipe()
	old.Conn, far = net.Pipe()
	l := &lean{idle: []*leanConn{old, fresh}}
	l.closeIdle()
	if len(l.idle) != 1 || l.idle[0] != fresh || l.sweep == nil {
		t.Errorf("%d are left, swept again: %v; want the one that was used just now, and true", len(l.idle), l.sweep != nil)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the old one is not closed: %v", err)
	}
	l.sweep.Stop()
	l.idle[0].since = time.Time{}
	l.closeIdle()
	if len(l.idle) != 0 || l.sweep != nil {
		t.Errorf("%d are left, swept again: %v; want none", len(l.idle), l.sweep != nil)
	}
}

// TestLeanKeepsNothingOverTLS: each request has a connection of its own there, and
// the app is told so.
func TestLeanKeepsNothingOverTLS(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Close, r.Header["Connection"])
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	l := &lean{}
	for range 3 {
		if got := ask(t, l, "GET", s.URL).Body; got != "true [close]" {
			t.Errorf("the app is told %q", got)
		}
	}
	if len(l.idle) != 0 || opened.Load() != 3 {
		t.Errorf("%d connections, %d kept; want 3 and none", opened.Load(), len(l.idle))
	}
}

// TestLeanSweeps closes idle connections even when no request comes.
func TestLeanSweeps(t *testing.T) {
	t.Parallel()
	s := upstreamAnswers(t)
	l := &lean{}
	ask(t, l, "GET", s.URL+"/length")
	idle := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.idle)
	}
	for deadline := time.Now().Add(time.Minute); idle() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("an idle connection is kept for ever")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestLeanGivenUpIsNotStale: what is given up on a kept connection is not sent
// again over another, where nobody would give it up any more.
func TestLeanGivenUpIsNotStale(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	reached, hold := make(chan struct{}, 1), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 2 {
			reached <- struct{}{}
			<-hold
		}
	}))
	defer s.Close()
	defer close(hold)
	l := &lean{}
	ask(t, l, "GET", s.URL)
	kept := l.idle[0]
	go func() {
		<-reached
		kept.SetDeadline(past) // as app.Flight does
	}()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
	if _, err := l.RoundTrip(r); !errors.Is(err, os.ErrDeadlineExceeded) || asked.Load() != 2 {
		t.Errorf("%v after %d requests, want a deadline's error after 2", err, asked.Load())
	}
}

// TestOddStatusIsNoAnswer: an app's status below 100 is its fault, not ours.
func TestOddStatusIsNoAnswer(t *testing.T) {
	t.Parallel()
	addr := rawApp(t, func(c net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 %s Odd\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", r.URL.Query().Get("status"))
		}
	})
	g := newRig(t, flask, func(c *Config, _ *ban.Config) { c.Upstream = &url.URL{Scheme: "http", Host: addr} })
	for status, want := range map[string]int{"000": 502, "099": 502, "299": 299, "999": 999} {
		res, err := http.Get(g.front.URL + "/?status=" + status)
		if err != nil {
			t.Errorf("%s: %v", status, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", status, res.StatusCode, want)
		}
	}
}
