package app

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// vouching is an instance that vouches, and whose last words are not yet heard.
func vouching(t *testing.T) *instance {
	t.Helper()
	file, err := newBoardFile("")
	if err != nil {
		t.Fatal(err)
	}
	heard, said, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close(); heard.Close(); said.Close() })
	i := &instance{
		child: &child{board: board{file: file}, pipe: heard}, app: &App{}, words: &words{pipe: heard},
		served: make(chan struct{}), settled: make(chan struct{}),
	}
	i.wasBound.Store(true)
	i.hasBoard.Store(true)
	close(i.served)
	close(i.settled)
	return i
}

// ends is what [place.runOnce] does when an instance has ended.
func (p *place) ends(i *instance, blind bool) {
	i.words.ended.Store(true)
	if blind {
		p.blind()
	}
	p.current.Store(nil)
	i.board.close()
}

// An instance may end while it is asked whether it has begun a request: the
// answer is then that of one that had ended before.
func TestAnInstanceEndsWhileItIsAsked(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*testing.T, *App, *place, *instance, *Flight)
		want bool
	}{
		{"for good", func(_ *testing.T, _ *App, p *place, i *instance, _ *Flight) {
			p.ends(i, false)
			p.over.Store(true)
		}, true},
		{"and another serves", func(t *testing.T, _ *App, p *place, i *instance, _ *Flight) {
			p.ends(i, false)
			next := vouching(t)
			next.words.ended.Store(true)
			p.current.Store(next)
		}, true},
		{"and another serves that does not vouch", func(t *testing.T, _ *App, p *place, i *instance, _ *Flight) {
			p.ends(i, false)
			next := vouching(t)
			next.indirect.Store(true)
			p.current.Store(next)
		}, false},
		{"with something unheard", func(_ *testing.T, _ *App, p *place, i *instance, _ *Flight) {
			p.ends(i, true)
			p.over.Store(true)
		}, false},
		{"with something unheard, before the client sent the rest", func(_ *testing.T, _ *App, p *place, i *instance, f *Flight) {
			p.ends(i, true)
			f.AwaitsClient(true)
			time.Sleep(time.Microsecond)
			f.AwaitsClient(false)
			p.over.Store(true)
		}, false},
		{"with an announcement", func(_ *testing.T, a *App, p *place, i *instance, f *Flight) {
			a.traffic.begins(f.ID, 1, i, time.Now())
			p.ends(i, false)
			p.over.Store(true)
		}, false},
		{"not at all, and stops to vouch", func(_ *testing.T, _ *App, _ *place, i *instance, _ *Flight) {
			i.indirect.Store(true)
			i.words.ended.Store(true)
		}, false},
		{"while no other ever starts", func(_ *testing.T, _ *App, p *place, i *instance, _ *Flight) {
			p.ends(i, true)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &App{traffic: newTraffic()}
				p, i := &place{app: a}, vouching(t)
				p.current.Store(i)
				f := &Flight{ID: "u-1", Method: "POST", Route: "/post"}
				a.traffic.enter(f, p, time.Now())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got := make(chan bool, 1)
				time.Sleep(time.Microsecond) // it is sent before anything ends
				go func() { got <- a.unread(ctx, f) }()
				synctest.Wait() // it waits for the last words
				c.then(t, a, p, i, f)
				if got := <-got; got != c.want {
					t.Errorf("unread: %t, want %t", got, c.want)
				}
			})
		})
	}
}
