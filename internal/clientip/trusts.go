package clientip

import "net/netip"

// Trusts says whether a is a declared proxy, whose word about clients counts.
// The zero Addr is not.
func (r *Resolver) Trusts(a netip.Addr) bool {
	return a.IsValid() && r.trusted.Contains(Normal(a))
}
