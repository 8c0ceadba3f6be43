package main

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/kernel"
)

// openKernel begins to give bans to the packet filter. The engine must have
// its bans, so that those which an earlier process gave there can go on.
func (s *service) openKernel() (*kernel.Firewall, error) {
	f, err := kernel.Open(kernel.Config{
		Bans:  s.kernelBans,
		Ports: ports(s.front.Addrs()),
		Keep:  s.config.KernelKeep,
		Lock:  s.before.Socket(kernelSocket),
		Log:   s.log,
	})
	if err == nil {
		s.kernel = f
		s.closers = append(s.closers, func() error {
			if s.after != nil {
				return nil // they are the successor's
			}
			return f.Close()
		})
	}
	return f, err
}

func ports(addrs []net.Addr) []uint16 {
	var all []uint16
	for _, a := range addrs {
		if tcp, ok := a.(*net.TCPAddr); ok && !slices.Contains(all, uint16(tcp.Port)) {
			all = append(all, uint16(tcp.Port))
		}
	}
	return all
}

// kernelBans are the bans that the packet filter may enforce: it knows
// addresses only, so that those of rules about some requests are not for it, and
// neither are networks in which somebody must never be banned. What a person has
// switched or exempted at run time holds here as in HTTP.
func (s *service) kernelBans(now time.Time) []kernel.Ban {
	s.mu.Lock()
	c := s.overridden(s.current)
	s.mu.Unlock()
	if c.Observe {
		return nil
	}
	bans := slices.DeleteFunc(s.engine.Bans(now), func(b ban.Ban) bool { return s.standing(b.Client.Addr()) != ban.Bannable })
	return kernelBans(bans, c, s.clients.now.Load(), ban.Ban.Told)
}

// kernelBans picks, of bans, those for the packet filter.
func kernelBans(bans []ban.Ban, c *config.Config, clients *clientip.Resolver, told func(ban.Ban) bool) []kernel.Ban {
	var picked []kernel.Ban
	for _, b := range bans {
		standing, _ := clients.PrefixStanding(b.Client)
		if b.Observed || standing != clientip.Bannable || aboutSome(c.Rules, b.Rule) || mayHoldIgnored(c, b.Client) {
			continue
		}
		picked = append(picked, kernel.Ban{Prefix: b.Client, Until: b.Until, Told: told(b)})
	}
	return picked
}

// mayHoldIgnored says whether somebody in a network is, or by a name that the
// packet filter can't know may be, ignored by a setting or rule.
func mayHoldIgnored(c *config.Config, network netip.Prefix) bool {
	peers := slices.Clone(c.Ignore)
	for _, r := range c.Rules {
		if r.Action == string(ban.Ignore) && !r.Observe {
			peers = append(peers, r.Match.Peers...)
		}
	}
	return slices.ContainsFunc(peers, func(p config.Peer) bool {
		if p.Host != "" {
			return !oneClient(c, network)
		}
		return p.Prefix.Overlaps(network)
	})
}

// oneClient says whether a network is what counts as one client.
func oneClient(c *config.Config, network netip.Prefix) bool {
	if network.Addr().Is4() {
		return network.Bits() >= c.IPv4Prefix
	}
	return network.Bits() >= c.IPv6Prefix
}

// aboutSome says whether the rule is about some of a client's requests only: what
// it bans for is not refused at accept either.
func aboutSome(rules []config.Rule, name string) bool {
	return slices.ContainsFunc(rules, func(r config.Rule) bool { return r.Name == name && len(r.Match.Routes)+len(r.Match.Methods) > 0 })
}
