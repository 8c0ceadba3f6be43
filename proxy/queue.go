package proxy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// queue decides who is with the app and who waits. It is a plain state machine
// over the times that it is told: no goroutine, no lock, no clock. [gate] puts
// it to use.
//
// A better class always goes first. Within a class a client's first request
// goes before any other client's second; then the oldest, and under overload,
// where old ones have lost their reader when it is their turn, the newest
// (Maurer, "Fail at Scale", ACM Queue 13/8, 2015: adaptive LIFO with controlled
// delay). While there is room, nobody waits.
type queue struct {
	// limit is how many requests the app can work on at a time; 0: not known,
	// nobody waits. learned says that it is ours and not the app's own, so that
	// long requests are not counted.
	limit   int
	learned bool
	// size bounds the requests that wait, patience how long.
	size     int
	patience time.Duration

	running   slots // those with the app, oldest first
	longs     int   // of them, those that are not counted as work
	lines     [classes]line
	depth     int                      // in all lines
	clients   map[netip.Prefix][]*slot // waiting requests by client, oldest first
	arrived   uint64                   // requests
	routes    map[string]*usual
	mean      time.Duration // of what requests take lately
	highAt    time.Time     // when one of the best class came last
	startedAt time.Time     // when a request got a slot last
	completed uint64        // requests
	// strain is for how many seconds there is overload and more come than get a
	// slot or are done, one less with each second in which fewer do. came, given
	// and ended count since strainAt.
	strain             int
	came, given, ended int
	strainAt           time.Time
}

const (
	classes = int(ban.Suspect) + 1
	// ranks are told apart: how many requests of its own client are ahead.
	ranks = 8
	// standing is for how long a line must not have been empty, and bearable
	// how long its last must be expected to wait, until it is overload and the
	// newest go first. As many clients as there are browsers or workers of a
	// program, who ask again when they are answered, keep a line from being
	// empty for ever, but all of them are served in time.
	standing = 500 * time.Millisecond
	bearable = time.Second
	// longAfter is when a request that keeps the app by its own slowness
	// (a stream, a slow reader, a slow upload) is not counted any more, and
	// learnedLongAfter when any isn't under a learned limit.
	longAfter        = 5 * time.Second
	learnedLongAfter = time.Second
	// reserveFrom is from how many slots on the last is kept for the best
	// class, where one of it came within reserveFor.
	reserveFrom = 4
	reserveFor  = 10 * time.Second
	// backlog is the time of work that may wait in the app's own accept queue,
	// so that no worker idles between two short requests.
	backlog = time.Millisecond
	// mostScanned bounds what is looked at for one decision.
	mostScanned = 256
	// suspectShare is the part of the slots that one suspect may hold.
	suspectShare = 4
)

// slots is a list of slots in the order in which they came.
type slots struct {
	head, tail *slot
	n          int
}

func (l *slots) push(s *slot) {
	s.prev, s.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = s
	} else {
		l.head = s
	}
	l.tail = s
	l.n++
}

// insert puts a slot where its order wants it.
func (l *slots) insert(s *slot) {
	after := l.tail
	for after != nil && after.order > s.order {
		after = after.prev
	}
	if after == l.tail {
		l.push(s)
		return
	}
	s.prev, s.next = after, l.head
	if after != nil {
		s.next = after.next
		after.next = s
	} else {
		l.head = s
	}
	s.next.prev = s
	l.n++
}

func (l *slots) remove(s *slot) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.head = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		l.tail = s.prev
	}
	s.prev, s.next = nil, nil
	l.n--
}

// line is what waits of one class, by rank.
type line struct {
	ranks   [ranks]slots
	n       int
	work    time.Duration // what they usually take
	emptyAt time.Time     // until when it was empty
}

// stood says whether the line has not been empty for a while.
func (l *line) stood(now time.Time) bool { return l.n > 0 && now.Sub(l.emptyAt) > standing }

// arrive takes a request in: it runs, waits or is refused from now on.
func (q *queue) arrive(now time.Time, s *slot) {
	s.usual = q.usualOf(s.route)
	q.came++
	if s.class == ban.High {
		q.highAt = now
	}
	if q.depth == 0 && q.room(now, s.class) && !q.capped(s) {
		q.start(now, s)
		return
	}
	s.since, s.rank = now, min(q.ahead(s.client), ranks-1)
	if q.depth >= q.size && !q.yield(now, s) {
		s.settle(slotRefused)
		return
	}
	q.enqueue(now, s)
	q.dispatch(now)
}

