package ban

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Shared is a Store that several engines use at once. The clocks of their
// machines should agree within a second or so (NTP does).
//
// Its Save keeps of each client what this engine has seen beside what others
// have, and decides between engines that disagree: of two bans for the same
// evidence the first one holds, a person's later word overrules.
type Shared interface {
	Store
	// Follow tells f what others have changed since Load, until ctx ends; from
	// then on Save does too. It returns no error for a store that is away: it
	// waits for it.
	Follow(ctx context.Context, f Follower) error
}

// Follower is an engine as its shared store sees it. Its methods may be called
// from any goroutine.
type Follower interface {
	// Take takes over what others know of a client.
	Take(now time.Time, n News)
	// SaveAgain makes the engine save all it knows: the store may have lost it.
	SaveAgain()
}

var _ Follower = (*Engine)(nil)

// ErrAway is what Save's error is where a shared store can't be reached and
// has told so: nobody else needs to.
var ErrAway = errors.New("the shared store is away")

// Share is the evidence that other engines have of a client.
type Share struct {
	Evidence []Piece    `json:"evidence,omitempty"`
	More     []Overflow `json:"more,omitempty"`
	// Counts is what their rules have counted; a rule can be there several times.
	Counts []Counts `json:"counts,omitempty"`
}

// Empty says that there is nothing.
func (s Share) Empty() bool { return s.uncharged() && len(s.Counts) == 0 }

// uncharged says that there is no evidence.
func (s *Share) uncharged() bool { return len(s.Evidence) == 0 && len(s.More) == 0 }

// News is what a shared store has of a client now.
type News struct {
	// Client, Ban, Spent and Others of the record count; the engine's own
	// evidence is not news.
	Record
	// Decided says that others have banned the client, or lifted its ban where
	// Ban is nil, since this engine knew last. What it holds against the client
	// is spent, then. Else only Others is new.
	Decided bool
	// Answer says that the news are what Save was answered about this client:
	// they overrule what was saved, but nothing later.
	Answer bool
}

// sharedEvery is how often evidence is shared: a scanner gets as much further
// as it can ask in that time.
const sharedEvery = 100 * time.Millisecond

// mostOthers is how many pieces of others' evidence of a client are remembered
// whole; of the rest only the weight is.
const mostOthers = 3 * remembered

// follow runs Follow until the function that it returns is called.
func (e *Engine) follow(ctx context.Context, st Shared) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- st.Follow(ctx, e) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// SaveAgain implements Follower.
func (e *Engine) SaveAgain() {
	e.networks.markAll()
	for _, s := range e.shards {
		s.mu.Lock()
		for _, d := range s.dossiers {
			s.mark(d.key, d.ban != nil)
		}
		s.mu.Unlock()
	}
	select {
	case e.saver.retry <- struct{}{}:
	default:
	}
}

func (n *networks) markAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.bans {
		n.dirty[k] = struct{}{}
	}
}

// Take implements Follower. Evidence of several engines can add up to a ban
// here; it is told to Config.SharedBan, as bans of others are.
func (e *Engine) Take(now time.Time, n News) {
	p := e.policy.Load()
	if !n.Client.IsValid() {
		return
	}
	if n.Ban != nil && n.Ban.Observed && !p.Observe {
		n.Ban, n.Spent, n.Decided = nil, nil, false // made where nobody is refused
	}
	k := keyOf(n.Client)
	if p.wide(k) {
		e.takeNetwork(now, p, k, n)
		return
	}
	b, here, reached := e.take(now, p, k, n)
	for _, r := range reached {
		if banned := e.banBy(now, p, r, k, r.tally()); banned != nil {
			e.states.forget(stateKey{r.id, k})
			r.count(false)
			b, here = banned, true
		}
	}
	if b != nil && now.Before(b.Until) {
		p.SharedBan(*b, here)
		e.widen(now, p, b)
	}
}

// take returns the ban that is new by it, and whether it was decided here; and
// the rules by which the client is to be banned.
func (e *Engine) take(now time.Time, p *policy, k key, n News) (b *Ban, here bool, reached []*rule) {
	standing := p.shown(n.Client.Addr())
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.table.find(k, hash)
	if s.spoken(k, n.Answer) {
		return nil, false, nil
	}
	e.heard(p, k, n)
	if reached = e.states.hear(now, p.rules, k, n.Others.Counts); standing != Bannable {
		reached = nil
	}
	if entry == nil && n.Ban == nil && n.Others.uncharged() {
		return nil, false, reached
	}
	if entry == nil {
		if entry = s.track(k, hash, now, n.rank(now)); entry == nil {
			return nil, false, reached
		}
	}
	if n.Decided {
		b = s.adopt(now, p, entry, n)
	}
	if entry.dossier == nil && n.Others.uncharged() {
		return b, false, reached
	}
	d := s.open(entry)
	d.tell(p, n.Others)
	if standing == Bannable && !n.Others.uncharged() {
		if added := d.addsUp(now, p, &entry.merit); added != nil {
			b, here = added, true
			s.mark(k, true)
			e.wake()
		}
	}
	s.account(d)
	s.shrink(now)
	return b, here, reached
}

// addsUp bans a client whose evidence, that of others counted, is enough.
func (d *dossier) addsUp(now time.Time, p *policy, m *merit) *Ban {
	if d.banned(now) || d.spared(now) {
		return nil
	}
	counted := d.tally.sums(now, p.FindTime)
	if !p.blocks(counted, m) {
		return nil
	}
	return d.block(now, p, counted)
}

