package ban

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Store keeps records beyond the process's life. Its methods may be called
// from one goroutine at a time only.
type Store interface {
	// Load calls the function for each record, in any order, until it returns
	// an error.
	Load(ctx context.Context, each func(Record) error) error
	// Save keeps all of the records or none; an empty Record deletes. When it
	// returns nil they are safe from a crash of the process.
	Save(ctx context.Context, records []Record) error
	// Close ends the use of the store. The engine never calls it.
	Close() error
}

// Record is what is kept of one client or network.
type Record struct {
	Client netip.Prefix `json:"client"`
	// Ban is the last one, in force or not, while its count is remembered.
	Ban *Ban `json:"ban,omitempty"`
	// Evidence is what counts, Spent what led to the last ban.
	Evidence []Piece    `json:"evidence,omitempty"`
	Spent    []Piece    `json:"spent,omitempty"`
	More     []Overflow `json:"more,omitempty"`
	// Counts is what rules have counted.
	Counts []Counts `json:"counts,omitempty"`
	// Others is what other engines with the same store have counted; only a
	// Shared one fills it in, and Save ignores it.
	Others Share `json:"others,omitzero"`
	// Forgotten says of an empty record that nobody ended a ban: there was
	// no more reason to remember the client, or no room. Other engines may
	// have one.
	Forgotten bool `json:"forgotten,omitempty"`
	// Last is when evidence was last counted.
	Last time.Time `json:"last"`
	// Good, Bad, Routes and Sessions are the client's record of good conduct.
	Good     uint16 `json:"good,omitempty"`
	Bad      uint16 `json:"bad,omitempty"`
	Routes   uint16 `json:"routes,omitempty"`
	Sessions uint16 `json:"sessions,omitempty"`
	// Expires is from when on nothing in the record matters any more; stores
	// may forget it then.
	Expires time.Time `json:"expires"`
}

// Empty says that nothing is left to keep of the client.
func (r Record) Empty() bool { return r.Ban == nil && r.uncharged() && len(r.Counts) == 0 }

// uncharged says that there is no evidence.
func (r *Record) uncharged() bool { return len(r.Evidence) == 0 && len(r.More) == 0 }

