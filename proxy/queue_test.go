package proxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"pgregory.net/rapid"
)

// naive is the queue's order in the plainest way: one list, searched whole.
type naive struct {
	limit, size int
	mean        time.Duration // of each
	patience    time.Duration
	strained    bool            // more come than are served
	waiting     []*naiveRequest // in the order of coming
	running     []*naiveRequest
	emptyAt     [classes]time.Time
	refused     []int
}

type naiveRequest struct {
	id     int
	client netip.Prefix
	class  ban.Class
	rank   int
	since  time.Time
}

func (m *naive) count(c ban.Class) int {
	n := 0
	for _, r := range m.waiting {
		if r.class == c {
			n++
		}
	}
	return n
}

func (m *naive) of(list []*naiveRequest, client netip.Prefix) int {
	n := 0
	for _, r := range list {
		if r.client == client {
			n++
		}
	}
	return n
}

func (m *naive) drop(now time.Time, r *naiveRequest) {
	m.waiting = slices.DeleteFunc(m.waiting, func(x *naiveRequest) bool { return x == r })
	if m.count(r.class) == 0 {
		m.emptyAt[r.class] = now
	}
}

// gone drops a request that doesn't run, and has its client's others move up.
func (m *naive) gone(now time.Time, r *naiveRequest) {
	m.drop(now, r)
	m.moveUp(r, r.rank)
}

func (m *naive) moveUp(r *naiveRequest, rank int) {
	for m.strained {
		var next *naiveRequest
		for _, w := range m.waiting {
			if w.client == r.client && w.class == r.class && w.rank > rank {
				next = w
			}
		}
		if next == nil {
			return
		}
		rank, next.rank = next.rank, rank
	}
}

func (m *naive) done(now time.Time, r *naiveRequest) {
	m.running = slices.DeleteFunc(m.running, func(x *naiveRequest) bool { return x == r })
	m.moveUp(r, min(m.of(m.running, r.client), ranks-1))
	m.fill(now)
}

func (m *naive) stood(now time.Time, c ban.Class) bool {
	return m.count(c) > 0 && now.Sub(m.emptyAt[c]) > standing
}

func (m *naive) overload(now time.Time, c ban.Class) bool {
	n := 0
	for b := ban.High; b <= c; b++ {
		n += m.count(b)
	}
	return m.stood(now, c) && time.Duration(n)*m.mean > bearable*time.Duration(m.limit)
}

func (m *naive) newest(now time.Time, c ban.Class) bool { return m.strained && m.overload(now, c) }

func (m *naive) mayRun(r *naiveRequest) bool {
	return r.class != ban.Suspect || m.of(m.running, r.client) < max(1, m.limit/suspectShare)
}

// before says whether a goes before b.
func (m *naive) before(now time.Time, a, b *naiveRequest) bool {
	switch {
	case a.class != b.class:
		return a.class < b.class
	case a.rank != b.rank:
		return a.rank < b.rank
	}
	older := slices.Index(m.waiting, a) < slices.Index(m.waiting, b)
	return older != m.newest(now, a.class)
}

func (m *naive) fill(now time.Time) {
	for len(m.running) < m.limit {
		var best *naiveRequest
		for _, r := range m.waiting {
			if m.mayRun(r) && (best == nil || m.before(now, r, best)) {
				best = r
			}
		}
		if best == nil {
			return
		}
		m.drop(now, best)
		best.since = now
		m.running = append(m.running, best)
	}
}

func (m *naive) arrive(now time.Time, r *naiveRequest) {
	r.since = now
	r.rank = min(m.of(m.running, r.client)+m.of(m.waiting, r.client), ranks-1)
	if len(m.waiting) >= m.size && !(len(m.waiting) == 0 && len(m.running) < m.limit && m.mayRun(r)) {
		worst := m.worst()
		better := worst.class < r.class || worst.class == r.class && (worst.rank < r.rank || worst.rank == r.rank && !m.newest(now, r.class))
		if better {
			m.refused = append(m.refused, r.id)
			return
		}
		m.gone(now, worst)
		m.refused = append(m.refused, worst.id)
	}
	if m.count(r.class) == 0 {
		m.emptyAt[r.class] = now
	}
	m.waiting = append(m.waiting, r)
	m.fill(now)
}

