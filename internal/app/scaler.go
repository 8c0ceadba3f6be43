package app

import (
	"fmt"
	"time"
)

// When the number of instances changes. Growing is quick, for somebody waits;
// shrinking is slow, for what grew may be needed again.
const (
	scaleEvery = 500 * time.Millisecond
	growAfter  = 2 * time.Second
	// settleTime is what a new instance gets to take its part, trialTime how
	// long it is then looked at whether it brings anything.
	settleTime  = time.Second
	trialTime   = 3 * time.Second
	trialMost   = 2 * time.Minute // until the new one serves
	shrinkAfter = time.Minute
	shrinkAgain = 15 * time.Second // for the next one, where it is still calm
	// gain is by how much faster requests must be answered for an instance
	// that was added to stay: processors and databases have their limits.
	gain = 1.1
	// enough answers make a mean.
	enough = 20
	// noGainPause is until the next try where the last brought nothing; each
	// further one doubles it, up to noGainMost.
	noGainPause = 2 * time.Minute
	noGainMost  = time.Hour
	// threadLoad is how many requests at one time are enough for an instance
	// whose server begins on all at once (Python runs one thread at a time),
	// mostThreads for one with many threads or greenlets.
	threadLoad  = 4
	mostThreads = 16
)

// demand is what a scaler is told.
type demand struct {
	// instances are those that there are to be, ready those that serve.
	instances, ready int
	// requests are with the app or wait for it, each is how many an instance
	// takes at one time (0: all that come), asked counts all since the start.
	requests, each int
	asked          uint64
}

// slots is how many requests are enough for an instance.
func (d demand) slots() int {
	if d.each <= 0 {
		return threadLoad
	}
	return min(d.each, mostThreads)
}

// scaler says how many instances there should be. It knows no clock.
type scaler struct {
	min, max int
	at       time.Time // of the last step
	asked    uint64    // then
	busy     time.Time // since when all have enough to do; zero: they have not
	calm     time.Time // since when one less would do; zero: it would not
	changed  time.Time // when it last shrank
	mean     mean      // since busy, or since the trial began
	trial    *trial    // of the instance that was added last; nil: it has passed
	paused   time.Time // until when it does not grow
	pause    time.Duration
}

// trial looks at what one more instance brings.
type trial struct {
	begun  time.Time
	before float64   // the seconds that a request took; 0: not known
	from   time.Time // when the new one has settled; zero: it does not serve yet
}

// mean is the mean time that requests take, by Little's law: how many there are
// over how many come a second. So it is right for those that wait, too.
type mean struct {
	spent float64 // seconds times requests
	asked uint64
}

func (m *mean) add(requests int, asked uint64, elapsed time.Duration) {
	m.spent += elapsed.Seconds() * float64(requests)
	m.asked += asked
}

// seconds is 0 where too few came.
func (m *mean) seconds() float64 {
	if m.asked < enough {
		return 0
	}
	return m.spent / float64(m.asked)
}

// step takes what there is now. It returns 1, 0 or -1, and why.
func (s *scaler) step(now time.Time, d demand) (change int, why string) {
	each := d.slots()
	if !s.busy.IsZero() || s.trial != nil {
		s.mean.add(d.requests, d.asked-s.asked, now.Sub(s.at))
	}
	s.at, s.asked = now, d.asked
	since(&s.busy, d.requests > d.ready*each, now)
	since(&s.calm, d.requests <= (d.instances-1)*each/2, now)
	switch {
	case s.trial != nil:
		return s.judge(now, d)
	case s.busy.IsZero():
		s.mean = mean{}
	case d.instances < s.max && now.Sub(s.busy) >= growAfter && !now.Before(s.paused):
		s.trial, s.calm = &trial{begun: now, before: s.mean.seconds()}, time.Time{}
		return 1, fmt.Sprintf("%d requests for %s", d.requests, count(d.ready))
	}
	if d.instances > s.min && s.isCalm(now) {
		s.changed, s.pause = now, 0
		return -1, count(d.instances) + " have little to do"
	}
	return 0, ""
}

// isCalm says whether one instance less has been enough for long enough.
func (s *scaler) isCalm(now time.Time) bool {
	if s.calm.IsZero() || now.Sub(s.calm) < shrinkAfter {
		return false
	}
	return now.Sub(s.changed) >= shrinkAgain
}

// judge says whether the instance that was added stays.
func (s *scaler) judge(now time.Time, d demand) (int, string) {
	t := s.trial
	switch {
	case d.instances <= s.min:
		s.trial = nil // somebody else has ended it
	case d.ready < d.instances && now.Sub(t.begun) > trialMost:
		return s.fail(now, fmt.Sprintf("another instance does not serve within %s", trialMost))
	case d.ready < d.instances:
		t.from = time.Time{}
	case t.from.IsZero():
		t.from = now.Add(settleTime)
	case !now.After(t.from):
		s.mean = mean{}
	case now.Sub(t.from) >= trialTime:
		after := s.mean.seconds()
		if t.before > 0 && after*gain > t.before {
			return s.fail(now, fmt.Sprintf("%s are no faster than %d: a request takes %.0f ms, and took %.0f ms",
				count(d.instances), d.instances-1, 1000*after, 1000*t.before))
		}
		s.trial, s.pause = nil, 0
	}
	return 0, ""
}

// fail takes the added instance away, for a while that gets longer.
func (s *scaler) fail(now time.Time, why string) (int, string) {
	s.trial, s.mean = nil, mean{}
	s.pause = min(max(noGainPause, 2*s.pause), noGainMost)
	s.paused = now.Add(s.pause)
	return -1, why
}

// count says how many instances there are.
func count(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprint(n, " instances")
}

// since keeps from when on something holds.
func since(at *time.Time, holds bool, now time.Time) {
	switch {
	case !holds:
		*at = time.Time{}
	case at.IsZero():
		*at = now
	}
}
