package kernel

import (
	"net/netip"
	"slices"
	"time"
)

// soon is how much of a ban must be left for it to be worth an element, or the
// removal of one.
const soon = time.Second

// want is whom to drop now: those told, and those dropped already. A set can't
// hold overlapping networks, so that one within another is left out; it comes
// when the wider one has ended.
func (f *Firewall) want(now time.Time) map[netip.Prefix]time.Time {
	bans := slices.DeleteFunc(f.config.Bans(now), func(b Ban) bool {
		_, held := f.held[b.Prefix]
		return !b.Prefix.IsValid() || b.Until.Sub(now) < soon || !b.Told && !held
	})
	slices.SortFunc(bans, func(a, b Ban) int { return a.Prefix.Compare(b.Prefix) })
	want := make(map[netip.Prefix]time.Time, len(bans))
	var last netip.Prefix // networks sort before what is in them
	for _, b := range bans {
		p := b.Prefix.Masked()
		if last.IsValid() && last.Overlaps(p) {
			continue
		}
		last = p
		want[p] = b.Until
	}
	return want
}

// differ says what to take out and what to put in. Changed ends are both.
func differ(held, want map[netip.Prefix]time.Time) (gone []netip.Prefix, fresh map[netip.Prefix]time.Time) {
	fresh = map[netip.Prefix]time.Time{}
	for p, until := range held {
		if !want[p].Equal(until) {
			gone = append(gone, p)
		}
	}
	for p, until := range want {
		if !held[p].Equal(until) {
			fresh[p] = until
		}
	}
	return gone, fresh
}
