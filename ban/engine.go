package ban

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Engine judges clients. It is safe for concurrent use.
type Engine struct {
	policy   atomic.Pointer[policy]
	shards   []*shard
	seed     seed
	networks networks
	families families
	states   *states
	waiters  waiters
	saver    *saver

	configuring sync.Mutex // guards lastRule, and one Configure from another
	lastRule    uint32     // the last id given to a rule
}

// New makes an engine. Its errors name the fields that can't be.
func New(c Config) (*Engine, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("ban: %w", err)
	}
	e := &Engine{
		networks: networks{bans: map[key]*networkBan{}, dirty: map[key]struct{}{}, word: map[key]int{}},
		families: families{of: map[key]*family{}},
	}
	for i := range e.seed {
		e.seed[i] = maphash.Bytes(maphash.MakeSeed(), nil) // the only randomness that std gives without I/O
	}
	n := 1 << (bits.Len(uint(min(c.MaxClients/clientsPerShard, mostShards)|1)) - 1)
	for i := range n {
		limit := c.MaxClients*(i+1)/n - c.MaxClients*i/n
		e.shards = append(e.shards, newShard(limit, max(limit*dossierBytes, smallestBudget), e.seed))
	}
	e.states = newStates(e.seed, min(maxStates, max(c.MaxClients, stateShards)))
	e.waiters.n = map[key]int{}
	e.policy.Store(newPolicy(c, newRuleset(c, nil, &e.lastRule)))
	e.saver = newSaver()
	return e, nil
}

// smallestBudget, in bytes, is room for a few dossiers in a very small engine.
const smallestBudget = 64 << 10

// Configure replaces the configuration. Bans, scores and records stay, and the
// counters of rules that are the same; MaxClients is ignored.
func (e *Engine) Configure(c Config) error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return fmt.Errorf("ban: %w", err)
	}
	e.configuring.Lock()
	defer e.configuring.Unlock()
	old := e.policy.Load()
	e.policy.Store(newPolicy(c, newRuleset(c, old.rules, &e.lastRule)))
	if old.Observe && !c.Observe {
		e.dropObserved()
	}
	return nil
}

// dropObserved forgets the bans that refused nobody, as a restart would: from now
// on their clients are judged by what they do.
func (e *Engine) dropObserved() {
	for _, s := range e.shards {
		s.mu.Lock()
		for _, d := range slices.Clone(s.dossiers) { // their order changes
			if d.ban != nil && d.ban.Observed {
				d.ban, d.spent, d.refusals = nil, nil, 0
				s.account(d)
				s.mark(d.key, false)
			}
		}
		s.mu.Unlock()
	}
	e.wake()
}

func (e *Engine) shard(k key) (*shard, uint64) {
	hash := e.seed.hash(k)
	return e.shards[hash&uint64(len(e.shards)-1)], hash
}

// Admit decides about a request before it is served. Clients with nothing
// against them cost one look-up, and two or three more where there are rules.
// Call Done for each Decision once the request has ended.
func (e *Engine) Admit(now time.Time, r Request) Decision {
	if !r.Client.IsValid() {
		return Decision{Class: Normal}
	}
	p := e.policy.Load()
	if len(p.rules.rules) > 0 {
		return e.admitByRules(now, p, r)
	}
	return e.judge(now, p, r)
}

