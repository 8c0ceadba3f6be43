package proxy

import (
	"math"
	"slices"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

const (
	// leastPatience is the part of patience that strain leaves, and mostStrain
	// the strain that leaves no more.
	leastPatience = 6
	mostStrain    = leastPatience * leastPatience
)

// overload says whether the last of a class will have waited for too long when
// it is its turn.
func (q *queue) overload(now time.Time, class ban.Class) bool {
	if !q.lines[class].stood(now) {
		return false
	}
	return q.lasts(class) > bearable
}

// lasts is in how long the last of a class will have its turn.
func (q *queue) lasts(class ban.Class) time.Duration {
	var ahead time.Duration
	for i := range q.lines[:class+1] {
		ahead += q.lines[i].work
	}
	return ahead / time.Duration(max(1, q.limit))
}

// newest says whether the newest of a class go first: it is overload, and it is
// not that all would have their turn in time, as no more come than are served.
func (q *queue) newest(now time.Time, class ban.Class) bool {
	return q.strain > 0 && q.overload(now, class)
}

// overloaded says whether it is overload for some class.
func (q *queue) overloaded(now time.Time) bool {
	for class := range q.lines {
		if q.overload(now, ban.Class(class)) {
			return true
		}
	}
	return false
}

// feel counts a second of strain, or takes one back. An app that was away has
// much to do when it is back, but if no more come than it serves, all will have
// their turn; and so will a crowd whose each asks again when it is answered. An
// app that serves nobody is away: that is no strain. Nor is it while the app works
// off more than a limit allows that was learned after they had begun.
func (q *queue) feel(now time.Time) {
	served := max(q.given, q.ended)
	switch {
	case !q.overloaded(now):
		q.strain = 0
	case served == 0:
	case q.came > served:
		q.strain = min(q.strain+1, mostStrain)
	default:
		q.strain = max(q.strain-1, 0)
	}
	q.came, q.given, q.ended, q.strainAt = 0, 0, 0, now
}

// waits is how long a request may wait now: the longer there is strain, the
// less, from its second second on.
func (q *queue) waits() time.Duration {
	return max(q.patience/leastPatience, time.Duration(float64(q.patience)/math.Sqrt(float64(max(1, q.strain)))))
}

// expire refuses those that have waited for as long as one may, and from the
// second second of strain on those of whom it is known that they would wait for
// longer even if nobody came any more: they need not wait to learn it.
func (q *queue) expire(now time.Time) {
	limit := q.waits()
	q.refuseOldest(now, func(s *slot) bool { return now.Sub(s.since) >= limit })
	if q.strain > 1 {
		q.refuseOldest(now, func(s *slot) bool { return q.overload(now, s.class) && now.Sub(s.since)+q.lasts(s.class) > limit })
	}
}

// refuseOldest refuses of each line the oldest ones, as long as they are hopeless;
// those first that would go last.
func (q *queue) refuseOldest(now time.Time, hopeless func(*slot) bool) {
	for class := classes - 1; class >= 0; class-- {
		l := &q.lines[class]
		for rank := ranks - 1; rank >= 0; rank-- {
			for s := l.ranks[rank].head; s != nil && hopeless(s); s = l.ranks[rank].head {
				q.refuse(s)
			}
		}
	}
}

// promote gives those that wait of a client the ranks that have become free
// from one on, as a request of it and of their class has gone; the newest first.
// Without strain they need not move: all will have their turn. Under strain a
// client whose requests always wait, as many people behind one address, would
// never have another first one.
func (q *queue) promote(gone *slot, rank int) {
	for q.strain > 0 && rank < ranks-1 {
		next := newestOver(rank, gone.class, q.clients[gone.client])
		if next == nil {
			return
		}
		from := next.rank
		l := &q.lines[next.class]
		l.ranks[from].remove(next)
		next.rank = rank
		l.ranks[rank].insert(next)
		rank = from
	}
}

// newestOver is the newest of a class that has more than a rank; nil for none.
func newestOver(rank int, class ban.Class, mates []*slot) *slot {
	for _, s := range slices.Backward(mates) {
		if s.class == class && s.rank > rank {
			return s
		}
	}
	return nil
}
