package ban

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	// softPaths is from how many distinct paths on soft evidence can block. It
	// grows by as many for each second in which the app served the client one
	// of its own routes: a page of a hundred broken images must not ban its
	// readers. It grows no further than softGood times, or a scanner that forges
	// a Referer would only have to ask for a route now and then.
	softPaths = 30
	softGood  = 15
	// goodFactor raises the threshold of clients with a good record,
	// sharedFactor that of addresses shared by many such.
	goodFactor   = 1.5
	sharedFactor = 4
	// forgetFactor is after how many times the last bantime, without evidence
	// since the ban's end, the count of bans is forgotten.
	forgetFactor = 2
)

// policy is a configuration made ready for judging. It never changes.
type policy struct {
	Config
	kinds map[Kind]KindInfo
	rules *ruleset
}

func newPolicy(c Config, rules *ruleset) *policy {
	p := &policy{Config: c, kinds: make(map[Kind]KindInfo, len(kinds)), rules: rules}
	for _, k := range kinds {
		if k.Decisive {
			k.Weight = c.MaxRetry
		}
		p.kinds[k.Kind] = k
	}
	for kind, weight := range c.Weights {
		k, ok := p.kinds[kind]
		if !ok {
			k = reported
			k.Kind = kind
		}
		k.Weight = weight
		p.kinds[kind] = k
	}
	return p
}

func (p *policy) kind(k Kind) KindInfo {
	if known, ok := p.kinds[k]; ok {
		return known
	}
	return reported
}

// weigh says what a piece of evidence adds and whether it is soft. A decisive
// kind decides only where nobody else can have made the client ask, and where
// the client is not a known good one who mistyped.
func (k KindInfo) weigh(v *Evidence, m *merit) (weight float64, soft bool) {
	soft = v.Soft || k.Soft
	if !k.Decisive || k.Weight == 0 || !soft && !m.known() {
		return k.Weight, soft
	}
	return min(1, k.Weight), true
}

// threshold is the score that blocks the client.
func (p *policy) threshold(m *merit) float64 {
	switch {
	case m.shared():
		return p.MaxRetry * sharedFactor
	case m.known():
		return p.MaxRetry * goodFactor
	default:
		return p.MaxRetry
	}
}

// blocks says whether that much evidence blocks the client.
func (p *policy) blocks(s sums, m *merit) bool {
	limit := p.threshold(m) - rounding
	return s.hard >= limit || s.softPaths >= softPaths*(1+min(int(m.good), softGood)) && s.score() >= limit
}

// suspects says whether that much evidence makes a suspect.
func (p *policy) suspects(s sums) bool { return s.score() >= p.MaxRetry/2-rounding }

// slows says whether that much evidence slows a suspect on the app's own URLs, too.
// Soft evidence does not: a page with three broken images would else have most of
// its hundred good ones refused. Nor does anything where the client stands for
// many: one scanner would else slow down everybody.
func (p *policy) slows(s sums, standing Standing) bool {
	return standing == Bannable && s.hard >= p.MaxRetry/2-rounding
}

// bantime is how long the n-th ban lasts.
func (p *policy) bantime(n int) time.Duration {
	d := p.BanTimeMax
	if doubled := float64(p.BanTime) * math.Pow(2, float64(n-1)); doubled < float64(d) {
		d = time.Duration(doubled)
	}
	if p.BanJitter > 0 {
		d += time.Duration(float64(d) * p.BanJitter * (2*p.Rand() - 1))
	}
	return min(d, p.BanTimeMax).Round(time.Millisecond)
}

// dossier is what is remembered of a client with evidence or a ban. Only the
// holder of its shard's lock may touch it.
type dossier struct {
	key   key
	index int // in the shard's list
	tally tally
	// spent is the evidence behind the last ban: it no longer counts.
	spent []Piece
	// ban is the last one, over or not, until its count is forgotten; nil
	// where there was none. What it points to never changes.
	ban      *Ban
	refusals int
	// last is when the last evidence counted.
	last time.Time
	gate *gate
	// grace is until which Unix second the client isn't banned whatever it does:
	// a person ended its ban.
	grace uint32
	// saved says that the store may have a record.
	saved bool
	// bytes is what the shard's account has for the dossier.
	bytes int
}

// banned says whether a ban is in force.
func (d *dossier) banned(now time.Time) bool { return d.ban != nil && now.Before(d.ban.Until) }

// spared says whether the client is in the grace after a person's word.
func (d *dossier) spared(now time.Time) bool { return now.Before(d.graceEnds()) }

func (d *dossier) graceEnds() time.Time { return time.Unix(int64(d.grace), 0).UTC() }

// forgotten is when the count of bans is; there must be a ban.
func (d *dossier) forgotten() time.Time {
	from := d.ban.Until
	if d.last.After(from) {
		from = d.last
	}
	return from.Add(forgetFactor * d.ban.Until.Sub(d.ban.Since))
}

// forget lets go of a past ban whose count is due to be forgotten.
func (d *dossier) forget(now time.Time) {
	if d.ban != nil && !now.Before(d.forgotten()) {
		d.ban, d.spent = nil, nil
	}
}

// count is how many bans the client had that aren't forgotten.
func (d *dossier) count(now time.Time) int {
	if d.ban == nil || !now.Before(d.forgotten()) {
		return 0
	}
	return d.ban.Count
}

// block begins the next ban of the client, for the evidence in its tally.
func (d *dossier) block(now time.Time, p *policy, s sums) *Ban {
	d.tally.absorb()
	p.rules.records[RuleUnexpected].bans.Add(1)
	return d.begin(now, p, verdict{rule: RuleUnexpected, reason: reason(d.tally.pieces, s, p.FindTime), penalty: p.Penalty})
}

// verdict is what a ban is for; a bantime of 0 means the ladder's.
type verdict struct {
	rule, reason string
	penalty      Penalty
	bantime      time.Duration
}

// begin begins the next ban of the client.
func (d *dossier) begin(now time.Time, p *policy, v verdict) *Ban {
	n := d.count(now) + 1
	now = now.UTC().Round(0)
	if v.bantime == 0 {
		v.bantime = p.bantime(n)
	}
	d.tally.absorb()
	d.spent = d.tally.pieces
	d.ban = &Ban{
		Client: d.key.prefix(), Since: now, Until: now.Add(v.bantime), Rule: v.rule,
		Reason: v.reason, Penalty: v.penalty, Count: n, Observed: p.Observe,
	}
	d.tally, d.refusals, d.gate = tally{}, 0, nil
	return d.ban
}

// reason says in words what led to a ban. It names kinds and no paths: it is
// shown to the client, and logged.
func reason(pieces []Piece, s sums, findtime time.Duration) string {
	var order []Kind
	count := map[Kind]int{}
	for _, p := range pieces {
		if count[p.Kind]++; count[p.Kind] == 1 {
			order = append(order, p.Kind)
		}
	}
	parts := make([]string, len(order))
	for i, kind := range order {
		parts[i] = fmt.Sprintf("%d %s", count[kind], kind)
	}
	return fmt.Sprintf("score %.4g within %v: %s", s.score(), findtime, strings.Join(parts, ", "))
}
