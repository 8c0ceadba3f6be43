package ban

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// bitset is a set of rules by their index. All sets of one ruleset have the
// same length.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) clear(i int)    { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// next returns the first index from i on that is in all of the sets, or -1.
func next(i int, sets ...bitset) int {
	for w := i / 64; w < len(sets[0]); w++ {
		word := ^uint64(0)
		if w == i/64 {
			word <<= i % 64
		}
		for _, s := range sets {
			word &= s[w]
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// choices finds the rules that one word of a request fits: a route, a method,
// a status, a kind of evidence.
type choices[K comparable] struct {
	named map[K]bitset
	// rest are the rules that name no such word: all fit them.
	rest bitset
}

func (c choices[K]) of(word K) bitset {
	if set, ok := c.named[word]; ok {
		return set
	}
	return c.rest
}

// newChoices is given, for each rule, the words that it names.
func newChoices[K comparable](rules []*rule, words func(*rule) []K) choices[K] {
	c := choices[K]{named: map[K]bitset{}, rest: newBitset(len(rules))}
	for i, r := range rules {
		if len(words(r)) == 0 {
			c.rest.set(i)
		}
	}
	for i, r := range rules {
		for _, word := range words(r) {
			if c.named[word] == nil {
				c.named[word] = slices.Clone(c.rest)
			}
			c.named[word].set(i)
		}
	}
	return c
}

// ranges finds the rules whose networks hold an address, in the time of the
// logarithm of how many networks there are: the addresses are cut at all
// networks' ends, and each piece between has its set. IPv4 and IPv6 have one
// each.
type ranges struct {
	starts []point
	sets   []bitset // of the addresses from starts[i] on
	before bitset   // of those before the first start
}

// point is an address as two numbers.
type point struct{ hi, lo uint64 }

func (p point) before(q point) bool { return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo }

func (p point) compare(q point) int { return cmp.Or(cmp.Compare(p.hi, q.hi), cmp.Compare(p.lo, q.lo)) }

func pointOf(a netip.Addr) point {
	b := a.As16()
	return point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// next is the address after p; false after the last.
func (p point) next() (point, bool) {
	p.lo++
	if p.lo == 0 {
		p.hi++
	}
	return p, p != point{}
}

// bounds are the first and last address of a network.
func bounds(p netip.Prefix) (first, last point) {
	k := keyOf(p)
	first = point{k.hi, k.lo}
	last = first
	if k.bits < 64 {
		last.hi |= ^uint64(0) >> k.bits
		last.lo = ^uint64(0)
	} else if k.bits < 128 {
		last.lo |= ^uint64(0) >> (k.bits - 64)
	}
	return first, last
}

// edge is where a network of a rule begins (+1) or has ended (-1).
type edge struct {
	at   point
	rule int
	step int
}

// newRanges is made for the IPv4 or the IPv6 networks of the rules. base are
// the rules that fit every address.
func newRanges(rules []*rule, is4 bool, base bitset) *ranges {
	var edges []edge
	for i, r := range rules {
		for _, p := range r.Match.Peers {
			if p.Addr().Unmap().Is4() != is4 {
				continue
			}
			first, last := bounds(p)
			edges = append(edges, edge{first, i, +1})
			if after, ok := last.next(); ok {
				edges = append(edges, edge{after, i, -1})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.compare(b.at) })
	return sweep(edges, len(rules), base)
}

// sweep goes over the edges and notes the set that holds after each.
func sweep(edges []edge, rules int, base bitset) *ranges {
	out := &ranges{before: base}
	depth := make([]int, rules)
	now := slices.Clone(base)
	for i, e := range edges {
		depth[e.rule] += e.step
		if now.set(e.rule); depth[e.rule] == 0 && !base.has(e.rule) {
			now.clear(e.rule)
		}
		if i+1 < len(edges) && edges[i+1].at == e.at {
			continue
		}
		out.starts = append(out.starts, e.at)
		out.sets = append(out.sets, slices.Clone(now))
	}
	return out
}

// of returns the rules of an address.
func (r *ranges) of(p point) bitset {
	low, high := 0, len(r.starts)
	for low < high {
		if mid := (low + high) / 2; !p.before(r.starts[mid]) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return r.before
	}
	return r.sets[low-1]
}
