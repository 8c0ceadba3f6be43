// Package hostname finds the names of client addresses by forward-confirmed
// reverse DNS: a name that the address's PTR record gives counts only where
// that name resolves to the same address. Whoever holds an address can give it
// any PTR record, but not another's forward zone; search engines document this
// check for their crawlers.
//
// Look-ups run in the background. Nothing on a request's way waits for them.
package hostname

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what look-ups cost, whoever causes them.
const (
	// workers is how many look-ups are in flight at most.
	workers = 32
	// queued is how many more wait for their turn; beyond it none is begun.
	queued = 1024
	// maxNames is how many names of one PTR answer are tried.
	maxNames = 5
	// maxServers is how many servers are asked, one after the other.
	maxServers = 3
)

// How long an answer is believed, whatever its TTL says, and how long the
// lack of one is.
const (
	shortestTTL = time.Minute
	longestTTL  = 24 * time.Hour
	failedTTL   = time.Minute
)

// Defaults of Config.
const (
	DefaultTimeout  = 2 * time.Second
	DefaultPatience = 2 * time.Second
	DefaultMax      = 10_000
)

// resolvConf is where the system names its servers.
const resolvConf = "/etc/resolv.conf"

// Config says whom to ask. The zero value asks the system's servers.
type Config struct {
	// Servers are resolvers as host:port; none means those of
	// /etc/resolv.conf, or where that can't be read, 127.0.0.1:53
	// (resolv.conf(5)). Three are asked at most.
	Servers []string
	// Timeout bounds each question to each server; 0 means 2 s.
	Timeout time.Duration
	// Patience is how long an address is pending at most; 0 means 2 s. A
	// look-up that takes longer goes on, and Known is called all the same.
	Patience time.Duration
	// Max bounds the addresses remembered, those not asked for longest go
	// first; 0 means 10,000.
	Max int
	// Known is called with each address whose look-up has ended, with or
	// without a name. It must not block long. nil calls nobody.
	Known func(netip.Addr)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Resolver knows the names of addresses. It is safe for concurrent use.
type Resolver struct {
	config Config
	queue  chan netip.Addr

	mu    sync.Mutex
	cache cache
	open  map[netip.Addr]time.Time // look-ups begun or queued, since when
}

// New returns a Resolver; it looks nothing up until Serve runs. A server that
// isn't host:port is an error.
func New(c Config) (*Resolver, error) {
	for _, s := range c.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return nil, fmt.Errorf("DNS server %q: %w; want host:port", s, err)
		}
	}
	if len(c.Servers) == 0 {
		c.Servers = systemServers(resolvConf)
	}
	c.Servers = c.Servers[:min(len(c.Servers), maxServers)]
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.Patience = orDefault(c.Patience, DefaultPatience)
	c.Max = orDefault(c.Max, DefaultMax)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Known == nil {
		c.Known = func(netip.Addr) {}
	}
	return &Resolver{
		config: c,
		queue:  make(chan netip.Addr, queued),
		cache:  newCache(c.Max),
		open:   map[netip.Addr]time.Time{},
	}, nil
}

func systemServers(path string) []string {
	c, err := dns.ClientConfigFromFile(path)
	if err != nil || len(c.Servers) == 0 {
		return []string{"127.0.0.1:53"}
	}
	servers := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		servers[i] = net.JoinHostPort(s, c.Port)
	}
	return servers
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Serve looks addresses up until ctx ends, and returns when no look-up is left.
func (r *Resolver) Serve(ctx context.Context) error {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { r.work(ctx) })
	}
	group.Wait()
	return nil
}

func (r *Resolver) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-r.queue:
			found, ttl := r.lookUp(ctx, a)
			if ctx.Err() != nil {
				return
			}
			r.learn(a, found, ttl)
			r.config.Known(a)
		}
	}
}

func (r *Resolver) learn(a netip.Addr, found []string, ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache.put(a, found, r.config.Now().Add(ttl))
	delete(r.open, a)
}

// Match says whether one of the address's confirmed names fits a pattern: a
// name, or with a dot before it the domain and everything below. It never
// blocks. Where the names aren't known, it begins to look them up and says that
// they are pending: once, for no longer than Patience. Names whose time is over
// go on to count while they are asked for again.
func (r *Resolver) Match(a netip.Addr, patterns []string) (matched, pending bool) {
	if len(patterns) == 0 || !a.IsValid() {
		return false, false
	}
	a = a.WithZone("").Unmap()
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	found, fresh, known := r.cache.get(a, now)
	if !fresh {
		since, open := r.begin(a, now)
		pending = !known && open && now.Sub(since) < r.config.Patience
	}
	return fits(found, patterns), pending
}

// begin queues a look-up, unless there is one; open is false where the queue
// is full.
func (r *Resolver) begin(a netip.Addr, now time.Time) (since time.Time, open bool) {
	if since, open = r.open[a]; open {
		return since, true
	}
	select {
	case r.queue <- a:
		r.open[a] = now
		return now, true
	default:
		return now, false
	}
}

// fits says whether a name is, or for a pattern with a dot is in, a pattern.
// Both are in lower case without final dot.
func fits(names, patterns []string) bool {
	for _, name := range names {
		for _, p := range patterns {
			if name == strings.TrimPrefix(p, ".") || p[0] == '.' && strings.HasSuffix(name, p) {
				return true
			}
		}
	}
	return false
}
