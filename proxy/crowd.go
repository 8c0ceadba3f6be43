package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// crowd are the open connections. There are at most max. Where there is no room
// for another, the client with the most gives one up, so that who opens
// thousands and says nothing keeps nobody out. Addresses that stand for many
// (shared) give none.
type crowd struct {
	max    int
	rate   int64 // bytes a second that a client must take; 0 for any
	shared func(netip.Addr) bool
	tell   func(reason string, cause error, client netip.Addr) // of each connection that was given up

	clock atomic.Int64 // seconds, as sweep counts them

	mu    sync.Mutex
	conns []*crowdConn
	held  map[netip.Addr]int // connections of each client
}

// Bounds of the crowd.
const (
	maxConnections = 20_000
	// spareFiles are the file descriptors kept for all but connections.
	spareFiles = 256
	// crowdSample is how many connections are looked at to find one of the
	// client with the most: who holds half of all is missed once in 2^32.
	crowdSample = 32
	// crowdShare is the part of all connections from which on a client's are
	// given up though a request is under way.
	crowdShare = 8
	// patience is how long a client may take or send nothing at all. nginx has
	// the same between two reads, and two writes.
	patience = time.Minute
	// sweepEvery is how often clients that take nothing are looked for.
	sweepEvery = time.Second
)

// newCrowd is of a server with this configuration.
func newCrowd(c ServerConfig) *crowd {
	room := orDefault(c.MaxConnections, maxConnections)
	var limit syscall.Rlimit
	// Go raises the soft limit to the hard one at the start.
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(2*room+spareFiles) {
		room = max(int(limit.Cur)-spareFiles, 2) / 2
		c.Log.Info("the limit of open files allows fewer connections", "connections", room, "files", limit.Cur,
			"remedy", "raise it: ulimit -Hn, or LimitNOFILE= of the systemd unit")
	}
	warnings := &onceLog{log: c.Log}
	return &crowd{max: room, rate: c.MinRate, shared: c.Shared, tell: func(reason string, cause error, client netip.Addr) {
		if c.Shed != nil {
			c.Shed(reason)
		}
		if reason != "slow" {
			warnings.warn(reason, "connections are given up, those of the clients with the most first", "connections", room, "error", cause, "client", client)
		}
	}}
}

// errFull is why a connection is given up, or not taken.
var errFull = errors.New("all connections are taken")

// crowdConn is one of them.
type crowdConn struct {
	net.Conn
	crowd *crowd
	owner netip.Addr // the zero Addr: shared
	lease lease      // what rules count of it
	at    int        // its index, -1 when it has left
	since int64      // when it came, by the crowd's clock

	fresh   atomic.Bool  // its first request is not read yet
	waiting atomic.Bool  // no request is under way
	due     atomic.Int64 // when the Write under way must have ended; 0 for none
}

// join takes a connection in, or closes it and returns nil.
func (c *crowd) join(conn net.Conn, release func()) net.Conn {
	mine := &crowdConn{Conn: conn, crowd: c, at: -1, since: c.clock.Load()}
	mine.lease.hold(release)
	mine.waiting.Store(true)
	mine.fresh.Store(true)
	if peer := client64(addrOf(conn.RemoteAddr())); c.shared == nil || !c.shared(peer) {
		mine.owner = peer
	}
	c.mu.Lock()
	loser := c.place(mine)
	c.mu.Unlock()
	if loser != nil {
		loser.reset()
		c.tell("full", errFull, loser.owner)
	}
	if loser == mine {
		return nil
	}
	return mine
}

// place adds a connection, and returns the one that must go for it, which may
// be itself. The lock is held.
func (c *crowd) place(mine *crowdConn) (loser *crowdConn) {
	if len(c.conns) >= c.max {
		loser = c.victim()
		if loser == nil || c.held[loser.owner] <= c.held[mine.owner] {
			return mine
		}
		c.drop(loser)
	}
	c.add(mine)
	return loser
}

// relieve closes one connection after accepting failed for want of file
// descriptors.
func (c *crowd) relieve(err error) {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return
	}
	c.mu.Lock()
	victim := c.victim()
	if victim != nil {
		c.drop(victim)
	}
	c.mu.Unlock()
	if victim == nil {
		c.tell("descriptors", err, netip.Addr{})
		return
	}
	victim.reset()
	c.tell("descriptors", err, victim.owner)
}

