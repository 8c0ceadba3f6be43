package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

func TestOutcomeCounts(t *testing.T) {
	var r outcome
	for status, n := range map[int]int{http.StatusOK: 3, refusedAnswer: 2, http.StatusServiceUnavailable: 4, http.StatusTooManyRequests: 1, http.StatusNotFound: 1} {
		for range n {
			r.count(status)
		}
	}
	if r.served != 3 || r.lost != 2 || r.refused != 6 {
		t.Errorf("served %d, lost %d, refused %d; want 3, 2, 6", r.served, r.lost, r.refused)
	}
}

// times is a list of n durations: 1, 2, 3 ... units.
func times(n int, unit time.Duration) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = time.Duration(n-i) * unit // unsorted
	}
	return list
}

func TestOutcomeRow(t *testing.T) {
	c := contender{name: "it", about: "about it"}
	for name, tt := range map[string]struct {
		outcome outcome
		want    string
	}{
		"all of it": {
			outcome{unloaded: times(100, time.Millisecond), loaded: times(100, 2*time.Millisecond), asked: 200, served: 300, refused: 20, lost: 10, elapsed: 10 * time.Second},
			"| it | about it | 50 % | 102 ms | 200 ms | 100 ms | 2.00 | 30.0 | 40 % | 2 | 1 |\n",
		},
		"nothing served": {
			outcome{unloaded: times(10, time.Millisecond), asked: 40, lost: 8000, elapsed: 10 * time.Second},
			"| it | about it | 0 % | 0.00 ms | - | 10 ms | - | 0.0 | 0 % | 0 | 800 |\n",
		},
		"nobody asked": {
			outcome{unloaded: times(1, time.Millisecond), elapsed: time.Second},
			"| it | about it | 0 % | 0.00 ms | - | 1.00 ms | - | 0.0 | 0 % | 0 | 0 |\n",
		},
	} {
		if got := tt.outcome.row(c, 75); got != tt.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, tt.want)
		}
	}
}

// TestOverloadPage: the text's figures are those that are used, and each contender has a
// row with as many cells as the head.
func TestOverloadPage(t *testing.T) {
	o := options{rounds: 2, length: 7 * time.Second}
	list := []contender{{name: "nginx limit_req"}, {name: "flask2ban"}}
	page := overloadPage(t.Context(), o, list, []outcome{{elapsed: time.Second}, {elapsed: time.Second}}, 71.25)
	for _, want := range []string{
		"2 interleaved rounds of 7s each", "71.2 requests/s", fmt.Sprintf("%d requests/s from %d addresses", floodRate, floodSources.n),
		"leave after " + patience.String(), "\n| nginx limit_req | ", "\n| flask2ban | ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	cells := 0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if n := strings.Count(line, "|"); cells > 0 && n != cells {
			t.Errorf("%d bars where the head has %d: %s", n, cells, line)
		} else {
			cells = n
		}
	}
}

// crowdedServer serves one at a time for service each, refuses the second that
// waits, and knows the priority peer.
func crowdedServer(t *testing.T, service time.Duration) (addr string, sources *sync.Map) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var busy atomic.Int32
	slot := make(chan struct{}, 1)
	sources = &sync.Map{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		sources.Store(host, true)
		if host != prioritySrc {
			defer busy.Add(-1)
			if busy.Add(1) > 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			slot <- struct{}{}
			defer func() { <-slot }()
			time.Sleep(service) // the work
		}
		io.WriteString(w, "ok")
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String(), sources
}

// TestMeasureUnderLoad floods a tiny server: the priority peer is told from the
// rest, each of the rest has its end counted, and other addresses ask in turn.
func TestMeasureUnderLoad(t *testing.T) {
	addr, sources := crowdedServer(t, 20*time.Millisecond)
	var r outcome
	if err := r.measure(t.Context(), addr, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if len(r.unloaded) != unloadedAsks || r.elapsed != 2*time.Second {
		t.Errorf("%d unloaded answers over %v", len(r.unloaded), r.elapsed)
	}
	if r.asked == 0 || r.asked > 10 || len(r.loaded) != r.asked {
		t.Errorf("the priority peer asked %d times, was served %d times; want up to 8 and all", r.asked, len(r.loaded))
	}
	// How many were sent depends on the machine; most must have been refused, some served.
	if r.served == 0 || r.served > 105 || r.refused < r.served {
		t.Errorf("of the rest served %d (at most 100 are possible), refused %d, lost %d", r.served, r.refused, r.lost)
	}
	for _, source := range []string{prioritySrc, floodSources.at(0), floodSources.at(250)} {
		if _, ok := sources.Load(source); !ok {
			t.Errorf("%s never asked", source)
		}
	}
}

func TestMeasureNeedsAnAppThatAnswers(t *testing.T) {
	addr, err := testbed.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	var r outcome
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := r.measure(ctx, addr, time.Second); err == nil || !strings.Contains(err.Error(), "unloaded: status 0") {
		t.Errorf("got %v", err)
	}
}

// TestAskOnceLeaves: at the end of its context, and with a server that is silent.
func TestAskOnceLeaves(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if status, took := askOnce(ctx, "127.0.1.1", l.Addr().String()); status != refusedAnswer || took >= patience {
		t.Errorf("status %d after %v", status, took)
	}
	if status, took := askOnce(t.Context(), "127.0.1.1", l.Addr().String()); status != refusedAnswer || took < patience {
		t.Errorf("status %d after %v; its patience is %v", status, took, patience)
	}
}

// TestCapacity: a server that takes 20 ms a request, one at a time, serves 50 a second at most.
func TestCapacity(t *testing.T) {
	addr, _ := crowdedServer(t, 20*time.Millisecond)
	got, err := (&site{}).capacity(t.Context(), addr)
	if err != nil || got <= 0 || got > 51 {
		t.Errorf("capacity %.1f a second, %v; want at most 50", got, err)
	}
}

// TestPlainForwarding: this program is the proxy without a policy when it is told so.
func TestPlainForwarding(t *testing.T) {
	upstream, _ := newServer(t)
	addr, err := testbed.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, addr, upstream)
	cmd.Env = append(os.Environ(), forwardVariable+"=1")
	p, err := testbed.Start("plain forwarding", cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(time.Second)
	if err := awaitHTTP(t.Context(), p, addr); err != nil {
		t.Fatal(err)
	}
	if status, body, err := get(addr, "", "/403"); status != http.StatusForbidden || body != "body of /403" {
		t.Errorf("got %d %q %v", status, body, err)
	}
}

// forwardVariable has the test binary be startPlain's proxy.
const forwardVariable = "PEERS_FORWARD_PLAINLY"

func TestMain(m *testing.M) {
	if os.Getenv(forwardVariable) != "" {
		os.Exit(run(context.Background(), append([]string{plainArg}, os.Args[1:]...), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
