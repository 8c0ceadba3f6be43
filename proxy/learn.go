package proxy

import "time"

// learner finds how many requests are good for a server that begins on as many
// as it is sent (Werkzeug's: one thread each, one interpreter lock for all).
// More than a few at a time gain nothing where they need the processor, and
// only make all of them slow; but where they wait for something, each one more
// is served for nothing. Time can't tell the two apart (a slow database looks
// like overload, and a limit then makes it worse), the processor can: a limit
// stands only while the app has no processor time to spare, and opens as soon
// as there is less work done under it than without.
type learner struct {
	limit int // 0: none

	at      time.Time // of the last sample
	used    time.Duration
	best    float64 // processors in use, the most lately
	busy    int     // samples in a row without processor time to spare
	idle    int     // samples in a row with nobody waiting
	since   time.Time
	probe   time.Time     // when to try more next
	floor   int           // the limit before the present try; 0 when there is none
	before  float64       // the processors in use before it
	open    time.Time     // until when there is no limit
	openFor time.Duration // how long the next time
}

const (
	// learnEvery is how often the app's work is measured while it has
	// learnFrom requests or more.
	learnEvery = 200 * time.Millisecond
	learnFrom  = 4
	// leastLearned and mostLearned are the limits that are tried: one request
	// may wait for something while the other computes.
	leastLearned = 2
	mostLearned  = 16
	// saturated is how many processors a lock leaves to an app that computes,
	// spare how many one uses that could do more.
	saturated = .85
	spare     = .75
	// worse is the part of the best that says that a limit costs work.
	worse = .85
	// better is the gain that makes a higher limit worth it.
	better = 1.1
	// forget is what is left of the best with each sample.
	forget = .99
	// tryEvery is how often more is tried.
	tryEvery = 5 * time.Second
	// Bounds of how long a limit that did harm is left out.
	openFirst = 2 * time.Second
	openMost  = time.Minute
)

// sample takes the processor time that the app has used by now, and how many
// requests it is at and wait. It returns the limit.
func (l *learner) sample(now time.Time, used time.Duration, inFlight, waiting int) int {
	elapsed, work := now.Sub(l.at), used-l.used
	fresh := l.at.IsZero() || work < 0 || elapsed > 5*learnEvery // else the app was started anew
	l.at, l.used = now, used
	if fresh || elapsed <= 0 {
		return l.limit
	}
	rate := float64(work) / float64(elapsed)
	l.best = max(rate, l.best*forget)
	if l.limit == 0 {
		l.mayLimit(now, rate, inFlight)
	} else {
		l.adjust(now, rate, waiting)
	}
	return l.limit
}

// mayLimit begins a limit where two samples say that the app is saturated.
func (l *learner) mayLimit(now time.Time, rate float64, inFlight int) {
	l.busy++
	if inFlight < learnFrom || rate < saturated || now.Before(l.open) {
		l.busy = 0
	}
	if l.busy >= 2 {
		l.limit, l.best, l.idle, l.floor = min(inFlight, mostLearned), rate, 0, 0
		l.since, l.probe = now, now.Add(tryEvery)
	}
}

// adjust follows what the app does under the limit.
func (l *learner) adjust(now time.Time, rate float64, waiting int) {
	if waiting > 0 {
		l.idle = 0
	} else if l.idle++; l.idle >= int(time.Second/learnEvery) {
		l.limit, l.busy = 0, 0 // nobody needs it
		return
	}
	switch {
	case waiting == 0:
	case l.floor > 0:
		l.judgeTry(rate)
	case rate < spare || rate < worse*l.best:
		l.raise(now)
	case !now.Before(l.probe):
		l.floor, l.probe = l.limit, now.Add(tryEvery)
		l.before = rate
		l.limit = min(2*l.limit, mostLearned)
	default:
		l.limit = max(leastLearned, l.limit-max(1, l.limit/4))
	}
}

// judgeTry keeps a higher limit that got more work done.
func (l *learner) judgeTry(rate float64) {
	if rate < l.before*better {
		l.limit = l.floor
	}
	l.floor = 0
}

// raise doubles the limit, or opens it where the most is too little.
func (l *learner) raise(now time.Time) {
	if l.limit < mostLearned {
		l.limit = min(2*l.limit, mostLearned)
		return
	}
	if now.Sub(l.since) > openMost/2 {
		l.openFor = 0 // it did well for a while
	}
	l.openFor = min(max(openFirst, 2*l.openFor), openMost)
	l.limit, l.busy, l.open = 0, 0, now.Add(l.openFor)
}

// limit sets how many requests may be with the app. The caller holds mu.
func (g *gate) limit(now time.Time) {
	q := &g.queue
	if g.Slots != nil && now.Sub(g.limitAt) >= tickEvery {
		g.limitAt = now
		n := g.Slots()
		q.learned = n < 0
		q.limit = max(0, n)
	}
	if !q.learned {
		return
	}
	q.limit = g.learner.limit
	if g.Work != nil && !g.measuring && q.running.n-q.longs >= learnFrom {
		g.measuring = true
		time.AfterFunc(0, g.measure)
	}
}

// measure takes one sample of the app's work, and has the next taken while
// there is much of it.
func (g *gate) measure() {
	used, ok := g.Work()
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	q := &g.queue
	if !ok {
		g.learner = learner{}
	} else {
		q.age(now)
		g.learner.sample(now, used, q.running.n-q.longs, q.depth)
	}
	g.measuring = q.learned && (g.learner.limit > 0 || q.running.n-q.longs >= learnFrom)
	if g.measuring {
		time.AfterFunc(learnEvery, g.measure)
	}
	if q.learned {
		q.limit = g.learner.limit
	}
	q.dispatch(now)
	g.arm(now)
}
