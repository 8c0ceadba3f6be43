package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// TestSuspectsAreMadeOnce: each source asks for its three paths once, and no more
// for as long as the making may take.
func TestSuspectsAreMadeOnce(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	body := "There is nothing at this address."
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		mu.Lock()
		defer mu.Unlock()
		asked[host+r.URL.Path]++
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, body)
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	from := sources{net: 9, n: 300}
	if err := from.offend(t.Context(), addr, 0); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 900 {
		t.Errorf("%d sources and paths, want 900", len(asked))
	}
	for what, n := range asked {
		if want := 1; n != want && what != from.at(0)+"/unknown/one" { // asked again to see who answers
			t.Errorf("%s was asked for %d times, want %d", what, n, want)
		}
	}
	body = "the app's own 404"
	if err := from.offend(t.Context(), addr, 0); err == nil || !strings.Contains(err.Error(), "not answered by flask2ban: the app's own 404") {
		t.Errorf("suspects that the app answers gave %v", err)
	}
}

func TestSuspectsThatGetNo404(t *testing.T) {
	addr, _ := newServer(t)
	err := sources{net: 9, n: 2}.offend(t.Context(), addr, 0)
	if err == nil || !strings.Contains(err.Error(), "making suspects") {
		t.Errorf("got %v", err)
	}
}

func TestTimeLeft(t *testing.T) {
	began := time.Now()
	p := progress{out: io.Discard, began: began, planned: 100 * time.Second}
	if got := p.left(began.Add(time.Hour)); got != 100*time.Second {
		t.Errorf("before anything is done: %s left, want what is planned", got)
	}
	p.step(20 * time.Second)
	p.step(5 * time.Second)
	if got := p.left(began.Add(50 * time.Second)); got != 150*time.Second { // at half the speed
		t.Errorf("%s left, want 2m30s", got)
	}
}

// TestRoundsAreInterleaved: each round begins with another peer, peers without the
// front are left out, and a failure names its scenario and peer.
func TestRoundsAreInterleaved(t *testing.T) {
	var order []string
	one := scenario{name: "one", front: toStatic, drive: func(_ context.Context, tr trip) (sample, error) {
		order = append(order, fmt.Sprint(tr.addr, tr.round))
		return sample{requests: 10, elapsed: time.Second}, nil
	}}
	e := func(addr string) map[front]entrance {
		return map[front]entrance{toStatic: {addr: addr, proxy: func() []testbed.Stat { return nil }}}
	}
	peers := []*peer{{name: "A", fronts: e("a")}, {name: "none", fronts: nil}, {name: "B", fronts: e("b")}}
	var out bytes.Buffer
	r, err := measure(t.Context(), options{rounds: 2, length: time.Second}, one, able(peers, one), &progress{out: &out})
	if err != nil || out.String() != "......" {
		t.Fatalf("%v, printed %q", err, out.String())
	}
	if got, want := fmt.Sprint(order), "[a-1 b-1 a0 b0 b1 a1]"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	if len(r.rounds["A"]) != 2 || len(r.rounds["B"]) != 2 || r.rounds["A"][0].rate != 10 {
		t.Errorf("%+v", r.rounds)
	}
	broken := errors.New("broken")
	one.drive = func(context.Context, trip) (sample, error) { return sample{}, broken }
	_, err = measure(t.Context(), options{rounds: 1, length: time.Second}, one, able(peers, one), &progress{out: &out})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "A: ") {
		t.Errorf("got %v", err)
	}
	one.drive = func(context.Context, trip) (sample, error) { return sample{}, nil }
	one.prepare = func(context.Context, entrance) error { return nil }
	if _, err = measure(t.Context(), options{rounds: 1}, one, able(peers, one), &progress{out: &out}); err == nil || !strings.Contains(err.Error(), "no request was answered") {
		t.Errorf("a round without requests: %v", err)
	}
}

// TestProgressIsPrinted: which scenario, of how many, and the time left.
func TestProgressIsPrinted(t *testing.T) {
	var out bytes.Buffer
	o := options{rounds: 1, length: time.Second, only: regexp.MustCompile("^(forward|refuse)$")}
	if _, err := measureAll(t.Context(), o, nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" 1/2 forward, 0s left: \n", " 2/2 refuse, 0s left: \n", "took 0s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want %q in it", out.String(), want)
		}
	}
}
