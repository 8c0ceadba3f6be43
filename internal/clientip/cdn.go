package clientip

import (
	_ "embed"
	"net/netip"
	"strings"
	"sync"

	"github.com/gaissmai/bart"
)

// cdnText lists what content delivery networks and load balancers connect from:
// "name prefix" lines, with the source and date of each block above it.
//
//go:embed cdn.txt
var cdnText string

// A network is one provider's ranges.
type network struct {
	name     string
	prefixes []netip.Prefix
}

// networks parses cdnText once. A test holds that every line is well-formed.
var networks = sync.OnceValue(func() []network {
	var all []network
	for line := range strings.Lines(cdnText) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		p, err := netip.ParsePrefix(text)
		if !ok || name == "#" || err != nil {
			continue
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, network{name: name})
		}
		last := &all[len(all)-1]
		last.prefixes = append(last.prefixes, p)
	}
	return all
})

// Network returns the ranges that a content delivery network is known to
// connect from, by its name in lower case ("cloudflare"). They are as old as
// this program; a network that has grown since is to be listed by CIDR.
func Network(name string) ([]netip.Prefix, bool) {
	for _, n := range networks() {
		if n.name == strings.ToLower(name) {
			return append([]netip.Prefix(nil), n.prefixes...), true
		}
	}
	return nil, false
}

// Networks are the names that Network knows.
func Networks() []string {
	var names []string
	for _, n := range networks() {
		names = append(names, n.name)
	}
	return names
}

// sharedTable has the reason why an address likely stands for many people, for
// all of privateRanges and networks: it is asked for every request.
var sharedTable = sync.OnceValue(func() *bart.Table[string] {
	t := new(bart.Table[string])
	for _, private := range privateRanges {
		t.Insert(private.prefix, private.reason)
	}
	for _, n := range networks() {
		for _, p := range n.prefixes {
			t.Insert(p, "an address of "+n.name)
		}
	}
	return t
})

// cdnOf names the network that p overlaps with; empty for none.
func cdnOf(p netip.Prefix) string {
	for _, n := range networks() {
		for _, known := range n.prefixes {
			if known.Overlaps(p) {
				return n.name
			}
		}
	}
	return ""
}