func (q *queue) enqueue(now time.Time, s *slot) {
	l := &q.lines[s.class]
	if l.n == 0 {
		l.emptyAt = now
	}
	q.arrived++
	s.state, s.expected, s.order = slotWaiting, q.expect(s), q.arrived
	l.ranks[s.rank].push(s)
	l.n++
	l.work += s.expected
	q.depth++
	if q.clients == nil {
		q.clients = map[netip.Prefix][]*slot{}
	}
	q.clients[s.client] = append(q.clients[s.client], s)
}

// unqueue takes a waiting request out of its line.
func (q *queue) unqueue(s *slot) {
	l := &q.lines[s.class]
	l.ranks[s.rank].remove(s)
	l.work -= s.expected
	l.n--
	q.depth--
	mates := q.clients[s.client]
	if i := slices.Index(mates, s); len(mates) > 1 {
		q.clients[s.client] = slices.Delete(mates, i, i+1)
	} else {
		delete(q.clients, s.client)
	}
	if q.depth == 0 {
		q.strain = 0
	}
}

// start gives the request its slot.
func (q *queue) start(now time.Time, s *slot) {
	s.since, q.startedAt = now, now
	q.given++
	q.running.push(s)
	s.settle(slotRunning)
}

// dispatch gives away the slots that are free.
func (q *queue) dispatch(now time.Time) {
	for q.depth > 0 {
		s := q.pick(now)
		if s == nil {
			return
		}
		q.unqueue(s)
		q.start(now, s)
	}
}

// pick is the waiting request that is next, nil while none may go.
func (q *queue) pick(now time.Time) *slot {
	for class := range q.lines {
		l := &q.lines[class]
		if l.n == 0 {
			continue
		}
		if !q.room(now, ban.Class(class)) {
			return nil // nor for a lower class
		}
		if s := q.pickOf(l, q.newest(now, ban.Class(class))); s != nil {
			return s
		}
	}
	return nil
}

// pickOf is the next of one line, nil where all have what one client may have.
func (q *queue) pickOf(l *line, newest bool) *slot {
	left := mostScanned
	for i := range l.ranks {
		s := l.ranks[i].head
		if newest {
			s = l.ranks[i].tail
		}
		for s != nil && left > 0 {
			if !q.capped(s) {
				return s
			}
			left--
			if newest {
				s = s.prev
			} else {
				s = s.next
			}
		}
	}
	return nil
}

// capped says whether a suspect holds as many slots as one may.
func (q *queue) capped(s *slot) bool {
	return s.class == ban.Suspect && q.limit > 0 && q.held(s.client) >= max(1, q.limit/suspectShare)
}

// held is how many slots a client holds.
func (q *queue) held(client netip.Prefix) int {
	n, left := 0, mostScanned
	for s := q.running.tail; s != nil && left > 0; s = s.prev {
		if s.client == client {
			n++
		}
		left--
	}
	return n
}

// ahead is how many requests of a client are with the app or wait.
func (q *queue) ahead(client netip.Prefix) int { return q.held(client) + len(q.clients[client]) }

// room says whether a request of this class may have a slot now.
func (q *queue) room(now time.Time, class ban.Class) bool {
	if q.limit <= 0 {
		return true
	}
	free := q.allowed() - (q.running.n - q.longs)
	if free != 1 || class == ban.High {
		return free > 0
	}
	return !q.reserving(now) || !now.Before(q.near(now))
}

// allowed is how many requests that count may be with the app. Long ones hold
// workers of a known number too, but never more than half of it.
func (q *queue) allowed() int {
	if q.learned {
		return q.limit
	}
	return max((q.limit+1)/2, q.limit-q.longs) + q.surplus()
}

// surplus is how many requests make backlog.
func (q *queue) surplus() int {
	if q.mean <= 0 {
		return 0
	}
	return min(q.limit, int(float64(q.limit)*float64(backlog)/float64(q.mean)+.5))
}

// reserving says whether the last slot is kept for the best class: there is
// overload, and it is not absent.
func (q *queue) reserving(now time.Time) bool {
	return q.limit >= reserveFrom && q.surplus() == 0 && !q.highAt.IsZero() && now.Sub(q.highAt) < reserveFor && q.stood(now)
}

