package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// errMayHaveBegun is why a request can't be sent again.
var errMayHaveBegun = errors.New("the app may have begun to work on it")

// errHung is why a request is not sent again that may run twice.
var errHung = errors.New("the app hung on it")

// Enter says that f is about to be sent to the app, and to which of its
// instances: [Flight.Addr]. Leave must follow.
func (a *App) Enter(f *Flight) {
	if p := a.pick(); p != nil {
		a.traffic.enter(f, p, time.Now())
	}
}

// Leave says that nothing more of f's answer is awaited.
func (a *App) Leave(f *Flight) {
	if f.traffic != nil {
		a.traffic.leave(f)
	}
}

// pick is the place for the next request; nil once all is over.
func (a *App) pick() *place {
	if p := a.history.only(); p != nil {
		return p
	}
	return a.traffic.quietest(a.history.accepting())
}

// Again prepares f to be sent again, after its connection failed before an
// answer: it waits for an instance and gives f another id and address. safe
// says that the request may run twice (GET). For others there must be proof
// that it did not begin: unsent, or the word of the hook in every process that
// could have it, which is then forbidden to begin it. An error says why f must
// not be sent again.
func (a *App) Again(ctx context.Context, f *Flight, safe, unsent bool) error {
	if f.traffic == nil || f.GivenUp() {
		return errMayHaveBegun
	}
	a.traffic.fails(f, time.Now())
	if a.traffic.blame(f, time.Now()) {
		return errHung
	}
	if !safe && f.HasBegun() {
		return errMayHaveBegun
	}
	if err := a.history.wait(ctx); err != nil {
		return err
	}
	if !safe && !unsent && !a.unread(ctx, f) {
		return errMayHaveBegun
	}
	if unsent {
		f.place.refused()
	}
	p, err := a.awaitOpen(ctx)
	if err != nil {
		return err
	}
	a.traffic.again(f, nextID(f.ID), p, time.Now())
	return nil
}

// unread says that f has not begun and never will. Whatever had its connection
// has either ended, and all that it said has been heard, or is the place's
// instance now, which is told not to begin it.
func (a *App) unread(ctx context.Context, f *Flight) bool {
	for i := f.place.settled(ctx); i != nil && !i.refuses(f.ID); i = f.place.settled(ctx) {
		if f.place.current.Load() == i || ctx.Err() != nil {
			return false
		}
		// It ended while it was asked, and its board with it: what it left
		// unsaid stands in blindTo.
	}
	return f.place.blindTo.Load() < a.traffic.triedAt(f).UnixNano() && !a.traffic.hasBegun(f)
}

// refuses has the instance not begin a request, and says that whatever it has
// begun is known.
func (i *instance) refuses(id string) bool {
	return i.vouches() && i.board.revoke(id) && i.words.drained() && i.vouches()
}

// settled waits until it is clear which instance the place has, and who has
// its socket; nil is none.
func (p *place) settled(ctx context.Context) *instance {
	for !p.over.Load() {
		launching, i := p.launching.Load(), p.current.Load()
		if !launching && i != nil {
			select {
			case <-i.settled:
				return i
			default:
			}
		}
		if !sleep(ctx, readyPoll/4) {
			return i
		}
	}
	return nil
}

// nextID names another try of the same request: "id.2".
func nextID(id string) string {
	name, try, _ := strings.Cut(id, ".")
	n, err := strconv.Atoi(try)
	if err != nil {
		n = 1
	}
	return name + "." + strconv.Itoa(n+1)
}

// probeClient asks over a connection of its own.
func probeClient(*place) *http.Client {
	return &http.Client{
		Timeout:       probeTime,
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