// victim finds a connection to give up: of the client with the most, the oldest
// one; nil for none. The lock is held.
func (c *crowd) victim() *crowdConn {
	var best *crowdConn
	for range min(crowdSample, len(c.conns)) {
		one := c.conns[rand.IntN(len(c.conns))]
		held := c.held[one.owner]
		if !one.owner.IsValid() || !one.waiting.Load() && held <= c.max/crowdShare {
			continue
		}
		if best == nil || held > c.held[best.owner] || held == c.held[best.owner] && one.since < best.since {
			best = one
		}
	}
	return best
}

// add and drop keep the books. The lock is held.
func (c *crowd) add(one *crowdConn) {
	one.at = len(c.conns)
	c.conns = append(c.conns, one)
	if c.held == nil {
		c.held = map[netip.Addr]int{}
	}
	if one.owner.IsValid() {
		c.held[one.owner]++
	}
}

func (c *crowd) drop(one *crowdConn) {
	if one.at < 0 {
		return
	}
	last := len(c.conns) - 1
	c.conns[one.at] = c.conns[last]
	c.conns[one.at].at = one.at
	c.conns[last] = nil
	c.conns = c.conns[:last]
	one.at = -1
	if !one.owner.IsValid() {
		return
	}
	if c.held[one.owner]--; c.held[one.owner] == 0 {
		delete(c.held, one.owner)
	}
}

// sweep closes the connections of clients that take nothing of their answers,
// until ctx ends.
func (c *crowd) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, one := range c.overdue(c.clock.Add(1)) {
				one.reset()
				c.tell("slow", errTooSlow, one.owner)
			}
		}
	}
}

// errTooSlow is why a client's connection is closed in the middle.
var errTooSlow = errors.New("the client takes or sends too little")

func (c *crowd) overdue(now int64) []*crowdConn {
	var all []*crowdConn
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.conns {
		if due := one.due.Load(); due != 0 && due < now {
			all = append(all, one)
		}
	}
	return all
}

// Write implements net.Conn. sweep ends one that takes too long.
func (o *crowdConn) Write(p []byte) (int, error) {
	if o.crowd.rate > 0 {
		o.due.Store(o.crowd.clock.Load() + int64(patience/time.Second) + int64(len(p))/o.crowd.rate)
		defer o.due.Store(0)
	}
	return o.Conn.Write(p)
}

// Close implements net.Conn.
func (o *crowdConn) Close() error {
	o.lease.end()
	o.crowd.mu.Lock()
	o.crowd.drop(o)
	o.crowd.mu.Unlock()
	return o.Conn.Close()
}

// reset closes without waiting for what the client has not taken.
func (o *crowdConn) reset() {
	if tcp, ok := o.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	o.Close()
}

// Bounds of awaitFirst.
const (
	freshPatience = 5 * time.Second // as http.Server.Shutdown's
	freshPoll     = 20 * time.Millisecond
)

// awaitFirst returns when the first request of each connection has come, in
// freshPatience at most: http.Server.Shutdown drops those that it has begun to
// read. A request gets from its end to the handler within a poll.
func (c *crowd) awaitFirst(ctx context.Context) {
	tick := time.NewTicker(freshPoll)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, freshPatience)
	defer cancel()
	for calm := 0; calm < 2; calm++ {
		if c.anyFresh() {
			calm = -1
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *crowd) anyFresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.conns, func(one *crowdConn) bool { return one.fresh.Load() })
}

// track is http.Server's ConnState: it knows when a request is under way.
func (c *crowd) track(conn net.Conn, state http.ConnState) {
	for {
		switch inner := conn.(type) {
		case *crowdConn:
			inner.waiting.Store(state == http.StateNew || state == http.StateIdle)
			inner.fresh.Store(state == http.StateNew)
			return
		case *tls.Conn:
			conn = inner.NetConn()
		case *headedConn:
			conn = inner.Conn
		default:
			return
		}
	}
}

// client64 makes the addresses of one IPv6 network one client, as clients are
// counted elsewhere by default.
func client64(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
