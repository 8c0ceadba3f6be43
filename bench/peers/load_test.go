package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// seen notes what a server was asked.
type seen struct {
	mu       sync.Mutex
	sources  map[string]int
	conns    atomic.Int64
	bodySize atomic.Int64
}

// newServer answers with the status that the path names: "/404".
func newServer(t *testing.T) (string, *seen) {
	t.Helper()
	s := &seen{sources: map[string]int{}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		s.mu.Lock()
		s.sources[host]++
		s.mu.Unlock()
		n, _ := io.Copy(io.Discard, r.Body)
		s.bodySize.Add(n)
		status := map[string]int{"/404": 404, "/403": 403}[r.URL.Path]
		if status == 0 {
			status = 200
		}
		w.WriteHeader(status)
		io.WriteString(w, "body of "+r.URL.Path)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), s
}

func TestLoadComesOnceFromEachSource(t *testing.T) {
	addr, s := newServer(t)
	l := load{
		addr: addr, sources: sources{net: 9, n: 600}, once: true, perSource: 3, workers: 8, limit: time.Minute,
		requests: []string{request("GET", "/404"), request("GET", "/403")},
	}
	got, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.answers[404] != 1200 || got.answers[403] != 600 || len(got.latencies) != 1800 {
		t.Errorf("answers %v, latencies %d; want 1200 of 404, 600 of 403", got.answers, len(got.latencies))
	}
	if len(s.sources) != 600 || s.conns.Load() != 600 {
		t.Errorf("%d sources over %d connections, want 600 each", len(s.sources), s.conns.Load())
	}
	for _, source := range []string{"127.9.0.1", "127.9.0.250", "127.9.1.1", "127.9.2.100"} {
		if s.sources[source] != 3 {
			t.Errorf("%s sent %d requests, want 3", source, s.sources[source])
		}
	}
}

func TestLoadEndsInTime(t *testing.T) {
	addr, s := newServer(t)
	l := load{
		addr: addr, sources: sources{one: "127.0.1.1", n: 1}, workers: 4, limit: 200 * time.Millisecond,
		requests: []string{request("GET", "/")},
	}
	got, err := l.run(t.Context())
	if err != nil || got.answers[200] == 0 {
		t.Fatalf("answers %v, %v", got.answers, err)
	}
	if got.elapsed > 5*time.Second {
		t.Errorf("took %v, want about 200ms", got.elapsed)
	}
	if n := s.conns.Load(); n != 4 {
		t.Errorf("%d connections, want one a worker", n)
	}
	if len(s.sources) != 1 || s.sources["127.0.1.1"] == 0 {
		t.Errorf("sources %v, want 127.0.1.1 only", s.sources)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	addr, _ := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := load{addr: addr, sources: sources{net: 9, n: 1}, workers: 2, limit: time.Hour, requests: []string{request("GET", "/")}}
	if got, err := l.run(ctx); err != nil || len(got.latencies) != 0 {
		t.Errorf("%d requests, %v; want none", len(got.latencies), err)
	}
}

func TestLoadCountsAClosedConnectionAsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	for name, requests := range map[string][]string{"silent": nil, "asking": {request("GET", "/")}} {
		t.Run(name, func(t *testing.T) {
			load := load{
				addr: l.Addr().String(), sources: sources{one: "127.0.1.2", n: 1}, once: true, perSource: 50,
				workers: 1, limit: time.Minute, requests: requests,
			}
			got, err := load.run(t.Context())
			if err != nil || got.answers[refusedAnswer] != 50 {
				t.Errorf("answers %v, %v; want 50 refused", got.answers, err)
			}
		})
	}
}

func TestLoadOpensANewConnectionAfterClose(t *testing.T) {
	addr, s := newServer(t)
	l := load{
		addr: addr, sources: sources{net: 9, n: 1}, once: true, perSource: 5, workers: 1, limit: time.Minute,
		requests: []string{request("GET", "/", "Connection: close")},
	}
	if got, err := l.run(t.Context()); err != nil || got.answers[200] != 5 {
		t.Fatalf("answers %v, %v", got.answers, err)
	}
	if n := s.conns.Load(); n != 5 {
		t.Errorf("%d connections, want 5", n)
	}
}

func TestLoadSendsBodies(t *testing.T) {
	addr, s := newServer(t)
	l := load{
		addr: addr, sources: sources{net: 9, n: 1}, once: true, perSource: 3, workers: 1, limit: time.Minute,
		requests: []string{uploadRequest}, body: uploadBody,
	}
	if got, err := l.run(t.Context()); err != nil || got.answers[200] != 3 {
		t.Fatalf("answers %v, %v", got.answers, err)
	}
	if n := s.bodySize.Load(); n != 3*bodySize {
		t.Errorf("%d bytes arrived, want %d", n, 3*bodySize)
	}
}

func TestLoadTellsOurOwnFailures(t *testing.T) {
	addr, _ := newServer(t)
	l := load{addr: addr, sources: sources{one: "192.0.2.1", n: 1}, workers: 1, limit: time.Minute, requests: []string{request("GET", "/")}}
	if _, err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), "connect from 192.0.2.1") {
		t.Errorf("a source that is not ours gave %v", err)
	}
}

func TestAsk(t *testing.T) {
	addr, s := newServer(t)
	status, body, err := get(addr, "127.0.1.1", "/403")
	if err != nil || status != 403 || body != "body of /403" {
		t.Errorf("%d %q %v", status, body, err)
	}
	if s.sources["127.0.1.1"] != 1 {
		t.Errorf("sources %v", s.sources)
	}
	free, err := testbed.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(free, "", "/"); err == nil {
		t.Error("no error where nobody listens")
	}
}

func TestScenariosAreSound(t *testing.T) {
	names := map[string]bool{}
	for _, sc := range scenarios {
		if names[sc.name] || sc.title == "" || sc.about == "" || sc.drive == nil {
			t.Errorf("scenario %q is incomplete or twice there", sc.name)
		}
		names[sc.name] = true
	}
	for _, g := range goals {
		if !names[g.scenario] {
			t.Errorf("goal for unknown scenario %q", g.scenario)
		}
	}
	for i, r := range scanRequests {
		for _, other := range scanRequests[:i] {
			if r == other {
				t.Errorf("scan request %d is not distinct", i)
			}
		}
	}
}

func TestOwnLoadCountsOtherAnswers(t *testing.T) {
	addr, _ := newServer(t)
	drive := ownLoad(func(trip) load {
		return load{sources: sources{net: 9, n: 10}, once: true, perSource: 2, requests: []string{request("GET", "/404"), request("GET", "/")}}
	}, http.StatusNotFound)
	s, err := drive(t.Context(), trip{addr: addr, length: time.Minute})
	if err != nil || s.requests != 20 || s.wrong != 10 {
		t.Errorf("%+v, %v; want 20 requests, 10 of them wrong", s, err)
	}
	if s.p50 <= 0 || s.p99 < s.p50 || s.elapsed <= 0 {
		t.Errorf("times %+v", s)
	}
}
