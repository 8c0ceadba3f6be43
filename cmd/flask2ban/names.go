package main

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/hostname"
)

// names spares the clients whose host name is on the ignore list. They are
// looked up when there is something against them, beside their requests. Until
// an address's name is known, for at most 2 s and once, a block of it waits; a
// name that comes later undoes the block.
type names struct {
	service  *service
	resolver *hostname.Resolver
	patterns atomic.Pointer[[]string] // of the ignore list; never nil
	late     atomic.Pointer[[]string] // and of rules that ignore

	mu  sync.Mutex
	met map[netip.Addr]netip.Addr
}

// maxMet bounds the networks of which an address is remembered.
const maxMet = 10_000

func newNames(s *service) (*names, error) {
	n := &names{service: s, met: map[netip.Addr]netip.Addr{}}
	n.follow(s.overridden(s.config))
	var err error
	n.resolver, err = hostname.New(hostname.Config{Servers: s.config.Resolvers, Known: n.known})
	return n, err
}

// follow takes the host names of a new configuration.
func (n *names) follow(c *config.Config) {
	patterns := hosts(c.Ignore)
	late := slices.Clone(patterns)
	for _, r := range c.Rules {
		if m := r.Match; r.Action == "ignore" && !r.Observe && len(m.Evidence)+len(m.Routes)+len(m.Methods)+len(m.Status) == 0 {
			late = append(late, hosts(m.Peers)...)
		}
	}
	n.patterns.Store(&patterns)
	n.late.Store(&late)
}

func hosts(peers []config.Peer) []string {
	names := []string{}
	for _, p := range peers {
		if p.Host != "" {
			names = append(names, p.Host)
		}
	}
	return names
}

// addresses are the networks of an ignore list.
func addresses(ignore []config.Peer) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, p := range ignore {
		if p.Prefix.IsValid() {
			prefixes = append(prefixes, p.Prefix)
		}
	}
	return prefixes
}

// meet remembers which address of a network asked last: the engine knows
// clients by the network's first address only, which has no name.
func (n *names) meet(id clientip.Identity) {
	if n == nil || len(*n.patterns.Load()) == 0 || !id.Client.IsValid() || id.Client.Addr() == id.Addr {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.met[id.Client.Addr()]; !ok && len(n.met) >= maxMet {
		for other := range n.met {
			delete(n.met, other)
			break
		}
	}
	n.met[id.Client.Addr()] = id.Addr
}

// standing is a client's, given the one that its address alone has.
func (n *names) standing(a netip.Addr, given ban.Standing) ban.Standing {
	patterns := *n.patterns.Load()
	if given == ban.Never || len(patterns) == 0 {
		return given
	}
	n.mu.Lock()
	if asked, ok := n.met[a]; ok {
		a = asked
	}
	n.mu.Unlock()
	switch matched, pending := n.resolver.Match(a, patterns); {
	case matched:
		return ban.Never
	case pending:
		return ban.SuspectOnly
	}
	return given
}

// undone says whether what is held against a client ends when its name is known:
// a search engine's crawler is spared what URLs led to, not other rules.
func undone(x ban.Explanation, ignored bool) bool {
	switch b := x.Ban; {
	case b == nil:
		return !ignored && x.Score > 0
	case b.Manual:
		return false
	default:
		return ignored || b.Rule == ban.RuleUnexpected
	}
}

// crawler says whether an address is that of the search engine's crawler that a
// User-Agent names, or may be.
func (n *names) crawler(a netip.Addr, agent string) (confirmed, pending bool) {
	return n.resolver.Match(a, hostname.Crawler(agent))
}

// known undoes the block of a client whose name came late. A person's ban is
// left to persons; it does not hold while the name is on the list.
func (n *names) known(a netip.Addr) {
	ignored, _ := n.resolver.Match(a, *n.late.Load())
	crawler, _ := n.resolver.Match(a, hostname.Crawlers())
	if !ignored && !crawler || n.service.engine == nil {
		return
	}
	now := time.Now()
	client := n.service.clients.now.Load().Prefix(a)
	if !undone(n.service.engine.Why(now, client), ignored) {
		return
	}
	why := "the client's host name is on the ignore list"
	if !ignored {
		why = "the client is a search engine's crawler by its host name"
	}
	if b, active := n.service.engine.Remove(now, client); active {
		n.service.log.Warn("unbanned: "+why+", and was known only now", "client", b.Client, "rule", b.Rule, "reason", b.Reason)
	}
}