// worst is the lowest class's request of most rank, the oldest of those.
func (m *naive) worst() *naiveRequest {
	var w *naiveRequest
	for _, r := range m.waiting {
		if w == nil || r.class > w.class || r.class == w.class && r.rank > w.rank {
			w = r
		}
	}
	return w
}

func (m *naive) expire(now time.Time) {
	m.fill(now)
	for _, r := range slices.Clone(m.waiting) {
		if now.Sub(r.since) >= m.patience {
			m.gone(now, r)
			m.refused = append(m.refused, r.id)
		}
	}
}

// pair drives both and compares them.
type pair struct {
	t     *rapid.T
	now   time.Time
	queue queue
	model naive
	slots map[int]*slot
	next  int
}

// ask tells the model whether there is strain, before the queue acts: the last
// that leaves a line takes the strain with it.
func (p *pair) ask() { p.model.strained = p.queue.strain > 0 }

func (p *pair) check() {
	p.t.Helper()
	states := map[slotState][]int{}
	for id, s := range p.slots {
		states[s.state] = append(states[s.state], id)
	}
	ids := func(list []*naiveRequest) []int {
		var all []int
		for _, r := range list {
			all = append(all, r.id)
		}
		slices.Sort(all)
		return all
	}
	for state, want := range map[slotState][]int{slotWaiting: ids(p.model.waiting), slotRunning: ids(p.model.running)} {
		got := states[state]
		slices.Sort(got)
		if !slices.Equal(got, want) {
			p.t.Fatalf("state %d: got %v, want %v", state, got, want)
		}
	}
	refused := slices.Clone(p.model.refused)
	slices.Sort(refused)
	got := states[slotRefused]
	slices.Sort(got)
	if !slices.Equal(got, refused) {
		p.t.Fatalf("refused: got %v, want %v", got, refused)
	}
	if p.queue.depth != len(p.model.waiting) || p.queue.running.n != len(p.model.running) {
		p.t.Fatalf("depth %d running %d, want %d and %d", p.queue.depth, p.queue.running.n, len(p.model.waiting), len(p.model.running))
	}
	for _, r := range p.model.waiting {
		if got := p.slots[r.id].rank; got != r.rank {
			p.t.Fatalf("request %d has rank %d, want %d", r.id, got, r.rank)
		}
	}
	waiting := 0
	for client, mates := range p.queue.clients {
		if len(mates) == 0 {
			p.t.Fatalf("%v is remembered though nothing of it waits", client)
		}
		waiting += len(mates)
	}
	if waiting != p.queue.depth {
		p.t.Fatalf("clients have %d waiting, want %d", waiting, p.queue.depth)
	}
}

func client(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 32)
}

// TestQueueIsAsItsModel: whatever comes, waits, leaves and ends in whatever
// order, the queue gives slots to those that the plain model does. The model
// has no reserve, so the limit is below it, and is told whether there is strain.
func TestQueueIsAsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit, size := rapid.IntRange(1, reserveFrom-1).Draw(t, "limit"), rapid.IntRange(1, 12).Draw(t, "size")
		mean := rapid.SampledFrom([]time.Duration{100 * time.Millisecond, time.Second, time.Hour}).Draw(t, "mean")
		p := &pair{t: t, now: time.Unix(1e9, 0), slots: map[int]*slot{}}
		p.queue = queue{limit: limit, size: size, patience: time.Minute, mean: mean, completed: meanOf}
		p.model = naive{limit: limit, size: size, mean: mean, patience: time.Minute}
		some := func(state slotState) *slot {
			var ids []int
			for id, s := range p.slots {
				if s.state == state {
					ids = append(ids, id)
				}
			}
			if len(ids) == 0 {
				return nil
			}
			slices.Sort(ids)
			return p.slots[rapid.SampledFrom(ids).Draw(t, "which")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { p.check() },
			"arrive": func(t *rapid.T) {
				p.next++
				r := &naiveRequest{id: p.next, client: client(rapid.IntRange(1, 4).Draw(t, "client")), class: ban.Class(rapid.IntRange(0, classes-1).Draw(t, "class"))}
				s := &slot{client: r.client, class: r.class, route: fmt.Sprint(p.next)}
				p.slots[p.next] = s
				p.ask()
				p.queue.arrive(p.now, s)
				p.model.arrive(p.now, r)
			},
			"done": func(*rapid.T) {
				s := some(slotRunning)
				if s == nil {
					return
				}
				p.ask()
				p.queue.done(p.now, s)
				p.queue.mean = mean // all are the same, and no surplus: the model has none
				p.model.done(p.now, p.model.running[slices.IndexFunc(p.model.running, func(r *naiveRequest) bool { return p.slots[r.id] == s })])
			},
			"leave": func(*rapid.T) {
				s := some(slotWaiting)
				if s == nil {
					return
				}
				p.ask()
				p.queue.leave(s)
				for _, r := range slices.Clone(p.model.waiting) {
					if p.slots[r.id] == s {
						p.model.gone(p.now, r)
					}
				}
			},
			"wait": func(t *rapid.T) {
				p.now = p.now.Add(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
				p.queue.strain, p.queue.strainAt = rapid.IntRange(0, 1).Draw(t, "strain"), p.now // the model doesn't count it
				p.ask()
				p.queue.tick(p.now)
				p.model.expire(p.now)
			},
		})
	})
}

