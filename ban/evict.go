package ban

import "time"

// rank orders clients by how much there is to remember of them. The highest
// bits are the tier: a merit only, evidence, a past ban, a ban in force.
type rank uint64

const (
	tierMerit rank = iota << 62
	tierEvidence
	tierPast
	tierBanned
)

const (
	// sample is how many clients an eviction compares: the lowest of 16 is
	// among the lowest fifth with 97 % certainty, at a fixed cost.
	sample = 16
	// dossierSample is the same for dossiers.
	dossierSample = 8
)

func (e *entry) rank(now time.Time) rank {
	if e.dossier != nil {
		return e.dossier.rank(now)
	}
	second := uint32(now.Unix())
	return tierMerit | rank(e.merit.worth(second))<<32 | rank(e.merit.seen)
}

func (d *dossier) rank(now time.Time) rank {
	switch {
	case d.banned(now):
		return d.ban.rank()
	case d.ban != nil || d.spared(now):
		return tierPast | rank(uint32(d.last.Unix()))
	default:
		return tierEvidence | rank(len(d.tally.pieces))<<32 | rank(uint32(d.last.Unix()))
	}
}

// rank is what a ban in force is worth: the more, the longer it lasts.
func (b *Ban) rank() rank { return tierBanned | rank(uint32(b.Until.Unix())) }

// newcomer is the rank of a client of whom nothing is known, that is seen
// doing right.
func newcomer(now time.Time) rank { return tierMerit | 1<<32 | rank(uint32(now.Unix())) }

// evict makes room in a full table for a client of that rank: the lowest of a
// few goes. It returns false where none of them is lower.
func (s *shard) evict(now time.Time, newcomer rank) bool {
	victim := s.lowest(now, sample)
	if victim.rank(now) > newcomer && newcomer >= tierEvidence {
		victim = s.lowest(now, s.table.limit) // rare: nearly all are offenders
	}
	if victim.rank(now) > newcomer {
		return false
	}
	s.forget(victim)
	return true
}

// lowest returns the entry of least rank among n neighbours at random.
func (s *shard) lowest(now time.Time, n int) *entry {
	var lowest *entry
	var least rank
	for i := s.pick(len(s.table.slots)); n > 0; i = s.table.next(i) {
		e := &s.table.slots[i]
		if !e.used() {
			continue
		}
		n--
		if r := e.rank(now); lowest == nil || r < least {
			lowest, least = e, r
		}
	}
	return lowest
}

// forget drops a client whom there is no room for.
func (s *shard) forget(e *entry) {
	s.evicted++
	if e.dossier != nil {
		s.unmark(e.dossier)
	}
	s.drop(e)
}

// shrink brings the dossiers back into their budget: of a few those with the
// least evidence go first, then the details behind bans, then past bans. Bans
// that have no more than that to lose go last, those that end soonest first.
// It may be the newest dossier that goes.
func (s *shard) shrink(now time.Time) {
	for s.bytes > s.budget && len(s.dossiers) > 0 {
		d := s.least(now)
		if d.trim(now) {
			s.account(d)
			continue
		}
		s.evicted++
		s.unmark(d)
		s.close(s.table.find(d.key, s.table.seed.hash(d.key)))
	}
}

// least returns the dossier of least rank among a few neighbours at random.
func (s *shard) least(now time.Time) *dossier {
	among := s.dossiers[s.bare:]
	if len(among) == 0 {
		among = s.dossiers
	}
	var lowest *dossier
	var least rank
	at := s.pick(len(among))
	for i := range min(dossierSample, len(among)) {
		d := among[(at+i)%len(among)]
		r := d.rank(now)
		if d.trimmable(now) {
			r = tierPast // before all past bans
		}
		if lowest == nil || r < least {
			lowest, least = d, r
		}
	}
	return lowest
}

// bare says that nothing is left but a ban.
func (d *dossier) bare() bool {
	return d.ban != nil && len(d.spent) == 0 && d.tally.empty() && d.gate == nil
}

// trimmable says whether a banned client's details could be let go.
func (d *dossier) trimmable(now time.Time) bool {
	return d.banned(now) && !d.bare()
}

// trim lets go of the details of a ban in force: the ban says what led to it.
func (d *dossier) trim(now time.Time) bool {
	if !d.trimmable(now) {
		return false
	}
	d.spent, d.tally, d.gate = nil, tally{}, nil
	return true
}
