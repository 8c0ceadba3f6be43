package proxy

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// background asks for a target in the background and closes the channel at its end.
func (g *rig) background(target string) chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		res, err := http.Get(g.front.URL + target)
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}()
	return ended
}

func TestLoadTellsWhatTheAppIsAt(t *testing.T) {
	free := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) { <-free; io.WriteString(w, "fine") },
		func(c *Config, _ *ban.Config) { c.Queue.Slots = func() int { return 1 }; c.Now = nil })
	first := g.background("/user/alice")
	await(t, "one is with the app", func() bool { return g.handler.Load().InFlight == 1 })
	second := g.background("/2020")
	await(t, "one waits", func() bool { return g.handler.Load().Waiting == 1 })
	l := g.handler.Load()
	if l.Limit != 1 || l.LongestWait <= 0 {
		t.Errorf("busy: %+v", l)
	}
	if got := g.handler.ClassDepths()[ban.Normal]; got != 1 {
		t.Errorf("%d wait in the normal class, want 1", got)
	}
	close(free)
	<-first
	<-second
	await(t, "both are done", func() bool { l := g.handler.Load(); return l.InFlight == 0 && l.Waiting == 0 })
	g.handler.gate.mu.Lock()
	defer g.handler.gate.mu.Unlock()
	if u := g.handler.gate.queue.routes["/user/<username>"]; u == nil || u.n != 1 || u.mean <= 0 || u.mean > time.Minute {
		t.Errorf("usual: %+v", u)
	}
}