// busyQueue is a queue with n slots in use and nobody waiting.
func busyQueue(n int, now time.Time) (*queue, []*slot) {
	q := &queue{limit: n, size: 100, patience: 30 * time.Second, mean: 50 * time.Millisecond, completed: meanOf}
	var all []*slot
	for i := range n {
		s := &slot{client: client(200 + i), class: ban.Normal, route: "/"}
		q.arrive(now, s)
		all = append(all, s)
	}
	for _, s := range all {
		s.usual.mean = 50 * time.Millisecond
	}
	return q, all
}

func (q *queue) push(now time.Time, n int, class ban.Class) *slot {
	s := &slot{client: client(n), class: class, route: "/"}
	q.arrive(now, s)
	return s
}

// A burst that the app can work off is served in its order, and nobody is
// refused.
func TestBurstIsFirstComeFirstServed(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, busy := busyQueue(1, now)
	a, b := q.push(now, 1, ban.Normal), q.push(now, 2, ban.Normal)
	q.done(now.Add(50*time.Millisecond), busy[0])
	if a.state != slotRunning || b.state != slotWaiting {
		t.Errorf("first %d, second %d", a.state, b.state)
	}
}

// Where more have stood for a while than can be served in time, the newest
// goes first.
func TestNewestFirstUnderOverload(t *testing.T) {
	for _, c := range []struct {
		others    int // each takes 50 ms
		wantFirst bool
	}{{others: 10, wantFirst: true}, {others: 30, wantFirst: false}} {
		now := time.Unix(1e9, 0)
		q, busy := busyQueue(1, now)
		first := q.push(now, 1, ban.Normal)
		for i := range c.others {
			q.push(now, 10+i, ban.Normal)
		}
		now = now.Add(standing + time.Millisecond)
		last := q.push(now, 2, ban.Normal)
		q.strain = 1
		q.done(now, busy[0])
		if got := first.state == slotRunning; got != c.wantFirst || (last.state == slotRunning) == got {
			t.Errorf("%d others: first %d, last %d", c.others, first.state, last.state)
		}
	}
}

// Where all took long because too many were at a time, those that wait since
// then are not passed over for ever once each takes little.
func TestOverloadEndsWhereRequestsGetShorter(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, _ := busyQueue(2, now)
	usual := q.usualOf("/")
	usual.mean = time.Second
	for i := range 30 {
		q.push(now, i, ban.Normal)
	}
	now = now.Add(standing + time.Millisecond)
	q.tick(now)
	if !q.overloaded(now) {
		t.Fatal("no overload though the last must be expected to wait for 15 s")
	}
	usual.mean = 50 * time.Millisecond
	q.tick(now.Add(tickEvery))
	if q.overloaded(now) {
		t.Error("still overload though the last must be expected to wait for 0.75 s")
	}
}

// An upload that keeps an app of one thread for twenty seconds, and a request
// that stood behind it, are no overload: those that waited meanwhile are served
// in their order, and none is refused.
func TestBlockageIsNoOverload(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, busy := busyQueue(1, now)
	q.size = DefaultQueueSize
	q.usualOf("/").n, q.usualOf("/").mean, q.mean = meanOf, 3*time.Millisecond, 3*time.Millisecond
	busy[0].route = "/upload"
	busy[0].usual = q.usualOf("/upload")
	busy[0].phase.Store(phaseUpload)
	var all []*slot
	for range 200 { // ten each second
		all = append(all, q.push(now, len(all), ban.Normal))
		now = now.Add(tickEvery)
		q.tick(now)
	}
	q.done(now, busy[0])
	for i, s := range all {
		if s.state != slotRunning {
			t.Fatalf("request %d is %d when it is its turn", i, s.state)
		}
		now = now.Add(3 * time.Millisecond)
		q.done(now, s)
		q.tick(now)
	}
}

