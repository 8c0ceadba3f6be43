package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Of the load of every case.
const (
	getsPerPost = 5
	// clients are as many addresses: nobody is throttled.
	clients = 40
	// patience is a client's; whoever waits longer is lost.
	patience = 90 * time.Second
)

// result is what became of the load.
type result struct {
	mu             sync.Mutex
	gets, getsLost int
	posts          map[string]int // by id, the status; 0 is no answer
	slowest        time.Duration
	why            map[string]int // of what was lost
}

func newResult() *result { return &result{posts: map[string]int{}, why: map[string]int{}} }

// posted sums up the POSTs by what ran in the app.
type posted struct{ sent, unreadLost, readLost, twice int }

func (r *result) posted(ranFile string) posted {
	ran := map[string]int{}
	data, _ := os.ReadFile(ranFile) // none ran where there is none
	for line := range strings.Lines(string(data)) {
		ran[strings.TrimSpace(line)]++
	}
	p := posted{sent: len(r.posts)}
	for id, status := range r.posts {
		switch {
		case ran[id] > 1:
			p.twice++
		case status == http.StatusOK:
		case ran[id] == 0:
			p.unreadLost++
		default:
			p.readLost++
		}
	}
	return p
}

// agents are HTTP clients with an address each.
type agents []*http.Client

func newAgents(site int) agents {
	var all agents
	for n := range clients {
		from := &net.TCPAddr{IP: net.IPv4(127, 77, byte(site), byte(n+1))}
		dialer := &net.Dialer{LocalAddr: from, Timeout: patience}
		all = append(all, &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 64}})
	}
	return all
}

// run sends the load at its pace, however long answers take, until ctx ends,
// and returns when every request has its end.
func (a agents) run(ctx context.Context, url string, gets int, r *result) {
	var all sync.WaitGroup
	beat := time.NewTicker(time.Second / time.Duration(gets))
	defer beat.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			all.Wait()
			return
		case <-beat.C:
		}
		client := a[n%len(a)]
		all.Go(func() { a.get(client, url, r) })
		if n%getsPerPost == 0 {
			all.Go(func() { a.post(client, url, fmt.Sprint("p", n), r) })
		}
	}
}

func (agents) get(client *http.Client, url string, r *result) {
	began := time.Now()
	status, err := finish(client.Get(url + "/"))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gets++
	r.slowest = max(r.slowest, time.Since(began))
	if status != http.StatusOK {
		r.getsLost++
		r.why[fmt.Sprintf("GET: %d %v", status, err)]++
	}
}

func (agents) post(client *http.Client, url, id string, r *result) {
	began := time.Now()
	// A body without GetBody: Go's client must not send it twice by itself.
	status, err := finish(client.Post(url+"/post", "text/plain", io.NopCloser(strings.NewReader(id))))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts[id] = status
	r.slowest = max(r.slowest, time.Since(began))
	if status != http.StatusOK {
		r.why[fmt.Sprintf("POST: %d %v", status, err)]++
	}
}

// finish reads an answer to its end.
func finish(res *http.Response, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	return res.StatusCode, nil
}