// record is the state of an entry with a dossier as it is saved.
func (e *entry) record(p *policy) Record {
	d := e.dossier
	r := Record{Client: d.key.prefix()}
	r.Evidence, r.Spent = append(r.Evidence, d.tally.pieces...), append(r.Spent, d.spent...)
	r.More, r.Last = append(r.More, d.tally.more...), d.last
	r.Good, r.Bad, r.Routes, r.Sessions = e.merit.good, e.merit.bad, e.merit.routes, e.merit.sessions
	r.Expires = d.last.Add(p.FindTime)
	if d.ban != nil {
		ban := d.snapshot()
		r.Ban = &ban
		r.Expires = later(r.Expires, d.forgotten())
	}
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Restore loads what a store has. Call it before the first request is
// admitted; Serve does it otherwise.
func (e *Engine) Restore(ctx context.Context, st Store) error {
	p := e.policy.Load()
	err := st.Load(ctx, func(r Record) error {
		if !r.Client.IsValid() {
			return fmt.Errorf("record without a valid client")
		}
		e.restore(p, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ban: load from store: %w", err)
	}
	e.saver.restored(st)
	return nil
}

// restore takes over one record. A client about whom there is something
// already keeps that.
func (e *Engine) restore(p *policy, r Record) {
	if r.Ban != nil && r.Ban.Observed && !p.Observe {
		r.Ban, r.Spent = nil, nil // made while nobody was to be refused
	}
	if r.Empty() && r.Others.Empty() {
		return
	}
	k := keyOf(r.Client)
	if r.Ban != nil && p.wide(k) && (r.Ban.Manual || r.Ban.Rule == RuleSiblings) {
		e.networks.add(k, *r.Ban)
		return
	}
	if r.Ban != nil && p.hasSiblings(k, r.Ban) {
		e.families.note(r.Ban.Since, k, r.Ban)
	}
	e.states.restore(r.Last, p.rules, k, r.Counts, r.Others.Counts)
	if r.Ban == nil && r.uncharged() && r.Others.uncharged() {
		return
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry := s.track(k, hash, r.Last, r.rank()); entry != nil && entry.dossier == nil {
		s.reopen(entry, r)
	}
}

// rank is what a record is worth in a full table.
func (r *Record) rank() rank {
	if r.Ban != nil {
		return r.Ban.rank()
	}
	return tierEvidence
}

// reopen makes a record the entry's dossier.
func (s *shard) reopen(entry *entry, r Record) {
	entry.merit = merit{good: r.Good, bad: r.Bad, routes: r.Routes, sessions: r.Sessions, seen: uint32(r.Last.Unix())}
	d := s.open(entry)
	d.saved = true
	d.tally, d.spent, d.last = tally{pieces: r.Evidence, more: r.More, others: fromOthers(r.Others)}, r.Spent, r.Last
	if r.Ban != nil {
		ban := *r.Ban
		d.ban, d.refusals, ban.Refusals = &ban, ban.Refusals, 0
	}
	if s.account(d); s.bytes > s.budget && d.trim(r.Last) {
		s.account(d) // quicker than to look for who has the least
	}
	s.shrink(r.Last)
}

// pending is a client whose record is on its way to the store.
type pending struct {
	key     key
	urgent  bool
	word    int // of a person, 0 for none
	network bool
}

// collect takes all that waits to be saved, bans first.
func (e *Engine) collect() (waiting []pending, records []Record) {
	waiting, records = e.networks.collect()
	p := e.policy.Load()
	var lazy []pending
	var scores []Record
	for _, s := range e.shards {
		s.mu.Lock()
		for k := range s.urgent {
			waiting = append(waiting, pending{key: k, urgent: true, word: s.word[k]})
			records = append(records, e.record(p, s, k))
			delete(s.lazy, k)
		}
		for k := range s.lazy {
			lazy, scores = append(lazy, pending{key: k}), append(scores, e.record(p, s, k))
		}
		clear(s.urgent)
		clear(s.lazy)
		s.mu.Unlock()
	}
	return append(waiting, lazy...), append(records, scores...)
}

// record is what is to be saved of a client. Its shard is locked.
func (e *Engine) record(p *policy, s *shard, k key) Record {
	r := Record{Client: k.prefix()}
	if entry := s.table.find(k, s.table.seed.hash(k)); entry != nil && entry.dossier != nil {
		entry.dossier.saved = true
		r = entry.record(p)
	}
	counts, expires := e.states.counts(p.rules, k)
	r.Counts, r.Expires = counts, later(r.Expires, expires)
	r.Last = later(r.Last, lastTick(counts))
	r.Forgotten = r.Empty() && s.word[k] == 0
	return r
}

func lastTick(all []Counts) (last time.Time) {
	for _, c := range all {
		last = later(last, c.Ticks[len(c.Ticks)-1].At)
	}
	return last
}

func (n *networks) collect() (waiting []pending, records []Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.dirty {
		r := Record{Client: k.prefix()}
		if b := n.bans[k]; b != nil {
			ban := b.snapshot()
			r.Ban, r.Last, r.Expires = &ban, ban.Since, ban.Until
		}
		waiting, records = append(waiting, pending{key: k, word: n.word[k], network: true}), append(records, r)
	}
	clear(n.dirty)
	return waiting, records
}

// remark puts back what could not be saved.
func (e *Engine) remark(waiting []pending) {
	for _, w := range waiting {
		if w.network {
			e.networks.mark(w.key)
			continue
		}
		s, _ := e.shard(w.key)
		s.mu.Lock()
		s.mark(w.key, w.urgent)
		s.mu.Unlock()
	}
}