// judge decides by what is held against the client, whatever rules say.
func (e *Engine) judge(now time.Time, p *policy, r Request) Decision {
	k := keyOf(r.Client)
	if n := e.networks.find(k, now, p.Observe); n != nil && p.Standing(r.Client.Addr()) == Bannable {
		return p.refuse(now, &n.ban, int(n.refusals.Add(1)))
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.table.find(k, hash)
	switch {
	case entry == nil:
		return Decision{Class: Normal}
	case entry.dossier == nil:
		return Decision{Class: entry.merit.class()}
	default:
		return e.admitOffender(now, p, s, entry, r)
	}
}

func (m *merit) class() Class {
	if m.known() {
		return High
	}
	return Normal
}

// admitOffender decides about a client with something against it.
func (e *Engine) admitOffender(now time.Time, p *policy, s *shard, entry *entry, r Request) Decision {
	d := entry.dossier
	banned := d.banned(now)
	counted := d.tally.sums(now, p.FindTime)
	if !banned && !p.suspects(counted) {
		return Decision{Class: entry.merit.class()}
	}
	standing := p.Standing(r.Client.Addr())
	switch {
	case banned && standing == Bannable:
		d.refusals++
		return p.refuse(now, d.ban, d.refusals)
	case banned || standing == Never:
		return Decision{Class: Normal}
	case r.Known && !p.slows(counted, standing):
		return Decision{Class: entry.merit.class(), AnswerLocally: true}
	}
	if d.gate == nil {
		d.gate = newGate(p)
		s.account(d)
	}
	return e.throttle(now, p, d, r.Known)
}

// refuse is the decision that a ban in force leads to.
func (p *policy) refuse(now time.Time, b *Ban, refusals int) Decision {
	d := Decision{
		Class: Suspect, Penalty: b.Penalty, Rule: b.Rule, Reason: b.Reason, Until: b.Until,
		RetryAfter: wholeSeconds(b.Until.Sub(now)), Refusals: refusals,
	}
	observing := p.Observe || b.Observed
	p.rules.record(b.Rule).count(observing)
	if observing {
		d.Class, d.Observed = Normal, true
		return d
	}
	d.Action = Refuse
	return d
}

// Observe notes how a request ended: the client's record gets better, or the
// evidence against it more.
func (e *Engine) Observe(now time.Time, o Observation) Outcome {
	if !o.Client.IsValid() {
		return Outcome{}
	}
	p := e.policy.Load()
	out := e.observe(now, p, o)
	if out.Banned != nil {
		e.widen(now, p, out.Banned)
	}
	return out
}

func (e *Engine) observe(now time.Time, p *policy, o Observation) Outcome {
	if !p.rules.concernsAnswer(&o) {
		return e.weigh(now, o)
	}
	q := p.rules.observation(&o)
	ignored, pending := q.ignored(true, true)
	if ignored {
		o.Evidence = nil
		return e.weigh(now, o)
	}
	o.pending = pending
	out := e.weigh(now, o)
	e.observeByRules(now, p, &q, &o, &out)
	return out
}

// weigh notes an observation in the client's record, whatever rules say.
func (e *Engine) weigh(now time.Time, o Observation) Outcome {
	if o.Evidence == nil {
		return e.praise(now, o)
	}
	return e.accuse(now, o)
}

// praise notes a request without evidence.
func (e *Engine) praise(now time.Time, o Observation) Outcome {
	if !o.Found {
		return Outcome{}
	}
	k := keyOf(o.Client)
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.track(k, hash, now, newcomer(now))
	if entry == nil {
		return Outcome{}
	}
	entry.merit.credit(uint32(now.Unix()), o.Route, o.Session)
	if entry.dossier == nil {
		return Outcome{}
	}
	p := e.policy.Load()
	counted := entry.dossier.tally.sums(now, p.FindTime)
	return Outcome{Suspect: p.suspects(counted), Score: counted.score()}
}

// accuse notes a request with evidence.
func (e *Engine) accuse(now time.Time, o Observation) Outcome {
	p := e.policy.Load()
	kind := p.kind(o.Evidence.Kind)
	if kind.Weight == 0 {
		return e.praise(now, o)
	}
	standing := p.Standing(o.Client.Addr())
	if o.pending && standing == Bannable {
		standing = SuspectOnly
	}
	k := keyOf(o.Client)
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.track(k, hash, now, tierEvidence|1<<32|rank(uint32(now.Unix())))
	if entry == nil {
		return Outcome{}
	}
	d := s.open(entry)
	if d.banned(now) {
		return Outcome{}
	}
	out := e.count(now, p, s, entry, kind, o.Evidence, standing)
	out.Spared = out.Spared && !o.pending
	s.account(d)
	s.shrink(now)
	return out
}

// count adds a piece of evidence to the score and climbs the ladder.
func (e *Engine) count(now time.Time, p *policy, s *shard, entry *entry, kind KindInfo, v *Evidence, standing Standing) Outcome {
	d := entry.dossier
	d.forget(now)
	weight, soft := kind.weigh(v, &entry.merit)
	added := d.tally.add(newPiece(now, *v, weight, soft), kind.Each, p.FindTime)
	if added {
		d.last = now.UTC().Round(0)
		if !v.Soft && !kind.Soft { // what others can cause doesn't spoil a record
			entry.merit.blame(uint32(now.Unix()))
		}
	}
	counted := d.tally.sums(now, p.FindTime)
	out := Outcome{Counted: added, Score: counted.score(), Suspect: p.suspects(counted) && standing != Never}
	if !added {
		return out
	}
	blocks := p.blocks(counted, &entry.merit)
	out.Spared = blocks && standing == SuspectOnly
	if blocks && standing == Bannable && !d.spared(now) {
		out.Banned = d.block(now, p, counted)
		e.wake()
	}
	s.mark(d.key, out.Banned != nil)
	return out
}
