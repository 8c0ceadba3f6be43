package clientip

import "net/netip"

// cdnOf names the content delivery network that p overlaps with.
func cdnOf(p netip.Prefix) string { return "" }

// Network returns the embedded ranges of a content delivery network by name.
func Network(name string) ([]netip.Prefix, bool) { return nil, false }
