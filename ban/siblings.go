package ban

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Whoever rents a server is often given an IPv6 /56 or /48: 256 or 65,536
// clients, each good for a few probes. When many of them are banned at one time,
// the ban grows to the range. Phones have a /64 each, in ranges that they share
// with strangers: so no range is banned in which anybody uses the app and does
// nothing wrong, or in which just a few offend.

// RuleSiblings is the name of the built-in rule that bans a range for what its
// clients did.
const RuleSiblings = "siblings"

// DefaultIPv6Widest is the shortest prefix that a ban grows to.
const DefaultIPv6Widest = 48

// widenings are what bans grow to, and how many clients of the range must be
// banned at the time: as many /64s as could never be one household's phones.
var widenings = [...]struct{ bits, siblings int }{{48, 32}, {56, 8}}

const (
	// siblingBits is what counts as one sibling, if clients are narrower.
	siblingBits = 64
	// maxFamilies and maxSiblings bound what is remembered: 4,096 ranges /48
	// with 64 clients each, 10 MB.
	maxFamilies = 4096
	maxSiblings = 64
	// searchEvery is how often at most the clients tracked are looked through
	// for good ones in a range: some 50 ms for a million of them.
	searchEvery = time.Second
)

// families are the banned IPv6 clients by their /48.
type families struct {
	mu       sync.Mutex
	of       map[key]*family
	searched time.Time
}

type family struct {
	banned []sibling
	// spared is until when none of its ranges is banned: a person ended such a
	// ban.
	spared time.Time
}

// sibling is a banned client, or the /64 around it.
type sibling struct {
	key      key
	until    time.Time
	observed bool // it refuses nobody, unless nobody is to be refused
}

func familyKey(k key) key { return k.truncate(widenings[0].bits) }

// note remembers a client's ban, if there is room.
func (f *families) note(now time.Time, k key, b *Ban) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k = k.truncate(min(int(k.bits), siblingBits))
	fam := f.get(now, familyKey(k), false)
	if fam == nil {
		return
	}
	fam.banned = slices.DeleteFunc(fam.banned, func(s sibling) bool { return s.key == k || !now.Before(s.until) })
	if len(fam.banned) >= maxSiblings {
		fam.banned = slices.Delete(fam.banned, 0, 1)
	}
	fam.banned = append(fam.banned, sibling{k, b.Until, b.Observed})
}

// get returns the family, made where there is none; a full map loses another, or
// get returns nil: only a person's word takes the place of another's.
func (f *families) get(now time.Time, k key, word bool) *family {
	fam := f.of[k]
	if fam != nil {
		return fam
	}
	if len(f.of) >= maxFamilies && !f.evict(now, word) {
		return nil
	}
	fam = &family{}
	f.of[k] = fam
	return fam
}

// evict forgets the smallest of a few families that are not spared, or with spared
// the one that is so for the shortest time: maps are gone through from somewhere
// at random.
func (f *families) evict(now time.Time, spared bool) bool {
	var smallest, soonest key
	var ends time.Time
	least, seen := maxSiblings+1, 0
	for k, fam := range f.of {
		switch n := len(fam.banned); {
		case now.Before(fam.spared):
			if ends.IsZero() || fam.spared.Before(ends) {
				soonest, ends = k, fam.spared
			}
		case n < least:
			smallest, least = k, n
		}
		if seen++; seen == sample {
			break
		}
	}
	switch {
	case least <= maxSiblings:
		delete(f.of, smallest)
	case spared:
		delete(f.of, soonest)
	default:
		return false
	}
	return true
}

// forget is for a client whose ban was ended.
func (f *families) forget(k key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fam := f.of[familyKey(k)]; fam != nil {
		k = k.truncate(min(int(k.bits), siblingBits))
		fam.banned = slices.DeleteFunc(fam.banned, func(s sibling) bool { return s.key == k })
	}
}