// 64 clients that ask again as soon as they are answered keep eight slots busy
// and the line full for ever, and each is served within what the other
// requests take.
func TestAllOfACrowdAreServed(t *testing.T) {
	const took, rounds = 5 * time.Millisecond, 4000
	now := time.Unix(1e9, 0)
	q, _ := busyQueue(8, now)
	for i := range 64 {
		q.push(now, i, ban.Normal)
	}
	longest := time.Duration(0)
	for range rounds {
		s := q.running.head
		if end := s.since.Add(took); end.After(now) {
			now = end
		}
		q.done(now, s)
		next := q.push(now, int(s.client.Addr().As4()[3]), ban.Normal)
		for class := range q.lines {
			for rank := range q.lines[class].ranks {
				if s := q.lines[class].ranks[rank].head; s != nil {
					longest = max(longest, now.Sub(s.since))
				}
			}
		}
		if next.state == slotRefused {
			t.Fatal("one is refused")
		}
		q.tick(now)
	}
	if want := 64 * took / 8 * 3 / 2; longest > want {
		t.Errorf("one waited for %v, want at most %v", longest, want)
	}
}

// The first request of a client goes before the second of another that came
// earlier.
func TestClientsAreServedInTurn(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, busy := busyQueue(1, now)
	greedy := []*slot{q.push(now, 1, ban.Normal), q.push(now, 1, ban.Normal), q.push(now, 1, ban.Normal)}
	modest := q.push(now, 2, ban.Normal)
	q.done(now, busy[0])
	q.done(now, greedy[0])
	if modest.state != slotRunning || greedy[1].state != slotWaiting {
		t.Errorf("modest %d, greedy's second %d", modest.state, greedy[1].state)
	}
}

// A client whose requests wait all the time, as fifty people behind one address,
// gets as much under overload as one that asks once at a time.
func TestManyBehindOneAddressHaveTheirTurn(t *testing.T) {
	td := overloadOf(4, 50*time.Millisecond, "constant", false).tide()
	td.factor = func(time.Duration) float64 { return 4 } // each of 100 clients asks 3.2 times a second
	td.clients, td.many = 100, 50
	td.run()
	one := 0
	for n := range td.clients {
		one += td.served[n]
	}
	one /= td.clients
	if many := td.served[manyBehind]; many < one/2 || many > 5*one {
		t.Errorf("fifty requests at a time were served %d times, those of one at a time %d", many, one)
	} else {
		t.Logf("fifty at a time: %d, one at a time: %d", many, one)
	}
}

func TestSuspectHoldsItsShareOnly(t *testing.T) {
	now := time.Unix(1e9, 0)
	q := &queue{limit: 8, size: 10, patience: time.Second, mean: time.Hour}
	var held int
	for range 5 {
		if q.push(now, 1, ban.Suspect).state == slotRunning {
			held++
		}
	}
	if held != 2 {
		t.Errorf("a suspect holds %d of 8 slots, want 2", held)
	}
	if s := q.push(now, 2, ban.Suspect); s.state != slotRunning {
		t.Error("another suspect waits though there is room")
	}
	if s := q.push(now, 3, ban.Normal); s.state != slotRunning {
		t.Error("a good client waits though there is room")
	}
}

// The last of four slots is kept for the best class where there is overload,
// but only until the next is about to be free.
func TestLastSlotIsReserved(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, busy := busyQueue(4, now)
	q.leave(q.push(now, 9, ban.High))
	waiting := []*slot{q.push(now, 1, ban.Normal), q.push(now, 2, ban.Normal)}
	now = now.Add(standing + 10*time.Millisecond)
	for _, s := range busy[1:] { // they came just now
		s.since, q.startedAt = now, now
	}
	busy[0].since = now.Add(-50 * time.Millisecond)
	q.done(now, busy[0])
	if waiting[0].state != slotWaiting || waiting[1].state != slotWaiting {
		t.Fatal("the last slot is given away")
	}
	wake := q.wake(now)
	if wake <= 0 || wake > 50*time.Millisecond {
		t.Fatalf("woken in %v", wake)
	}
	if s := q.push(now, 9, ban.High); s.state != slotRunning {
		t.Fatal("the best class waits for the slot that is kept for it")
	} else {
		q.done(now.Add(time.Millisecond), s)
	}
	q.tick(now.Add(wake))
	if waiting[0].state != slotRunning {
		t.Error("the slot stays empty though the next is about to be free")
	}
}

