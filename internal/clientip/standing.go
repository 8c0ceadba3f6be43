package clientip

import (
	"fmt"
	"net"
	"net/netip"
)

// Standing says what may be done to a client.
type Standing uint8

// The standings, from the least protected to the most.
const (
	Bannable    Standing = iota
	SuspectOnly          // stands for many, most likely: throttled at most
	Never                // neither throttled nor banned, by any path
)

// String is the word used in logs and by "flask2ban why".
func (s Standing) String() string {
	switch s {
	case SuspectOnly:
		return "suspect only"
	case Never:
		return "never"
	}
	return "bannable"
}

// loopbacks are the only addresses of 127/8 that are never banned by their
// nature: the rest can't come from outside, and tests use it.
var loopbacks = [2]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// privateRanges are networks whose addresses often stand for many people: NAT,
// ingress, Docker's userland proxy.
var privateRanges = []struct {
	prefix netip.Prefix
	reason string
}{
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address (RFC 1918)"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address (RFC 1918)"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address (RFC 1918)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a carrier-grade NAT's address (RFC 6598)"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address (RFC 3927)"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address (RFC 4291)"},
	{netip.MustParsePrefix("fc00::/7"), "a unique local address (RFC 4193)"},
}

// Standing says whether a may be banned, and in words why not; the reason is
// empty for a Bannable one. The zero Addr, a peer without an address, is Never.
func (r *Resolver) Standing(a netip.Addr) (Standing, string) {
	if !a.IsValid() {
		return Never, "a peer without an IP address"
	}
	a = Normal(a)
	if reason := r.protected(a); reason != "" {
		return Never, reason
	}
	if r.banPrivate {
		return Bannable, ""
	}
	if reason, ok := sharedTable().Lookup(a); ok {
		return SuspectOnly, reason
	}
	return Bannable, ""
}

// PrefixStanding is the strictest standing of any address within p: what a ban
// of the whole network, as an operator may ask for, must heed.
func (r *Resolver) PrefixStanding(p netip.Prefix) (Standing, string) {
	p = NormalPrefix(p)
	if !p.IsValid() {
		return Never, "not a network"
	}
	if p.IsSingleIP() {
		return r.Standing(p.Addr())
	}
	if reason := r.protectedWithin(p); reason != "" {
		return Never, reason
	}
	if r.banPrivate {
		return Bannable, ""
	}
	if reason := sharedWithin(p); reason != "" {
		return SuspectOnly, reason
	}
	return Bannable, ""
}

// protected says why a normal address is never banned; empty where it can be.
func (r *Resolver) protected(a netip.Addr) string {
	if a == loopbacks[0] || a == loopbacks[1] {
		return "the loopback address"
	}
	if r.trusted.Contains(a) {
		return "a trusted proxy"
	}
	if r.ignore.Contains(a) {
		return "on the ignore list"
	}
	if own := r.own.Load(); own != nil {
		if _, ok := (*own)[a]; ok {
			return "this machine's own address"
		}
	}
	return ""
}

func (r *Resolver) protectedWithin(p netip.Prefix) string {
	for _, a := range loopbacks {
		if p.Contains(a) {
			return "contains the loopback address"
		}
	}
	if r.trusted.OverlapsPrefix(p) {
		return "contains a trusted proxy"
	}
	if r.ignore.OverlapsPrefix(p) {
		return "contains addresses on the ignore list"
	}
	if own := r.own.Load(); own != nil {
		for a := range *own {
			if p.Contains(a) {
				return "contains this machine's own address " + a.String()
			}
		}
	}
	return ""
}

func sharedWithin(p netip.Prefix) string {
	for _, private := range privateRanges {
		if private.prefix.Overlaps(p) {
			return "contains " + private.reason
		}
	}
	if cdn := cdnOf(p); cdn != "" {
		return "contains addresses of " + cdn
	}
	return ""
}

func privateReason(a netip.Addr) string {
	for _, private := range privateRanges {
		if private.prefix.Contains(a) {
			return private.reason
		}
	}
	return ""
}

// Refresh reads our own interfaces' addresses again; call it now and then, as
// addresses come and go. On an error the former ones stay.
func (r *Resolver) Refresh() error {
	addrs, err := r.interfaces()
	if err != nil {
		return fmt.Errorf("list own addresses: %w", err)
	}
	own := make(map[netip.Addr]struct{}, len(addrs))
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(ip.IP); ok {
				own[Normal(addr)] = struct{}{}
			}
		}
	}
	r.own.Store(&own)
	return nil
}

// Warning is what to tell the operator, once, of a peer that is a suspect at
// most: it names the flag that mends it. Empty for any other peer.
func (r *Resolver) Warning(peer netip.Addr) string {
	standing, reason := r.Standing(peer)
	if standing != SuspectOnly {
		return ""
	}
	value := peer.String()
	if cdn := cdnOf(netip.PrefixFrom(Normal(peer), Normal(peer).BitLen())); cdn != "" {
		value = cdn
	}
	return fmt.Sprintf("%s is %s and may stand for many clients: it is throttled at most, never banned; "+
		"if it is your proxy, add --trusted-proxy %s, if such addresses are people, add --ban-private",
		peer, reason, value)
}
