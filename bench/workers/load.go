package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// answer is one request with an answer of 200.
type answer struct {
	at   time.Duration // of its end, since the load began
	took time.Duration
}

// answers are those of one load, with how many requests failed.
type answers struct {
	all    []answer
	failed int
	length time.Duration
}

// result sums up a part of a load.
type result struct {
	rate     float64 // answers a second
	p50, p99 time.Duration
	failed   int
}

// load asks for url, from as many addresses as there are clients, for d.
func load(ctx context.Context, url string, d time.Duration) answers {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	began := time.Now()
	var mu sync.Mutex
	a := answers{length: d}
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			own, failed := ask(ctx, url, fmt.Sprintf("127.77.0.%d", n+1), began)
			mu.Lock()
			defer mu.Unlock()
			a.all, a.failed = append(a.all, own...), a.failed+failed
		})
	}
	group.Wait()
	return a
}

// ask is one client.
func ask(ctx context.Context, url, from string, began time.Time) (all []answer, failed int) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		start := time.Now()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return all, failed + 1
		}
		res, err := transport.RoundTrip(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		switch {
		case ctx.Err() != nil:
		case err != nil || res.StatusCode != http.StatusOK:
			failed++
			testbed.Pause(ctx, failurePause)
		default:
			all = append(all, answer{time.Since(began), time.Since(start)})
		}
	}
	return all, failed
}

// failurePause keeps a client that is refused from spinning.
const failurePause = 10 * time.Millisecond

// from sums up what came later than the given time. Failures count all the same.
func (a answers) from(later time.Duration) result {
	var took []time.Duration
	for _, one := range a.all {
		if one.at >= later {
			took = append(took, one.took)
		}
	}
	slices.Sort(took)
	return result{rate: float64(len(took)) / (a.length - later).Seconds(), p50: quantile(took, 0.5), p99: quantile(took, 0.99), failed: a.failed}
}

// quantile is of a sorted list; 0 of an empty one.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
