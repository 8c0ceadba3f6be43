package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// deafFor is how long a running app may have its port closed.
const deafFor = 30 * time.Second

// elsewhere is a listening socket that the app has opened itself, because ours
// did not reach its server: on the port that PORT has named to it, or on any.
// It refuses connections while the app restarts, and somebody else may open the
// port meanwhile. So nobody is taken for the app but a process of the instance,
// and each connection is checked when it is made.
type elsewhere struct {
	addr netip.AddrPort
	// given says that it is the port that we have named to this instance;
	// else the next one will have the same.
	given bool
	// hooked says that the hook answers there.
	hooked bool
	tls    bool

	mu     sync.Mutex
	inode  uint64 // of the app's socket there; 0 while there is none
	queued int
	looked time.Time
}

// dial is where we reach it on this machine.
func (e *elsewhere) dial() string { return dialable(e.addr) }

// look says whether a socket of the app's is open there, and how many
// connections wait in it. What was seen within the last age is believed.
func (e *elsewhere) look(i *instance, age time.Duration) (queued int, open bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); now.Sub(e.looked) >= age {
		e.refresh(i)
		e.looked = now
	}
	return e.queued, e.inode != 0
}

// refresh finds the socket again: an app that restarts itself opens another
// one at the same address. e.mu is held.
func (e *elsewhere) refresh(i *instance) {
	all := listeningSockets()
	here := func(s openSocket) bool { return s.addr == e.addr }
	n := slices.IndexFunc(all, func(s openSocket) bool { return here(s) && s.inode == e.inode })
	if n < 0 && i != nil && slices.ContainsFunc(all, here) {
		all = i.opened()
		n = slices.IndexFunc(all, here)
	}
	e.inode, e.queued = 0, 0
	if n >= 0 {
		e.inode, e.queued = all[n].inode, all[n].queued
	}
}

// serveAt sends the place's requests to a port of the app's own from now on;
// nil is our socket again.
func (p *place) serveAt(e *elsewhere) {
	before := p.elsewhere.Swap(e)
	if e == nil {
		return
	}
	p.app.tls.Store(e.tls)
	if before == nil || before.given != e.given || before.addr != e.addr && !e.given {
		p.tellElsewhere(e)
	}
	if !e.given {
		p.app.keepOnly(p)
	}
}

// tellElsewhere says that the app has not taken our socket, and what that means.
func (p *place) tellElsewhere(e *elsewhere) {
	c := p.app.config
	event := Event{Kind: Noted, Seen: "the app did not take our socket; it listens on " + e.addr.String() + " by itself",
		Done: "requests go there, and wait while it restarts"}
	var costs []string
	switch {
	case c.OwnPort:
		event.Done = "it is kept alive there"
		costs = append(costs, "connections are refused while it restarts")
	case !e.addr.Addr().IsLoopback():
		costs = append(costs, "others reach it there past "+c.Program+": have it listen on 127.0.0.1, or close the port with a firewall")
	}
	if !e.given {
		costs = append(costs, "only one instance can run, and the old one ends before a new one starts")
	}
	event.Cost = strings.Join(costs, "; ")
	p.app.note(event)
	if event.Cost != "" {
		p.app.log.Warn(event.Seen, "cost", event.Cost)
	}
}

// keepOnly ends all places but p, which has a port that only one can have.
func (a *App) keepOnly(p *place) {
	if a.history.othersReady(p) {
		return // on our socket
	}
	for _, other := range a.history.accepting() {
		if other != p {
			a.history.replace(other, nil)
			other.retire()
		}
	}
}

// fixed says that the app has a port which only one instance can have.
func (p *place) fixed() bool {
	e := p.elsewhere.Load()
	return e != nil && !e.given
}

// address is where requests go, dial where we reach that.
func (p *place) address() string {
	if e := p.elsewhere.Load(); e != nil {
		return e.dial()
	}
	return p.socket.address().String()
}

func (p *place) dial() string {
	if e := p.elsewhere.Load(); e != nil {
		return e.dial()
	}
	return p.socket.dial()
}

// queued is how many connections wait to be accepted.
func (p *place) queued() (int, error) {
	e := p.elsewhere.Load()
	if e == nil {
		return p.socket.queued()
	}
	n, open := e.look(p.current.Load(), 0)
	if !open {
		return 0, fmt.Errorf("the app has closed %s", e.addr)
	}
	return n, nil
}

// open says whether the place takes connections. Our socket always does, also
// while there is no instance.
func (p *place) open() bool {
	e := p.elsewhere.Load()
	if e == nil {
		return true
	}
	_, open := e.look(p.current.Load(), readyPoll)
	return open
}

// refused says that somebody was refused: what was seen before is not so any
// more.
func (p *place) refused() {
	if e := p.elsewhere.Load(); e != nil {
		e.mu.Lock()
		e.looked = time.Time{}
		e.mu.Unlock()
	}
}

// awaitOpen is the place for the next request, once it takes connections.
func (a *App) awaitOpen(ctx context.Context) (*place, error) {
	for {
		if err := a.history.wait(ctx); err != nil {
			return nil, err
		}
		p := a.pick()
		if p == nil {
			return nil, ErrStopped
		}
		if p.open() {
			return p, nil
		}
		if !sleep(ctx, readyPoll) {
			return nil, ctx.Err()
		}
	}
}

// Reached says whether a connection that was just made to [Flight.Addr] leads
// to the app. A port that the app has opened itself may be another's meanwhile.
func (f *Flight) Reached(c net.Conn) bool {
	remote, ok := c.RemoteAddr().(*net.TCPAddr)
	p := f.to.Load()
	if p == nil || !ok {
		return true
	}
	port := uint16(remote.Port)
	e := p.elsewhere.Load()
	if e == nil {
		return port == p.socket.address().Port()
	}
	_, open := e.look(p.current.Load(), 0)
	return open && port == e.addr.Port()
}
