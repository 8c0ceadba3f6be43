package app

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	// discoverEvery is between two looks at what an instance has opened.
	discoverEvery = 200 * time.Millisecond
	// settledFor is how long a port must be open until it is asked whether it
	// is the app's: our own socket comes first.
	settledFor = time.Second
)

// discover returns where the instance serves on a port of its own; nil when
// ctx has ended. An app may open other ports first: the port that we have named
// to it, and the one that its predecessor had, are the app's once it has opened
// them; any other has to be open for a while and to answer.
func (i *instance) discover(ctx context.Context) *elsewhere {
	since := map[uint64]time.Time{}
	for sleep(ctx, discoverEvery) {
		if i.wasBound.Load() {
			continue // the hook has handed our socket over
		}
		now := time.Now()
		for _, s := range i.opened() {
			if since[s.inode].IsZero() {
				since[s.inode] = now
			}
			if e := i.recognise(ctx, s, now.Sub(since[s.inode])); e != nil && !i.wasBound.Load() {
				return e
			}
		}
	}
	return nil
}

// recognise returns what an open port of the instance's is to us; nil where it
// is not, or not yet, the app's.
func (i *instance) recognise(ctx context.Context, s openSocket, age time.Duration) *elsewhere {
	e := &elsewhere{addr: s.addr, inode: s.inode}
	before := i.place.elsewhere.Load()
	switch {
	case i.named.number != 0 && int(s.addr.Port()) == i.named.number:
		e.given = i.named.ours
		return e
	case before != nil && before.addr == s.addr && !before.given:
		e.hooked, e.tls = before.hooked, before.tls
		return e
	case age < settledFor || i.strange.has(int(s.addr.Port())):
		return nil
	}
	hooked := slices.ContainsFunc(s.pids, i.hookedIn.has)
	for _, e.tls = range []bool{false, true} {
		answer := i.place.askAt(ctx, e, hooked)
		e.hooked = answer == hookAnswers
		// In a process with the hook, Flask's answers are marked. What is not
		// may be its metrics, while the app is still being imported.
		if e.hooked || answer == otherAnswers && !hooked {
			return e
		}
	}
	return nil
}

// answerer is who answers on a port.
type answerer uint8

const (
	noneAnswers answerer = iota
	otherAnswers
	hookAnswers
)

// askAt asks whoever listens on a port of the instance's for a sign. Nothing of
// a Flask app runs for it: the hook answers before, and a server without one has
// no view for "*".
func (p *place) askAt(ctx context.Context, e *elsewhere, hooked bool) answerer {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	method, at := http.MethodOptions, &url.URL{Scheme: "http", Host: e.dial(), Path: "*"}
	if e.tls {
		at.Scheme = "https"
	}
	if path := p.app.config.HealthPath; hooked || path != "" {
		method, at.Path = http.MethodGet, cmp.Or(path, "/")
	}
	r := (&http.Request{Method: method, URL: at, Header: http.Header{}}).WithContext(ctx)
	r.Header[p.app.secrets.request] = []string{probeID + " "}
	r.Header.Set("User-Agent", p.app.config.Program+" (looks for the app)")
	res, err := probeClient(p).Do(r)
	if err != nil {
		return noneAnswers
	}
	res.Body.Close()
	if res.Header.Get(p.app.secrets.response) != "" {
		return hookAnswers
	}
	return otherAnswers
}
