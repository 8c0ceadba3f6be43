package clientip

import (
	"net/netip"
	"strings"
)

// nat64 is the well-known prefix of RFC 6052, section 2.1.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Normal returns the one form of a that all parts compare: no zone, IPv4-mapped
// and NAT64 addresses as IPv4.
//
// RFC 6052, section 3.1, forbids the well-known prefix for IPv4 addresses that
// are not global. Such a one is left as it is: else 64:ff9b::127.0.0.1 would
// pass for loopback.
func Normal(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	a = a.WithZone("").Unmap()
	if !a.Is6() || !nat64.Contains(a) {
		return a
	}
	b := a.As16()
	v4 := netip.AddrFrom4([4]byte(b[12:]))
	if !v4.IsGlobalUnicast() || privateReason(v4) != "" {
		return a
	}
	return v4
}

// NormalPrefix does for a network what Normal does for an address, and clears
// the bits beyond its size. What is no network gives the zero Prefix.
func NormalPrefix(p netip.Prefix) netip.Prefix {
	a := p.Addr()
	if a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96).Masked()
	}
	if a.Is4In6() {
		return netip.Prefix{} // wider than IPv4 itself: everyone
	}
	return netip.PrefixFrom(a.WithZone(""), p.Bits()).Masked()
}

// peerOf reads http.Request.RemoteAddr; the zero Addr of a peer without one.
func peerOf(remote string) netip.Addr {
	a, err := netip.ParseAddr(withoutPort(remote))
	if err != nil {
		return netip.Addr{}
	}
	return Normal(a)
}

// parseHop reads one address as proxies write it: bare, with a port
// ("1.2.3.4:5678", "[::1]:80"), in brackets, with a zone.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if s == "" || len(s) > maxHopText {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(withoutPort(s))
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return Normal(a), true
}

// maxHopText is longer than any address with zone and port.
const maxHopText = 128

// withoutPort cuts brackets, port and zone off an address. It does not check
// what remains: netip.ParseAddr does.
func withoutPort(s string) string {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !validPort(s[end+1:]) {
			return ""
		}
		s = s[1:end]
	} else if i := strings.IndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i+1:], ':') < 0 {
		if !validPort(s[i:]) {
			return ""
		}
		s = s[:i]
	}
	if i := strings.IndexByte(s, '%'); i >= 0 {
		s = s[:i]
	}
	return s
}

// validPort takes "", or a colon and up to five digits. RFC 7239 also allows an
// obfuscated port ("_abc"), which says nothing about the address.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) > 32 {
		return false
	}
	if strings.HasPrefix(s, ":_") {
		return true
	}
	return len(s) <= 6 && strings.Trim(s[1:], "0123456789") == ""
}