// shown is the standing of a client that isn't asking for anything now. One that
// a rule ignores, or may when its name is known, is not banned by what was
// counted elsewhere.
func (p *policy) shown(a netip.Addr) Standing {
	standing := p.Standing(a)
	if standing != Bannable || len(p.rules.rules) == 0 {
		return standing
	}
	q := p.rules.request(a, "", "")
	if ignored, pending := q.ignored(false, false); ignored || pending {
		return SuspectOnly
	}
	return standing
}

// rank is what the news are worth in a full table.
func (n *News) rank(now time.Time) rank {
	if n.Ban != nil {
		return n.Ban.rank()
	}
	return tierEvidence | rank(len(n.Others.Evidence))<<32 | rank(uint32(now.Unix()))
}

// adopt makes the decision of others ours. It returns the ban where it is new.
func (s *shard) adopt(now time.Time, p *policy, e *entry, n News) *Ban {
	delete(s.urgent, e.key())
	delete(s.lazy, e.key())
	if n.Ban == nil {
		s.pardon(now, p, e)
		return nil
	}
	d, b := s.open(e), *n.Ban
	b.Refusals = 0
	known := d.ban != nil && d.ban.Since.Equal(b.Since)
	if !known {
		d.refusals = 0
	}
	d.ban, d.spent, d.tally, d.gate = &b, n.Spent, tally{}, nil
	d.last, d.saved = later(d.last, n.Last), true
	d.forget(now)
	s.account(d)
	if known {
		return nil
	}
	return &b
}

// tell replaces what the dossier has of others' evidence. A path that both
// have seen counts once.
func (d *dossier) tell(p *policy, others Share) {
	d.tally.others = nil
	if others.uncharged() {
		return
	}
	t := &tally{more: slices.Clone(others.More)}
	for _, piece := range others.Evidence {
		d.last = later(d.last, piece.Time)
		switch distinct := !p.kind(piece.Kind).Each; {
		case distinct && (d.tally.has(piece.Kind, piece.Path) || t.has(piece.Kind, piece.Path)):
		case len(t.pieces) < mostOthers:
			t.pieces = append(t.pieces, piece)
		default:
			t.overflow(piece, p.FindTime)
		}
	}
	d.tally.others = t
}

// takeNetwork takes over what others decided about a network.
func (e *Engine) takeNetwork(now time.Time, p *policy, k key, n News) {
	if !n.Decided || e.networks.spoken(k, n.Answer) {
		return
	}
	if n.Ban == nil {
		e.networks.remove(k)
		e.families.spare(now, k, now.Add(p.FindTime))
		return
	}
	if n.Ban.Rule == RuleSiblings && !n.Ban.Manual && e.usedWell(now, k) {
		e.networks.speak(k) // those who behave are known here: it ends everywhere
		e.wake()
		return
	}
	b := *n.Ban
	b.Refusals = 0
	known := e.networks.has(k, b.Since)
	e.networks.add(k, b)
	if !known && now.Before(b.Until) {
		p.SharedBan(b, false)
	}
}

// speak notes a person's word about a network.
func (n *networks) speak(k key) {
	n.mark(k)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.word[k]++
}

// spoken is shard.spoken for networks.
func (n *networks) spoken(k key, answer bool) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, waits := n.dirty[k]
	return n.word[k] > 0 && (waits || !answer)
}

// has says whether the network's ban is the one of that moment.
func (n *networks) has(k key, since time.Time) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	b := n.bans[k]
	return b != nil && b.ban.Since.Equal(since)
}

// speak notes a person's word about a client. It is newer than any news until
// it is saved, and an end of a ban is more than that it was forgotten here.
func (s *shard) speak(k key) {
	s.mark(k, true)
	s.word[k]++
}

// spoken says whether a person's word about the client is newer than any news,
// or than the answer to the last save.
func (s *shard) spoken(k key, answer bool) bool {
	_, waits := s.urgent[k]
	return s.word[k] > 0 && (waits || !answer)
}

// settled forgets persons' words that are saved.
func (e *Engine) settled(saved []pending) {
	for _, w := range saved {
		if w.word == 0 {
			continue
		}
		s, _ := e.shard(w.key)
		mu, word := sync.Locker(&s.mu), s.word
		if w.network {
			mu, word = &e.networks.mu, e.networks.word
		}
		mu.Lock()
		if word[w.key] == w.word {
			delete(word, w.key)
		}
		mu.Unlock()
	}
}

// plus adds others' evidence, which has no piece in common with the tally's.
func (t *tally) plus(s sums, now time.Time, findtime time.Duration) sums {
	o := t.others.sums(now, findtime)
	for _, piece := range t.others.pieces {
		if piece.Soft && !past(piece.Time, now, findtime) && t.hasSoft(piece.Path, now, findtime) {
			o.softPaths-- // the same path, as another kind
		}
	}
	s.hard += o.hard
	s.soft += o.soft
	s.softPaths += max(0, o.softPaths)
	return s
}

func (t *tally) hasSoft(path string, now time.Time, findtime time.Duration) bool {
	return slices.ContainsFunc(t.pieces, func(p Piece) bool {
		return p.Soft && p.Path == path && !past(p.Time, now, findtime)
	})
}

// absorb makes others' evidence the tally's own, in the order of time, when it
// has led to a ban.
func (t *tally) absorb() {
	if t.others == nil {
		return
	}
	t.pieces = append(t.pieces, t.others.pieces...)
	slices.SortStableFunc(t.pieces, func(a, b Piece) int { return a.Time.Compare(b.Time) })
	t.others = nil
}

// seen are the pieces of the tally, then those of others.
func (t *tally) seen() []Piece {
	if t.others == nil {
		return t.pieces
	}
	return slices.Concat(t.pieces, t.others.pieces)
}

// fromOthers makes a tally of what a store has of other engines.
func fromOthers(s Share) *tally {
	if s.uncharged() {
		return nil
	}
	return &tally{pieces: s.Evidence, more: s.More}
}
