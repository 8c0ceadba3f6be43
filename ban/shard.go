package ban

import (
	"sync"
	"time"
	"unsafe"
)

const (
	// mostShards keeps the locks apart; clientsPerShard is below how many
	// clients a further shard isn't worth it.
	mostShards      = 256
	clientsPerShard = 1024
	// dossierBytes is how much memory for dossiers there is per client that
	// may be tracked: with the 64 bytes of its slots, 136 MB for a million.
	dossierBytes = 72
)

// shard is a part of the clients under one lock.
type shard struct {
	mu    sync.Mutex
	table table
	// dossiers are all of them, for picking some at random: first the bare
	// ones, of which only a ban is left. Bytes is what they take, budget what
	// they may.
	dossiers []*dossier
	bare     int
	bytes    int
	budget   int
	// random is the state of a generator that nobody can observe.
	random uint64
	// urgent and lazy are the clients to be saved: bans at once, scores later.
	urgent, lazy map[key]struct{}
	// word are those whom a person banned or unbanned, until that is saved,
	// with a number that grows with each time.
	word    map[key]int
	evicted int

	_ [64]byte // keeps neighbours out of this shard's cache lines
}

func newShard(limit, budget int, s seed) *shard {
	return &shard{
		table: table{limit: limit, seed: s}, budget: budget, random: s[0] | 1,
		urgent: map[key]struct{}{}, lazy: map[key]struct{}{}, word: map[key]int{},
	}
}

// track returns the client's entry, made where there is none. It returns nil
// where everyone remembered is worth more than a newcomer with that rank.
func (s *shard) track(k key, hash uint64, now time.Time, newcomer rank) *entry {
	if e := s.table.find(k, hash); e != nil {
		return e
	}
	if s.table.full() && !s.evict(now, newcomer) {
		return nil
	}
	return s.table.insert(k, hash)
}

// open returns the entry's dossier, begun where there is none.
func (s *shard) open(e *entry) *dossier {
	if e.dossier == nil {
		e.dossier = &dossier{key: e.key(), index: len(s.dossiers)}
		s.dossiers = append(s.dossiers, e.dossier)
		s.account(e.dossier)
	}
	return e.dossier
}

// close forgets a dossier; the entry and its merit stay.
func (s *shard) close(e *entry) {
	d := e.dossier
	s.setBare(d, false)
	last := len(s.dossiers) - 1
	s.swap(d.index, last)
	s.dossiers[last] = nil
	s.dossiers = s.dossiers[:last]
	s.bytes -= d.bytes
	e.dossier = nil
}

func (s *shard) swap(i, j int) {
	s.dossiers[i], s.dossiers[j] = s.dossiers[j], s.dossiers[i]
	s.dossiers[i].index, s.dossiers[j].index = i, j
}

// setBare moves a dossier to the part of the list where it belongs.
func (s *shard) setBare(d *dossier, bare bool) {
	switch was := d.index < s.bare; {
	case bare && !was:
		s.swap(d.index, s.bare)
		s.bare++
	case !bare && was:
		s.bare--
		s.swap(d.index, s.bare)
	}
}

// drop forgets a client altogether.
func (s *shard) drop(e *entry) {
	if e.dossier != nil {
		s.close(e)
	}
	k := e.key()
	s.table.remove(k, s.table.seed.hash(k))
}

// account notes what a dossier takes now.
func (s *shard) account(d *dossier) {
	was := d.bytes
	d.bytes = d.size()
	s.bytes += d.bytes - was
	s.setBare(d, d.bare())
}

// The sizes of what a dossier is made of, with what the allocator adds.
const (
	sizeEntry    = int(unsafe.Sizeof(entry{}))
	sizeDossier  = int(unsafe.Sizeof(dossier{})) + 64 // and its places in the lists
	sizeBan      = int(unsafe.Sizeof(Ban{})) + 80     // and its reason
	sizePiece    = int(unsafe.Sizeof(Piece{})) + 16
	sizeText     = 16
	sizeOverflow = int(unsafe.Sizeof(Overflow{}))
	sizeTally    = int(unsafe.Sizeof(tally{}))
	sizeGate     = 256
)

func (d *dossier) size() int {
	n := sizeDossier + sizePieces(d.spent) + d.tally.size()
	if d.ban != nil {
		n += sizeBan
	}
	if d.gate != nil {
		n += sizeGate
	}
	return n
}

func (t *tally) size() int {
	n := sizePieces(t.pieces) + sizeOverflow*cap(t.more)
	if t.others != nil {
		n += sizeTally + t.others.size()
	}
	return n
}

func sizePieces(pieces []Piece) int {
	n := sizePiece * cap(pieces)
	for i := range pieces {
		n += pieces[i].size()
	}
	return n
}

// size is what the texts of a piece take.
func (p *Piece) size() int {
	n := 0
	for _, text := range [...]string{p.Method, p.Path, p.Route, p.Verdict, p.RequestID, string(p.Kind)} {
		n += (len(text) + sizeText - 1) / sizeText * sizeText
	}
	return n
}

// pick returns a random number below n.
func (s *shard) pick(n int) int {
	s.random ^= s.random << 13
	s.random ^= s.random >> 7
	s.random ^= s.random << 17
	return int(s.random % uint64(n))
}

// mark notes that the client must be saved.
func (s *shard) mark(k key, urgent bool) {
	if urgent {
		s.urgent[k] = struct{}{}
		return
	}
	if len(s.lazy) < mostLazy {
		s.lazy[k] = struct{}{}
	}
}

// unmark notes that a client is forgotten for lack of memory: what was never
// saved needs no deletion, and so the marks stay as few as the dossiers.
func (s *shard) unmark(d *dossier) {
	if d.saved {
		s.mark(d.key, false)
		return
	}
	delete(s.urgent, d.key)
	delete(s.lazy, d.key)
}

// mostLazy bounds the scores of a shard that wait to be saved while the store
// doesn't work, or is slow: 65,536 in all.
const mostLazy = 256
