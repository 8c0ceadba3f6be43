package app

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An event says how many requests waited for it, were sent again and lost.
func TestAnEventSaysWhatItCost(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "import os, time\nif os.path.exists('slow'):\n    time.sleep(2)\n" + slowToRead})
	r := start(t, Config{App: "app.py", Dir: dir})
	if err := os.WriteFile(filepath.Join(dir, "slow"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	begun := r.post("begun", "/post?die=1", "c-1")
	unread := &posted{flight: &Flight{ID: "c-2", Method: "POST", Route: "/post"}}
	r.Enter(unread.flight)
	defer r.Leave(unread.flight)
	if got := begun.status(); got != "" {
		t.Fatalf("got %s from a process that died", got)
	}
	eventually(t, "it is away", func() bool { return r.State().Name != Ready })
	waited := make(chan error, 2)
	for range cap(waited) {
		go func() { waited <- r.Wait(t.Context()) }()
	}
	again := make(chan error, 1)
	go func() { again <- r.Again(t.Context(), unread.flight, false, false) }()
	if err := r.Again(t.Context(), begun.flight, false, false); err == nil {
		t.Error("a POST that has run may be sent again")
	}
	begun.flight.Lost() // as the proxy says when it answers 502
	if err := <-again; err != nil {
		t.Fatalf("a POST that never came may not be sent again: %v", err)
	}
	unread.send(r, "again", "/post")
	if got := unread.status(); !strings.Contains(got, "200") {
		t.Errorf("the second try got %q", got)
	}
	unread.flight.Answered()
	for range cap(waited) {
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
	e := r.event(Killed)
	want := `^requests: 2 waited, 1 sent again, 1 lost; longest wait ([2-9]|\d\d)[.\d]*s; away for ([2-9]|\d\d)[.\d]*s$`
	if !regexp.MustCompile(want).MatchString(e.Cost) {
		t.Errorf("it cost %q, want %s", e.Cost, want)
	}
}

func TestTollInWords(t *testing.T) {
	for want, toll := range map[string]*toll{
		"no request waited or was lost":                         {},
		"connections wait in the kernel's queue; away for 1.2s": {unseen: true, away: 1200 * time.Millisecond},
		"requests: 3 waited; longest wait 250ms":                {waited: 3, longest: 250 * time.Millisecond},
		"requests: 1 sent again, 2 lost":                        {again: 1, lost: 2},
	} {
		if got := toll.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What was lost long before is no cost of a later event, and no event has the
// cost of another.
func TestTollsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{app: &App{traffic: newTraffic()}}
		p.tollNow().count(0, 0, 1, 0)
		time.Sleep(tollFor + time.Second)
		first := p.trouble(true)
		p.tollNow().count(0, 2, 0, 0)
		time.Sleep(time.Minute) // it takes its time to start again
		p.tollNow().count(3, 0, 1, time.Minute)
		p.relieve(time.Now())
		p.tollNow().count(0, 0, 2, 0) // before the next is known
		second := p.trouble(false)
		p.tollNow().count(5, 0, 0, 0)
		for want, got := range map[string]string{
			"requests: 3 waited, 2 sent again, 1 lost; longest wait 1m0s; away for 1m0s": first.String(),
			"requests: 5 waited, 2 lost": second.String(),
		} {
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Who waits for an app that does not come back is lost, who leaves has waited.
func TestWaitingIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &App{history: newHistory(), traffic: newTraffic()}
		p := &place{app: a, state: State{Name: Restarting}}
		a.history.accept(p)
		event := p.trouble(true)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		a.Wait(ctx)
		leaves, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		a.Wait(leaves)
		a.Wait(leaves) // only asks
		if got, want := event.String(), "requests: 1 waited, 1 lost; longest wait 3s"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Who waited for the app's first start is no cost of what happens just after it.
func TestAStartIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &App{history: newHistory(), traffic: newTraffic()}
		p := &place{app: a, state: State{Name: Starting}}
		a.history.accept(p)
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		a.Wait(ctx)
		p.relieve(time.Now())
		event := p.trouble(true)
		if got, want := event.String(), "no request waited or was lost"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