// near is when the reserved slot may be given away all the same: the next is
// then about to be free, so that the best class will not wait for long. So
// the slot costs little, and requests come to end one after the other instead
// of all at once. Where what they take can't be foretold, waiting for an end
// that doesn't come would cost the slot: so it is kept for little longer than
// what lies between two ends on the average.
func (q *queue) near(now time.Time) time.Time {
	apart := q.mean / time.Duration(q.limit)
	at, left := q.startedAt.Add(apart*8/5), mostScanned
	for s := q.running.head; s != nil && left > 0; s = s.next {
		left--
		expected := q.expect(s)
		if s.long || now.Sub(s.since) > 2*expected {
			continue // it takes as long as it takes
		}
		if near := s.since.Add(expected - apart*5/4); near.Before(at) {
			at = near
		}
	}
	return at
}

// stood says whether some line has not been empty for a while.
func (q *queue) stood(now time.Time) bool {
	for i := range q.lines {
		if q.lines[i].stood(now) {
			return true
		}
	}
	return false
}

// yield refuses a waiting request to make room for s, and reports whether one
// was worth less.
func (q *queue) yield(now time.Time, s *slot) bool {
	for class := classes - 1; class >= int(s.class); class-- {
		l := &q.lines[class]
		for rank := ranks - 1; rank >= 0 && l.n > 0; rank-- {
			victim := l.ranks[rank].head
			if victim == nil {
				continue
			}
			if class == int(s.class) && (rank < s.rank || rank == s.rank && !q.newest(now, s.class)) {
				return false
			}
			q.refuse(victim)
			return true
		}
	}
	return false
}

func (q *queue) refuse(s *slot) {
	q.unqueue(s)
	q.promote(s, s.rank)
	s.settle(slotRefused)
}

// done gives a slot back.
func (q *queue) done(now time.Time, s *slot) {
	if s.state != slotRunning {
		return
	}
	s.state = slotDone
	q.ended++
	q.running.remove(s)
	if s.long {
		q.longs--
	} else {
		q.note(s.usual, now.Sub(s.since))
	}
	q.promote(s, min(q.held(s.client), ranks-1))
	q.dispatch(now)
}

// leave takes a request out that waits: its client has left.
func (q *queue) leave(s *slot) {
	if s.state == slotWaiting {
		q.unqueue(s)
		q.promote(s, s.rank)
		s.state = slotDone
	}
}

// lengthen counts a running request as long from now on.
func (q *queue) lengthen(now time.Time, s *slot) {
	if s.state == slotRunning && !s.long {
		s.long = true
		q.longs++
		q.dispatch(now)
	}
}

// tick does what time brings about. It must be called by wake's time.
func (q *queue) tick(now time.Time) {
	q.age(now)
	q.estimate()
	q.dispatch(now)
	if now.Sub(q.strainAt) >= time.Second {
		q.feel(now)
	}
	q.expire(now)
}

// estimate expects anew how long those that wait will take: what their routes
// took as they came may be the overload's own doing.
func (q *queue) estimate() {
	for class := range q.lines {
		l := &q.lines[class]
		l.work = 0
		for rank := range l.ranks {
			for s := l.ranks[rank].head; s != nil; s = s.next {
				s.expected = q.expect(s)
				l.work += s.expected
			}
		}
	}
}

// expect is how long a request will be with the app.
func (q *queue) expect(s *slot) time.Duration { return cmp.Or(s.usual.mean, q.mean) }

// age finds the long ones among the oldest.
func (q *queue) age(now time.Time) {
	after := longAfter
	if q.learned {
		after = learnedLongAfter
	}
	left := mostScanned
	for s := q.running.head; s != nil && left > 0 && now.Sub(s.since) >= after; s = s.next {
		if s.long {
			continue
		}
		left--
		if q.learned || s.phase.Load() != phaseView {
			s.long = true
			q.longs++
		}
	}
}

// tickEvery is how often time is looked at while requests wait.
const tickEvery = 100 * time.Millisecond

// wake is in how long tick must be called; 0 while nobody waits.
func (q *queue) wake(now time.Time) time.Duration {
	if q.depth == 0 {
		return 0
	}
	if q.limit > 0 && q.allowed()-(q.running.n-q.longs) == 1 && q.reserving(now) {
		if d := q.near(now).Sub(now); d > 0 {
			return min(tickEvery, d)
		}
	}
	return tickEvery
}
