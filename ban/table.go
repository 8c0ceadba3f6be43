package ban

import "math/bits"

// entry is one slot of a table: a client's key and merit and, where there is
// something against it, its dossier. 40 bytes.
type entry struct {
	hi, lo  uint64
	dossier *dossier
	merit   merit
	// width is the key's prefix length plus one; 0 marks a free slot.
	width uint8
}

func (e *entry) used() bool { return e.width != 0 }

func (e *entry) key() key { return key{hi: e.hi, lo: e.lo, bits: e.width - 1} }

func (e *entry) is(k key) bool { return e.hi == k.hi && e.lo == k.lo && e.width == k.bits+1 }

// table is an open-addressing hash table with linear probing and deletion by
// shifting back. Unlike a map it has a fixed size per client, a bound that a
// flood can't move, and slots that eviction can look at in passing.
type table struct {
	slots []entry
	count int
	// limit is the most entries it may have.
	limit int
	seed  seed
}

// seed makes a hash that an attacker can't aim at.
type seed [3]uint64

// hash is two rounds of multiply and fold, as in wyhash.
func (s *seed) hash(k key) uint64 {
	hi, lo := bits.Mul64(k.hi^s[0], k.lo^s[1])
	hi, lo = bits.Mul64(hi^s[2], lo^uint64(k.bits)^s[0])
	return hi ^ lo
}

const smallestTable = 16

// home is the slot where the probing for a hash begins.
func (t *table) home(hash uint64) int {
	i, _ := bits.Mul64(hash, uint64(len(t.slots)))
	return int(i)
}

func (t *table) next(i int) int {
	if i++; i < len(t.slots) {
		return i
	}
	return 0
}

// find returns the client's entry or nil. The entry is valid until the next
// insert or remove.
func (t *table) find(k key, hash uint64) *entry {
	if t.count == 0 {
		return nil
	}
	for i := t.home(hash); ; i = t.next(i) {
		e := &t.slots[i]
		if !e.used() {
			return nil
		}
		if e.is(k) {
			return e
		}
	}
}

// full says that the next insert needs room made for it.
func (t *table) full() bool { return t.count >= t.limit }

// insert adds a client that isn't there yet to a table that isn't full.
func (t *table) insert(k key, hash uint64) *entry {
	if roomFor(t.count+1) > len(t.slots) {
		t.grow()
	}
	t.count++
	e := t.place(hash)
	*e = entry{hi: k.hi, lo: k.lo, width: k.bits + 1}
	return e
}

// place finds the free slot for a hash.
func (t *table) place(hash uint64) *entry {
	i := t.home(hash)
	for t.slots[i].used() {
		i = t.next(i)
	}
	return &t.slots[i]
}

// roomFor is how many slots n entries need: at five eighths full, a client that
// isn't there is known not to be after four slots, on average.
func roomFor(n int) int { return n + n*3/5 + 2 }

// grow doubles the table, at most to what its limit needs.
func (t *table) grow() {
	old := t.slots
	t.slots = make([]entry, min(max(2*len(old), smallestTable), roomFor(t.limit)))
	for i := range old {
		if old[i].used() {
			*t.place(t.seed.hash(old[i].key())) = old[i]
		}
	}
}

// remove frees the slot of an entry and closes the gap that this leaves in the
// probing of others.
func (t *table) remove(k key, hash uint64) {
	gap := t.home(hash)
	for !t.slots[gap].is(k) {
		gap = t.next(gap)
	}
	t.count--
	for i := t.next(gap); t.slots[i].used(); i = t.next(i) {
		if home := t.home(t.seed.hash(t.slots[i].key())); t.distance(home, i) >= t.distance(gap, i) {
			t.slots[gap] = t.slots[i]
			gap = i
		}
	}
	t.slots[gap] = entry{}
}

// distance is how many steps of probing lead from one slot to another.
func (t *table) distance(from, to int) int {
	if to >= from {
		return to - from
	}
	return to + len(t.slots) - from
}