// spare keeps the ranges in and around k from being banned until then. What its
// clients did led to the ban that is over, and to no other.
func (f *families) spare(now time.Time, k key, until time.Time) {
	if k.is4() || int(k.bits) < widenings[0].bits {
		return // what bans don't grow to
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fam := f.get(now, familyKey(k), true)
	fam.spared = until
	fam.banned = slices.DeleteFunc(fam.banned, func(s sibling) bool { return s.key.truncate(int(k.bits)) == k })
}

// spared says until when a range is not to be banned.
func (f *families) spared(k key) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fam := f.of[familyKey(k)]; fam != nil {
		return fam.spared
	}
	return time.Time{}
}

// within returns how many siblings of a range are banned at now, and until when
// the last of them is. Those that are not refused count while nobody is.
func (f *families) within(now time.Time, r key, observing bool) (n int, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fam := f.of[familyKey(r)]
	if fam == nil || now.Before(fam.spared) {
		return 0, time.Time{}
	}
	for _, s := range fam.banned {
		if now.Before(s.until) && (observing || !s.observed) && s.key.truncate(int(r.bits)) == r {
			n++
			until = later(until, s.until)
		}
	}
	return n, until
}

// maySearch says whether it is time for another search.
func (f *families) maySearch(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.searched.IsZero() && now.Sub(f.searched).Abs() < searchEvery {
		return false
	}
	f.searched = now
	return true
}

// expire forgets families with nothing to remember.
func (f *families) expire(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, fam := range f.of {
		fam.banned = slices.DeleteFunc(fam.banned, func(s sibling) bool { return !now.Before(s.until) })
		if len(fam.banned) == 0 && !now.Before(fam.spared) {
			delete(f.of, k)
		}
	}
}

// hasSiblings says whether a ban of that client is one that others can add up
// to: it is IPv6, and no person's.
func (p *policy) hasSiblings(k key, b *Ban) bool {
	return !k.is4() && !b.Manual && int(k.bits) > widenings[0].bits && !p.wide(k)
}

// widen notes a client's new ban and, where it is one of many, bans the range
// around. Call it without any lock.
func (e *Engine) widen(now time.Time, p *policy, b *Ban) {
	k := keyOf(b.Client)
	if !p.hasSiblings(k, b) {
		return
	}
	e.families.note(now, k, b)
	searching := false
	for _, w := range widenings {
		if w.bits < p.IPv6Widest || w.bits >= p.IPv6Bits {
			continue
		}
		r := k.truncate(w.bits)
		n, until := e.families.within(now, r, p.Observe)
		if n < w.siblings {
			continue
		}
		if e.networks.find(r, now, p.Observe) != nil || !searching && !e.families.maySearch(now) {
			return
		}
		searching = true
		if !e.usedWell(now, r) {
			e.banRange(now, p, r, n, until)
			return
		}
	}
}

// banRange bans a range for as long as the last of the clients for which it is.
func (e *Engine) banRange(now time.Time, p *policy, r key, n int, until time.Time) {
	b := Ban{
		Client: r.prefix(), Since: now.UTC().Round(0), Until: until, Rule: RuleSiblings, Penalty: p.Penalty, Count: 1, Observed: p.Observe,
		Reason: fmt.Sprintf("%d clients of this network are banned, and nobody else in it uses the app", n),
	}
	p.rules.records[RuleSiblings].bans.Add(1)
	e.networks.add(r, b)
	e.networks.mark(r)
	e.wake()
	p.SharedBan(b, true)
}

// usedWell says whether anybody in a range uses the app and does nothing wrong.
func (e *Engine) usedWell(now time.Time, r key) bool {
	for _, s := range e.shards {
		s.mu.Lock()
		found := s.usedWell(now, r)
		s.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

func (s *shard) usedWell(now time.Time, r key) bool {
	mask := ^uint64(0) << (64 - r.bits)
	for i := range s.table.slots {
		if e := &s.table.slots[i]; e.hi&mask == r.hi && e.used() && e.width > r.bits+1 && e.harmless(now) {
			return true
		}
	}
	return false
}

// harmless says that there is no reason to refuse the client: it has a good
// record, a person spared it, or it used the app and has nothing against it.
func (e *entry) harmless(now time.Time) bool {
	switch d := e.dossier; {
	case d == nil:
		return e.merit.good > 0
	case d.banned(now):
		return false
	default:
		return d.spared(now) || e.merit.known() || e.merit.good > 0 && d.ban == nil && d.tally.empty()
	}
}
