package ban

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxStates bounds what is remembered for rules that count or throttle:
	// counters and limiters of clients, at most 40 MB. Those not used for the
	// longest time go first.
	maxStates = 1 << 17
	// stateShards keeps the locks apart.
	stateShards = 64
	// busySearch is how many states in use eviction passes over.
	busySearch = 16
	// exact is up to how many matches a rule counts to the instant; beyond
	// that, matches within a sixty-fourth of findtime count as of the first of
	// them: they leak away early rather than late.
	exact = 64
)

// stateKey is a client, or what else shares a throttle, as one rule sees it.
type stateKey struct {
	rule uint32
	key  key
}

// state is what a rule remembers of one client. Only the holder of its shard's
// lock may touch it.
type state struct {
	id         stateKey
	prev, next *state
	used       time.Time

	limiter, connecting *rate.Limiter
	inFlight, open      int
	matches             []tick
	// others are the matches that other engines with the same store have seen.
	others []tick
	// until is to when the measure is in force for what the client did.
	until time.Time
	// refusals are those of a block without end.
	refusals int
	mark     *ruleRecord // whose marks count this state; nil where unmarked
}

// tick is n matches at a time.
type tick struct {
	at time.Time
	n  int
}

// states are all states, bounded.
type states struct {
	seed   seed
	shards [stateShards]stateShard
}

type stateShard struct {
	mu    sync.Mutex
	limit int
	m     map[stateKey]*state
	// newest and oldest end the list in the order of last use.
	newest, oldest *state
	_              [64]byte
}

func newStates(s seed, limit int) *states {
	t := &states{seed: s}
	for i := range t.shards {
		t.shards[i].limit = max(1, limit/stateShards)
		t.shards[i].m = map[stateKey]*state{}
	}
	return t
}

// shard returns the locked part that an id belongs to.
func (t *states) shard(id stateKey) *stateShard {
	s := &t.shards[(t.seed.hash(id.key)^uint64(id.rule))%stateShards]
	s.mu.Lock()
	return s
}

// get returns the state, made where there is none.
func (s *stateShard) get(id stateKey, now time.Time) *state {
	st := s.m[id]
	if st == nil {
		if len(s.m) >= s.limit {
			s.evict()
		}
		st = &state{id: id}
		s.m[id] = st
	} else {
		s.unlink(st)
	}
	st.used = now
	s.link(st)
	return st
}

// link makes the state the newest.
func (s *stateShard) link(st *state) {
	st.prev, st.next = nil, s.newest
	if s.newest != nil {
		s.newest.prev = st
	} else {
		s.oldest = st
	}
	s.newest = st
}

func (s *stateShard) unlink(st *state) {
	if st.prev != nil {
		st.prev.next = st.next
	} else {
		s.newest = st.next
	}
	if st.next != nil {
		st.next.prev = st.prev
	} else {
		s.oldest = st.prev
	}
}

// evict forgets the oldest state that nothing is using. Those in use are no
// more than there are requests and connections.
func (s *stateShard) evict() {
	st := s.oldest
	for range busySearch {
		if st == nil {
			return
		}
		if !st.busy() {
			s.remove(st)
			return
		}
		st = st.prev
	}
}

func (s *stateShard) remove(st *state) {
	s.unlink(st)
	delete(s.m, st.id)
	st.unmark()
}

// forget drops what a rule has counted of a client; those in use keep what is
// open.
func (t *states) forget(id stateKey) {
	s := t.shard(id)
	defer s.mu.Unlock()
	st := s.m[id]
	switch {
	case st == nil:
	case st.busy():
		st.matches, st.others, st.until, st.refusals = nil, nil, time.Time{}, 0
		st.unmark()
	default:
		s.remove(st)
	}
}

func (st *state) busy() bool { return st.inFlight+st.open > 0 }

// count adds a match and returns how many there are within findtime. No more
// are remembered than a rule needs.
func (st *state) count(now time.Time, r *rule) int {
	st.forget(now, r.FindTime)
	step := time.Duration(0)
	if r.MaxRetry > exact {
		step = r.FindTime / exact
	}
	if last := len(st.matches) - 1; last >= 0 && now.Sub(st.matches[last].at) < step {
		st.matches[last].n++
	} else {
		st.matches = append(st.matches, tick{now, 1})
	}
	if len(st.matches) > exact+1 {
		st.matches = append(st.matches[:0], st.matches[1:]...)
	}
	return st.sum(now, r.FindTime)
}

func (st *state) forget(now time.Time, findtime time.Duration) {
	n := 0
	for n < len(st.matches) && past(st.matches[n].at, now, findtime) {
		n++
	}
	st.matches = append(st.matches[:0], st.matches[n:]...)
}

func (st *state) sum(now time.Time, findtime time.Duration) int {
	n := 0
	for _, seen := range [...][]tick{st.matches, st.others} {
		for _, m := range seen {
			if !past(m.at, now, findtime) {
				n += m.n
			}
		}
	}
	return n
}

// enforce begins or prolongs the measure.
func (st *state) enforce(until time.Time, r *ruleRecord) {
	st.until = until
	if st.mark == nil {
		st.mark = r
		r.marks.Add(1)
	}
}

func (st *state) unmark() {
	if st.mark != nil {
		st.mark.marks.Add(-1)
		st.mark = nil
	}
}

// marked says whether the rule's measure is in force for what a client did.
func (t *states) marked(now time.Time, r *rule, k key) bool {
	if r.marks.Load() == 0 {
		return false
	}
	id := stateKey{r.id, k}
	s := t.shard(id)
	defer s.mu.Unlock()
	st := s.m[id]
	return st != nil && now.Before(st.until)
}

// idle says that nothing is lost with the state.
func (st *state) idle(now time.Time, findtime time.Duration) bool {
	full := func(l *rate.Limiter) bool { return l == nil || l.TokensAt(now) >= float64(l.Burst()) }
	return !st.busy() && !now.Before(st.until) && st.sum(now, findtime) == 0 &&
		full(st.limiter) && full(st.connecting) && (st.refusals == 0 || past(st.used, now, findtime))
}

// expire forgets states with nothing to remember, and those of rules that are
// no more: findtimes has those that are.
func (t *states) expire(now time.Time, findtimes map[uint32]time.Duration) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, st := range s.m {
			if !now.Before(st.until) {
				st.unmark()
			}
			findtime, known := findtimes[st.id.rule]
			if !known || st.idle(now, findtime) {
				s.remove(st)
			}
		}
		s.mu.Unlock()
	}
}

// len is how many states there are.
func (t *states) len() int {
	n := 0
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += len(t.shards[i].m)
		t.shards[i].mu.Unlock()
	}
	return n
}
