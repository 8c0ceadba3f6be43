package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// sidecarOf is a sidecar in front of an app that answers as told.
func sidecarOf(t *testing.T, answer http.HandlerFunc, log io.Writer) *Sidecar {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	upstream, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return NewSidecar(upstream, slog.New(slog.NewTextHandler(log, nil)), nil)
}

var (
	found    = app.Witness{Present: true, Routing: app.Found}
	lacking  = app.Witness{Present: true, Routing: app.NotFound}
	noMethod = app.Witness{Present: true, Routing: app.MethodNotAllowed}
	nothing  = app.Witness{}
)

// TestSidecarBelievesStatuses only where random paths don't get the same.
func TestSidecarBelievesStatuses(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   map[int]app.Witness
		warned string
	}{
		"an app that answers 404": {http.NotFound,
			map[int]app.Witness{200: found, 201: found, 302: found, 404: lacking, 405: noMethod, 401: nothing, 403: nothing, 410: nothing, 500: nothing, 0: nothing}, ""},
		"a login wall": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
			map[int]app.Witness{302: nothing, 200: found, 301: found, 404: lacking}, "[302]"},
		"a page of its own for some": {func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, ".html") {
				http.NotFound(w, r)
			}
		}, map[int]app.Witness{200: nothing, 302: found, 404: lacking}, "[200]"},
		"an API that forbids": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				http.Error(w, "who?", http.StatusUnauthorized)
				return
			}
			http.Error(w, "no such method", http.StatusMethodNotAllowed)
		}, map[int]app.Witness{401: nothing, 405: nothing, 200: found, 404: lacking}, "[401 405]"},
	} {
		var log strings.Builder
		s := sidecarOf(t, tt.answer, &log)
		for status := range tt.want {
			if got := s.Testify(status, nil); got != nothing {
				t.Errorf("%s: before it was asked, %d says %+v", name, status, got)
			}
		}
		for range 2 { // told of once
			if err := s.probe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for status, want := range tt.want {
			if got := s.Testify(status, nil); got != want {
				t.Errorf("%s: %d says %+v, want %+v", name, status, got, want)
			}
		}
		if got := strings.Count(log.String(), "statuses="); got != min(1, len(tt.warned)) || !strings.Contains(log.String(), tt.warned) {
			t.Errorf("%s: warned %q, want once of %s", name, log.String(), tt.warned)
		}
	}
}

// TestSidecarOfAnAppThatStarts: what a gateway answers in its place says nothing of the app.
func TestSidecarOfAnAppThatStarts(t *testing.T) {
	for _, status := range []int{502, 503, 504} {
		answer := status
		s := sidecarOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) }, io.Discard)
		if err := s.probe(t.Context()); err == nil {
			t.Errorf("%d was taken for the app's answer to unknown paths", status)
		}
		if got := s.Testify(200, nil); got != nothing {
			t.Errorf("200 says %+v of an app that was never asked", got)
		}
		answer = 404
		if err := s.probe(t.Context()); err != nil || s.Testify(404, nil) != lacking || s.Testify(200, nil) != found {
			t.Errorf("once it is there: %v, 404 says %+v", err, s.Testify(404, nil))
		}
		answer = status // away again: what was learned stays
		if err := s.probe(t.Context()); err == nil || s.Testify(404, nil) != lacking {
			t.Errorf("away again: %v, 404 says %+v", err, s.Testify(404, nil))
		}
	}
	gone := NewSidecar(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}, slog.New(slog.DiscardHandler), nil)
	if err := gone.probe(t.Context()); err == nil || gone.Testify(404, nil) != nothing {
		t.Errorf("nobody there: %v", err)
	}
}

// TestSidecarAsks random paths, without a redirect's target, each time others.
func TestSidecarAsks(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]bool{}
	s := sidecarOf(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path] = true
		if r.Method != http.MethodGet || !strings.Contains(r.UserAgent(), "flask2ban") {
			t.Errorf("%s %s by %q", r.Method, r.URL, r.UserAgent())
		}
		http.Redirect(w, r, "/login", http.StatusFound)
	}, io.Discard)
	for range 3 {
		if err := s.probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 12 || asked["/login"] {
		t.Errorf("asked %v, want 12 different paths", asked)
	}
}

// TestSidecarServesUntilItsEnd.
func TestSidecarServesUntilItsEnd(t *testing.T) {
	asked := make(chan struct{}, 100)
	s := sidecarOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		http.NotFound(w, r)
	}, io.Discard)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	for range 4 {
		select {
		case <-asked:
		case <-time.After(time.Minute):
			t.Fatal("the app is not asked")
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSidecarSendsAgain only what is safe, or was never sent.
func TestSidecarSendsAgain(t *testing.T) {
	s := NewSidecar(&url.URL{Scheme: "https", Host: "h"}, slog.New(slog.DiscardHandler), nil)
	s.reach.away.Store(nil) // it is there
	broken, unsent := errors.New("broken"), errUnsent{errors.New("no room")}
	for _, tt := range []struct {
		safe  bool
		cause error
		again bool
	}{{true, broken, true}, {false, unsent, true}, {true, unsent, true}, {false, broken, false}} {
		if err := s.Again(t.Context(), nil, tt.safe, tt.cause); (err == nil) != tt.again {
			t.Errorf("safe %v, %v: %v", tt.safe, tt.cause, err)
		}
	}
	if !s.TLS() || s.Wait(t.Context()) != nil {
		t.Error("https, or its being there, is not known")
	}
}

// TestLiteralsAreBounded: a flood of paths that the app answers neither grows without end
// nor keeps others from being learned.
func TestLiteralsAreBounded(t *testing.T) {
	var l literals
	for n := range 3 * maxLiterals {
		l.note("GET", fmt.Sprint("/flood/", n), "client")
	}
	if len(l.seen) > maxLiterals {
		t.Errorf("%d paths are kept, want at most %d", len(l.seen), maxLiterals)
	}
	if l.note("GET", "/"+strings.Repeat("x", maxLiteral), "client") || len(l.seen) > maxLiterals {
		t.Error("a path that is too long was noted")
	}
	learned := 0
	for _, client := range []string{"a", "a", "b", "b", "c", "d"} {
		if l.note("GET", "/page", client) {
			learned++
		}
	}
	if learned != 1 {
		t.Errorf("learned %d times from four clients, want once, with the third", learned)
	}
	if l.note("POST", "/page", "a") {
		t.Error("another method was learned with it")
	}
}
