package ban

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// key is a client's prefix without pointers, so that the table of a million
// clients is nothing to the garbage collector. IPv4 is kept as mapped IPv6.
type key struct {
	hi, lo uint64
	bits   uint8
}

// mapped4 is where the bits of an IPv4 prefix begin in mapped IPv6.
const mapped4 = 96

// keyOf masks the prefix, which must be valid.
func keyOf(p netip.Prefix) key {
	a := p.Addr()
	bits := p.Bits()
	if a.Is4() {
		bits += mapped4
	}
	b := a.As16()
	k := key{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
	return k.truncate(bits)
}

// truncate returns the network of that many bits around the key.
func (k key) truncate(bits int) key {
	hi, lo := ^uint64(0), uint64(0)
	if bits <= 64 {
		hi <<= 64 - bits
	} else {
		lo = ^uint64(0) << (128 - bits)
	}
	return key{hi: k.hi & hi, lo: k.lo & lo, bits: uint8(bits)}
}

func (k key) is4() bool {
	return k.bits >= mapped4 && k.hi == 0 && k.lo>>32 == 0xffff
}

func (k key) prefix() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	a := netip.AddrFrom16(b)
	if k.is4() {
		return netip.PrefixFrom(a.Unmap(), int(k.bits)-mapped4)
	}
	return netip.PrefixFrom(a, int(k.bits))
}

// FormatClient writes a client as people do: a single address without its
// prefix length, anything wider as a CIDR.
func FormatClient(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ParseClient reads an address or a CIDR. Bits beyond the prefix are cleared,
// IPv4 in IPv6 is IPv4, zones are refused.
func ParseClient(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an IP address or CIDR such as 192.0.2.1 or 2001:db8::/64", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an IP address or CIDR such as 192.0.2.1 or 2001:db8::/64", s)
	}
	return keyOf(p).prefix(), nil
}
