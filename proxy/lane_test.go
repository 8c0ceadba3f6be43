package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
)

// TestLaneQuit: who gives up waiting neither keeps a place nor takes one from those behind.
func TestLaneQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lanes
		client, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		for range laneWidth {
			if !l.enter(t.Context(), client) {
				t.Fatal("no place in an empty lane")
			}
		}
		impatient, leave := context.WithCancel(t.Context())
		gaveUp := make(chan bool, 1)
		go func() { gaveUp <- !l.enter(impatient, client) }()
		synctest.Wait()
		entered := make(chan struct{})
		go func() {
			l.enter(t.Context(), client)
			close(entered)
		}()
		synctest.Wait()
		if !l.enter(t.Context(), other) {
			t.Error("another client waits for this one's places")
		}
		l.leave(other)
		leave()
		if !<-gaveUp {
			t.Error("it entered without a place")
		}
		select {
		case <-entered:
			t.Error("the one behind got a place that nobody left")
		default:
		}
		l.leave(client)
		<-entered
		for range laneWidth {
			l.leave(client)
		}
		if len(l.open) != 0 {
			t.Errorf("lanes are left: %v", l.open)
		}
	})
}

// TestLaneQuitMeetsItsTurn: a place that comes as one gives up goes to the next.
func TestLaneQuitMeetsItsTurn(t *testing.T) {
	var l lanes
	client := netip.MustParsePrefix("192.0.2.1/32")
	for range laneWidth {
		l.enter(t.Context(), client)
	}
	next, _ := l.queue(client)
	l.leave(client) // its turn has come
	<-next
	l.quit(client, next) // but it is gone
	l.leave(client)
	if len(l.open) != 0 {
		t.Errorf("a place is lost: %v", l.open)
	}
	// The same by chance, many times over.
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			if l.enter(ctx, client) {
				l.leave(client)
			}
		})
	}
	all.Wait()
	if len(l.open) != 0 {
		t.Errorf("places are lost: %v", l.open)
	}
}

// TestLaneIsBounded: HTTP/2 lets a client begin any number of requests.
func TestLaneIsBounded(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unknown" {
			<-hold
		}
		flask(w, r)
	}, nil)
	const more = 20
	codes := make(chan int, laneWidth+laneQueue+more)
	for range cap(codes) {
		go func() { codes <- g.do("192.0.2.1", "GET", "/unknown").Code }()
	}
	for range more {
		if got := <-codes; got != http.StatusServiceUnavailable {
			t.Errorf("beyond the bound: %d, want 503", got)
		}
	}
	if got := g.do("192.0.2.2", "GET", "/user/x").Code; got != 200 {
		t.Errorf("another client: %d, want 200", got)
	}
	close(hold)
	for range laneWidth + laneQueue {
		if got := <-codes; got != 404 {
			t.Errorf("within the bound: %d, want 404", got)
		}
	}
	if left := len(g.handler.lanes.open); left != 0 {
		t.Errorf("%d lanes are still open", left)
	}
}

// TestStreamsHoldNoLane: an app's streams that the table lacks, begun all at once,
// keep no others waiting.
func TestStreamsHoldNoLane(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Routing", "found")
		http.NewResponseController(w).Flush()
		<-hold
	}, nil)
	defer close(hold)
	for range 2 * laneWidth {
		res, err := http.Get(g.front.URL + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if !g.handler.manner.CompareAndSwap(welcoming, unseen) { // as if all came before the first answer
			t.Error("the answer was not judged")
		}
	}
}