// Without overload nothing is reserved: the app gets what it can take.
func TestNothingIsReservedWithoutOverload(t *testing.T) {
	now := time.Unix(1e9, 0)
	q := &queue{limit: 4, size: 10, patience: time.Second, highAt: now}
	for i := range 4 {
		if s := q.push(now, i, ban.Normal); s.state != slotRunning {
			t.Fatalf("request %d of 4 waits", i+1)
		}
	}
}

// TestWhenTheLastSlotIsReserved: one of slots comes free under overload, the others
// were just taken. It stays empty, but where that would serve nobody.
func TestWhenTheLastSlotIsReserved(t *testing.T) {
	for _, c := range []struct {
		name    string
		slots   int
		absent  time.Duration // since one of the best class came; negative: never
		stood   time.Duration // for how long some have waited
		takes   time.Duration // each request
		overdue bool          // another takes far longer than it usually does
		want    bool
	}{
		{name: "overload", slots: 4, want: true},
		{name: "beside one whose end can't be foretold", slots: 4, overdue: true, want: true},
		{name: "the best class came 9 s ago", slots: 4, absent: 9 * time.Second, want: true},
		{name: "it came 10 s ago", slots: 4, absent: 10 * time.Second},
		{name: "it never came", slots: 4, absent: -1},
		{name: "three slots", slots: 3},
		{name: "a line that was empty just now", slots: 4, stood: standing},
		{name: "requests so short that the app's own queue holds one", slots: 4, takes: time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			q, busy := busyQueue(c.slots, now)
			q.mean = cmp.Or(c.takes, q.mean)
			if c.absent >= 0 {
				q.leave(q.push(now, 9, ban.High))
			}
			now = now.Add(max(c.absent-standing-time.Millisecond, 0))
			var waiting []*slot
			for i := range 10 { // more than the app's own queue may hold
				waiting = append(waiting, q.push(now, i, ban.Normal))
			}
			now = now.Add(cmp.Or(c.stood, standing+time.Millisecond))
			for _, s := range busy {
				s.since, q.startedAt = now, now
			}
			if c.overdue {
				busy[1].since = now.Add(-time.Second)
			}
			started := q.given
			q.done(now, busy[0])
			if got := q.given == started; got != c.want {
				t.Errorf("reserved %v, want %v", got, c.want)
			}
			if d := q.wake(now); d <= 0 || d > tickEvery || c.want && d == tickEvery {
				t.Errorf("looked at again in %v", d)
			}
			for _, s := range waiting {
				q.leave(s)
			}
			if d := q.wake(now); d != 0 {
				t.Errorf("looked at again in %v though nobody waits", d)
			}
		})
	}
}

// TestASuspectAtItsCapIsPassedBy: it keeps no other one from the slots that are
// left, whichever of them goes first.
func TestASuspectAtItsCapIsPassedBy(t *testing.T) {
	for _, strain := range []int{0, 1} {
		now := time.Unix(1e9, 0)
		q := &queue{limit: 8, size: 100, patience: time.Minute, mean: time.Hour, completed: meanOf}
		for range 2 {
			q.push(now, 1, ban.Suspect) // as many as one may hold
		}
		first := q.push(now, 2, ban.Suspect)
		for i := range 5 {
			q.push(now, 10+i, ban.Normal)
		}
		q.push(now, 2, ban.Suspect)
		pushes := []func() *slot{
			func() *slot { return q.push(now, 1, ban.Suspect) },
			func() *slot { return q.push(now, 2, ban.Suspect) },
		}
		if strain > 0 {
			slices.Reverse(pushes) // the one at its cap is the newest
		}
		second := map[bool]*slot{true: pushes[0](), false: pushes[1]()}[strain > 0]
		if strain == 0 {
			pushes = nil
		}
		q.done(now, first) // gives the client's next one the slot
		now = now.Add(standing + time.Millisecond)
		q.limit, q.strain = 9, strain
		q.tick(now)
		if second.state != slotRunning {
			t.Errorf("strain %d: a suspect that holds one slot of two waits behind one at its cap", strain)
		}
	}
}

