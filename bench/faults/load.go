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

// posts is how many POSTs come beside so many GETs.
func posts(gets int) int { return gets / getsPerPost }

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
		case status == http.StatusOK && ran[id] == 1:
		case ran[id] == 0:
			p.unreadLost++ // also where an answer says that it ran
		default:
			p.readLost++
		}
	}
	return p
}

// from is a client with an address of its own.
func from(ip net.IP, keep int) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: patience}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: keep, DisableKeepAlives: keep == 0}}
}

// agents are the clients of a case's load.
type agents []*http.Client

func newAgents(site int) agents {
	var all agents
	for n := range clients {
		client := from(net.IPv4(127, 77, byte(site), byte(n+1)), 64)
		client.Timeout = patience
		all = append(all, client)
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
		all.Go(func() { r.get(client, url) })
		if n%getsPerPost == 0 {
			all.Go(func() { r.post(client, url, fmt.Sprint("p", n)) })
		}
	}
}

func (r *result) get(client *http.Client, url string) {
	began := time.Now()
	status, err := finish(client.Get(url + "/"))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gets++
	r.slowest = max(r.slowest, time.Since(began))
	if status != http.StatusOK {
		r.getsLost++
		r.why[reason("GET", status, err)]++
	}
}

func (r *result) post(client *http.Client, url, id string) {
	began := time.Now()
	// A body without GetBody: Go's client must not send it twice by itself.
	status, err := finish(client.Post(url+"/post", "text/plain", io.NopCloser(strings.NewReader(id))))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts[id] = status
	r.slowest = max(r.slowest, time.Since(began))
	if status != http.StatusOK {
		r.why[reason("POST", status, err)]++
	}
}

// reason is why a request was lost, without what differs between the same ones.
func reason(method string, status int, err error) string {
	if err == nil {
		return fmt.Sprintf("%s: status %d", method, status)
	}
	text := err.Error()
	if i := strings.LastIndex(text, "->"); i >= 0 { // addresses and ports
		_, text, _ = strings.Cut(text[i:], ": ")
	}
	return method + ": " + text
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
