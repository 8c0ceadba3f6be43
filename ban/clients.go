package ban

import (
	"cmp"
	"slices"
	"time"
)

// Offender is one line of the list of clients that have something against them.
type Offender struct {
	Client string `json:"client"`
	// State is "blocked", "suspect" or "normal", as in Explanation.
	State string `json:"state"`
	// Score is what counts now, Soft the part of it that others may have
	// caused; MaxRetry is the score that blocks this client.
	Score    float64 `json:"score"`
	Soft     float64 `json:"soft"`
	MaxRetry float64 `json:"maxretry"`
	// Pieces is how much evidence is remembered, Last the latest of it.
	Pieces int   `json:"pieces"`
	Last   Piece `json:"last"`
	// Until and Refusals are those of the ban in force, Bans how many there were.
	Until    time.Time `json:"until,omitzero"`
	Refusals int       `json:"refusals"`
	Bans     int       `json:"bans"`
	Shared   bool      `json:"shared,omitempty"`
}

// Offenders returns the clients with most against them, at most limit: those
// blocked now, then by score, then the latest first. Total is how many have
// anything against them. It looks at every dossier, as Stats does.
func (e *Engine) Offenders(now time.Time, limit int) (list []Offender, total int) {
	p := e.policy.Load()
	var worst offenders
	for _, s := range e.shards {
		s.mu.Lock()
		for _, d := range s.dossiers {
			o := ranked{score: d.tally.sums(now, p.FindTime).score(), banned: d.banned(now), last: d.last, key: d.key}
			if !o.banned && o.score == 0 {
				continue
			}
			total++
			worst.offer(o, limit)
		}
		s.mu.Unlock()
	}
	worst.keep(limit)
	for _, r := range worst.list {
		if o, ok := e.offender(now, p, r.key); ok {
			list = append(list, o)
		}
	}
	return list, total
}

// offender describes a client; not ok where it was forgotten meanwhile.
func (e *Engine) offender(now time.Time, p *policy, k key) (o Offender, ok bool) {
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.table.find(k, hash)
	if entry == nil || entry.dossier == nil {
		return o, false
	}
	d := entry.dossier
	counted := d.tally.sums(now, p.FindTime)
	o = Offender{
		Client: FormatClient(k.prefix()), State: "normal", Score: counted.score(), Soft: counted.soft,
		MaxRetry: p.threshold(&entry.merit), Bans: d.count(now), Shared: entry.merit.shared(),
	}
	pieces := append(slices.Clone(d.spent), d.tally.pieces...)
	if o.Pieces = len(pieces); o.Pieces > 0 {
		o.Last = slices.MaxFunc(pieces, func(a, b Piece) int { return a.Time.Compare(b.Time) })
	}
	switch standing := p.Standing(k.prefix().Addr()); {
	case standing == Never:
	case d.banned(now) && standing == Bannable:
		o.State, o.Until, o.Refusals = "blocked", d.ban.Until, d.refusals
	case p.suspects(counted):
		o.State = "suspect"
	}
	return o, true
}

// ranked is an offender as far as its place in the list goes.
type ranked struct {
	banned bool
	score  float64
	last   time.Time
	key    key
}

func (r ranked) compare(o ranked) int {
	if r.banned != o.banned {
		if r.banned {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(r.score, o.score), r.last.Compare(o.last), cmp.Compare(o.key.hi, r.key.hi), cmp.Compare(o.key.lo, r.key.lo))
}

// offenders are the worst so far, and some that turn out not to be.
type offenders struct {
	list  []ranked
	floor *ranked // the least of those kept last: who is below is not among the worst
}

// offer adds one, and now and then forgets those that are not among the worst.
func (o *offenders) offer(r ranked, limit int) {
	if limit <= 0 || o.floor != nil && r.compare(*o.floor) < 0 {
		return
	}
	if o.list = append(o.list, r); len(o.list) > 2*limit+slack {
		o.keep(limit)
		floor := o.list[limit-1]
		o.floor = &floor
	}
}

// slack keeps short lists from being sorted each time.
const slack = 64

// keep leaves the worst, in their order.
func (o *offenders) keep(limit int) {
	slices.SortFunc(o.list, func(a, b ranked) int { return b.compare(a) })
	o.list = o.list[:min(limit, len(o.list))]
}