// TestUnlimitedHasNoCap: where it isn't known what the app can do, nobody waits.
func TestUnlimitedHasNoCap(t *testing.T) {
	now := time.Unix(1e9, 0)
	q := &queue{size: 10, patience: time.Second}
	for i := range 20 {
		if s := q.push(now, 1, ban.Suspect); s.state != slotRunning {
			t.Fatalf("request %d waits", i+1)
		}
	}
	if d := q.wake(now); d != 0 {
		t.Errorf("looked at again in %v", d)
	}
}

// TestFullQueueUnderStrain: the newest takes the place of the oldest there, and
// nobody's else.
func TestFullQueueUnderStrain(t *testing.T) {
	for strain, want := range map[int][]slotState{
		0: {slotWaiting, slotWaiting, slotRefused},
		1: {slotRefused, slotWaiting, slotWaiting},
	} {
		now := time.Unix(1e9, 0)
		q, _ := busyQueue(1, now)
		q.size = 2
		q.usualOf("/").mean = time.Second
		all := []*slot{q.push(now, 1, ban.Normal), q.push(now, 2, ban.Normal)}
		now = now.Add(standing + time.Millisecond)
		q.strain = strain
		all = append(all, q.push(now, 3, ban.Normal))
		if got := []slotState{all[0].state, all[1].state, all[2].state}; !slices.Equal(got, want) {
			t.Errorf("strain %d: got %v, want %v", strain, got, want)
		}
		if q.depth != 2 {
			t.Errorf("strain %d: %d wait, want 2", strain, q.depth)
		}
	}
}

// TestAStreamIsLongOnce: however often it is said, and only while it runs.
func TestAStreamIsLongOnce(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, busy := busyQueue(4, now)
	q.learned = true // a worker is held all the same where their number is known
	waiting := []*slot{q.push(now, 1, ban.Normal), q.push(now, 2, ban.Normal)}
	for range 3 {
		q.lengthen(now, busy[0])
	}
	q.lengthen(now, waiting[1])
	if waiting[0].state != slotRunning || waiting[1].state != slotWaiting || q.longs != 1 {
		t.Errorf("the first waiting one is %d, the second %d, %d are long; want the first to run for the one stream",
			waiting[0].state, waiting[1].state, q.longs)
	}
	q.done(now, busy[0])
	q.lengthen(now, busy[0])
	if q.longs != 0 {
		t.Errorf("%d are long after its end", q.longs)
	}
}

// TestLearnedLimitIsOfShortRequests: what takes for longer than a second is not
// what made the processor busy; an app's own limit holds for it all the same.
func TestLearnedLimitIsOfShortRequests(t *testing.T) {
	for _, learned := range []bool{true, false} {
		now := time.Unix(1e9, 0)
		q := &queue{limit: 2, learned: learned, size: 10, patience: time.Minute}
		for i := range 2 {
			q.push(now, i, ban.Normal)
		}
		waiting := []*slot{q.push(now, 3, ban.Normal), q.push(now, 4, ban.Normal), q.push(now, 5, ban.Normal)}
		count := func() (running int) {
			for _, s := range waiting {
				if s.state == slotRunning {
					running++
				}
			}
			return running
		}
		q.tick(now.Add(learnedLongAfter - time.Millisecond))
		if got := count(); got != 0 {
			t.Errorf("learned %v: %d more after less than a second", learned, got)
		}
		q.tick(now.Add(learnedLongAfter))
		if got, want := count(), map[bool]int{true: 2}[learned]; got != want {
			t.Errorf("learned %v: %d more after a second, want %d", learned, got, want)
		}
		q.mean = time.Microsecond
		if got, want := q.allowed(), map[bool]int{true: 2, false: 4}[learned]; got != want {
			t.Errorf("learned %v: %d short ones at a time, want %d", learned, got, want)
		}
	}
}

// TestOverloadEndsAsTheyLeave, not only when time is looked at.
func TestOverloadEndsAsTheyLeave(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, _ := busyQueue(1, now)
	var waiting []*slot
	for i := range 30 {
		waiting = append(waiting, q.push(now, i, ban.Normal))
	}
	now = now.Add(standing + time.Millisecond)
	if !q.overloaded(now) {
		t.Fatal("no overload though the last must be expected to wait for 1.5 s")
	}
	for _, s := range waiting[:20] {
		q.leave(s)
	}
	if q.overloaded(now) {
		t.Error("overload though the last must be expected to wait for half a second")
	}
}

