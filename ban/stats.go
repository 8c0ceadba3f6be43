package ban

import "time"

// Stats are the engine's figures at one moment.
type Stats struct {
	// Clients tracked, with those that have evidence or a ban to their name.
	Clients  int `json:"clients"`
	Dossiers int `json:"dossiers"`
	// Suspects are throttled, Banned blocked (clients and networks).
	Suspects int `json:"suspects"`
	Banned   int `json:"banned"`
	// Waiting requests are held by throttles.
	Waiting int `json:"waiting"`
	// Evicted is how many clients were forgotten for lack of memory.
	Evicted int `json:"evicted"`
	// Unsaved is how many records wait to be saved.
	Unsaved int `json:"unsaved"`
	// States are the counters and throttles of policy rules.
	States int `json:"states"`
	// Bytes is an estimate of the memory taken.
	Bytes int `json:"bytes"`
}

// Stats counts; it looks at every dossier, so call it no more than each second.
func (e *Engine) Stats(now time.Time) Stats {
	p := e.policy.Load()
	stats := Stats{Waiting: e.waiters.all(), Banned: len(e.networks.all(now)), States: e.states.len()}
	for _, s := range e.shards {
		s.mu.Lock()
		s.stats(now, p, &stats)
		s.mu.Unlock()
	}
	stats.Bytes += stats.States * sizeState
	return stats
}

func (s *shard) stats(now time.Time, p *policy, stats *Stats) {
	stats.Clients += s.table.count
	stats.Dossiers += len(s.dossiers)
	stats.Evicted += s.evicted
	stats.Unsaved += len(s.urgent) + len(s.lazy)
	stats.Bytes += s.bytes + len(s.table.slots)*sizeEntry
	for _, d := range s.dossiers {
		switch {
		case d.banned(now):
			stats.Banned++
		case p.suspects(d.tally.sums(now, p.FindTime)):
			stats.Suspects++
		}
	}
}

// Expire forgets what no longer matters: evidence older than findtime, counts
// of bans, networks whose bans are over, clients not seen for a day. Call it
// every minute or so; nothing depends on it but memory.
func (e *Engine) Expire(now time.Time) {
	p := e.policy.Load()
	e.states.expire(now, p.rules.findtimes())
	e.families.expire(now)
	e.absolve(now, p)
	for _, k := range e.networks.ended(now) {
		if _, ok := e.networks.remove(k); ok {
			e.networks.mark(k)
		}
	}
	for _, s := range e.shards {
		s.mu.Lock()
		s.expire(now, p)
		s.mu.Unlock()
	}
}

func (s *shard) expire(now time.Time, p *policy) {
	second := uint32(now.Unix())
	var stale []key
	for i := range s.table.slots {
		e := &s.table.slots[i]
		if e.dossier != nil && e.dossier.over(now, p) {
			s.mark(e.key(), false)
			s.close(e)
		}
		if e.used() && e.dossier == nil && e.merit.stale(second) {
			stale = append(stale, e.key())
		}
	}
	for _, k := range stale {
		s.table.remove(k, s.table.seed.hash(k))
	}
	for _, d := range s.dossiers {
		s.account(d)
	}
}

// over forgets the parts of a dossier whose time has passed and says whether
// nothing is left of it.
func (d *dossier) over(now time.Time, p *policy) bool {
	d.tally.expire(now, p.FindTime)
	d.forget(now)
	if d.gate != nil && !p.suspects(d.tally.sums(now, p.FindTime)) {
		d.gate = nil
	}
	return d.ban == nil && d.tally.empty() && d.gate == nil && !d.spared(now)
}