// Streams, slow readers and slow uploads give their slots back, but not more
// than half of all.
func TestLongRequestsAreNotCounted(t *testing.T) {
	now := time.Unix(1e9, 0)
	q, busy := busyQueue(4, now)
	for _, s := range busy {
		s.phase.Store(phaseAnswer)
	}
	busy[3].phase.Store(phaseView) // a slow view keeps its worker busy
	waiting := []*slot{q.push(now, 1, ban.Normal), q.push(now, 2, ban.Normal), q.push(now, 3, ban.Normal)}
	q.tick(now.Add(longAfter))
	got := []slotState{waiting[0].state, waiting[1].state, waiting[2].state}
	if want := []slotState{slotRunning, slotWaiting, slotWaiting}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if q.longs != 3 {
		t.Errorf("%d are long, want 3", q.longs)
	}
	for _, s := range busy {
		q.done(now.Add(2*longAfter), s)
	}
	if q.longs != 0 || waiting[2].state != slotRunning {
		t.Errorf("%d are long, the last is %d", q.longs, waiting[2].state)
	}
}

// While the app answers others, requests that stand wait ever less; while it
// is away, as long as they may.
func TestPatienceShrinksUnderOverloadOnly(t *testing.T) {
	for _, away := range []bool{false, true} {
		now := time.Unix(1e9, 0)
		q, busy := busyQueue(1, now)
		running := busy[0]
		for range 40 {
			now = now.Add(time.Second)
			q.push(now, 1, ban.Normal)
			s := q.push(now, 2, ban.Normal)
			if !away {
				q.done(now, running)
				if running = q.running.head; running == nil {
					t.Fatal("nobody runs")
				}
			}
			q.tick(now.Add(time.Millisecond))
			_ = s
		}
		got := q.waits()
		if away && got != q.patience || !away && got > q.patience/4 {
			t.Errorf("away %v: waits %v of %v", away, got, q.patience)
		}
	}
}

// Short requests may fill the app's own accept queue a little, so that its
// workers need not wait for us between two.
func TestShortRequestsHaveABacklog(t *testing.T) {
	for mean, want := range map[time.Duration]int{0: 4, 50 * time.Millisecond: 4, 2 * time.Millisecond: 6, 100 * time.Microsecond: 8} {
		q := &queue{limit: 4, mean: mean}
		if got := q.allowed(); got != want {
			t.Errorf("mean %v: %d at a time, want %d", mean, got, want)
		}
	}
}

func BenchmarkQueueUncontended(b *testing.B) {
	g := newRig(b, nil, nil).handler.gate
	s := slot{client: client(1), class: ban.Normal, route: "/"}
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now()
		g.mu.Lock()
		g.limit(now)
		s.state = slotNew
		g.queue.arrive(now, &s)
		g.mu.Unlock()
		s.holds.Store(1)
		s.released = false
		g.release(&s)
	}
}

func BenchmarkQueueUncontendedParallel(b *testing.B) {
	g := newRig(b, nil, nil).handler.gate
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		s := slot{client: client(1), class: ban.Normal, route: "/"}
		for pb.Next() {
			now := time.Now()
			g.mu.Lock()
			g.limit(now)
			s.state = slotNew
			g.queue.arrive(now, &s)
			g.mu.Unlock()
			s.holds.Store(1)
			s.released = false
			g.release(&s)
		}
	})
}

// BenchmarkQueueFull is one request through a queue in which 4,000 wait.
func BenchmarkQueueFull(b *testing.B) {
	now := time.Unix(1e9, 0)
	q := &queue{limit: 4, size: 4096, patience: time.Hour, mean: time.Hour}
	for i := range 4000 {
		q.push(now, i, ban.Normal)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		q.push(now, i, ban.Normal)
		q.done(now, q.running.head)
	}
}

// BenchmarkQueueFullOfOneClient is a request more where one client fills the
// queue under strain: its oldest is refused for it.
func BenchmarkQueueFullOfOneClient(b *testing.B) {
	now := time.Unix(1e9, 0)
	q := &queue{limit: 4, size: DefaultQueueSize, patience: time.Minute, mean: time.Second, completed: meanOf}
	q.push(now, 1, ban.Normal)
	for range q.size {
		q.push(now, 1, ban.Normal)
	}
	now = now.Add(time.Second)
	b.ReportAllocs()
	for b.Loop() {
		q.strain = 1
		q.push(now, 1, ban.Normal)
	}
}
