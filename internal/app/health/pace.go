package health

import (
	"fmt"
	"math"
	"time"
)

// The slow detector's bounds.
const (
	// PaceInterval is the time that one Pace is about.
	PaceInterval = 5 * time.Second
	slowFactor   = 5
	slowMargin   = 100 * time.Millisecond
	slowAnswers  = 50
	slowWindow   = 30 * time.Second
	slowRestart  = 5 * time.Minute
	slowLoad     = 1.5 // times the baseline's: then load explains it
	keepPaces    = int(slowRestart/PaceInterval) + 1
	// baselineAnswers freeze the baseline.
	baselineAnswers = 200
)

// Pace is how fast the app answered for some time.
type Pace struct {
	// Median is of the time until an answer begins.
	Median  time.Duration
	Answers int
	Over    time.Duration
}

func (p Pace) load() float64 {
	if p.Over <= 0 {
		return 0
	}
	return float64(p.Answers) / p.Over.Seconds()
}

// AddPace takes the next pace, and learns the baseline until it is frozen: a
// leak that makes an app slower day by day must not move it.
func (w *Window) AddPace(p Pace) {
	w.Paces = append(w.Paces, p)
	if len(w.Paces) > keepPaces {
		w.Paces = w.Paces[1:]
	}
	b := &w.Baseline
	if p.Answers == 0 || b.Answers >= baselineAnswers {
		return
	}
	whole := b.Answers + p.Answers
	b.Median = time.Duration((float64(b.Median)*float64(b.Answers) + float64(p.Median)*float64(p.Answers)) / float64(whole))
	b.Answers, b.Over = whole, b.Over+p.Over
}

// slow finds an app that takes many times as long as it used to, though no
// more is asked of it, for slowRestart. Risk: more load, a slower database; a
// restart mends neither, so it comes late, and seldom (see the app package).
func slow(w *Window, _ Limits) (Verdict, bool) {
	if w.Baseline.Answers < baselineAnswers {
		return Verdict{}, false
	}
	bound := slowFactor*w.Baseline.Median + slowMargin
	var since time.Duration
	for i := len(w.Paces) - 1; i >= 0; i-- {
		p := w.Paces[i]
		if p.Answers > 0 && p.Median <= bound || p.load() > slowLoad*w.Baseline.load() {
			break
		}
		since += p.Over
	}
	recent := recentAnswers(w.Paces)
	if since < slowRestart || recent.Answers < slowAnswers {
		return Verdict{}, false
	}
	return Verdict{State: Slow, Why: fmt.Sprintf("half of the requests took more than %s for %s, usual %s, at %.0f requests/s, usual %.0f",
		recent.Median.Round(time.Millisecond), short(since), w.Baseline.Median.Round(time.Millisecond), recent.load(), w.Baseline.load())}, true
}

// Slowness is the median of the last 30 s where the app is slow by it, so that
// less may be sent to it; 0 where it is not.
func (w *Window) Slowness() time.Duration {
	recent := recentAnswers(w.Paces)
	if w.Baseline.Answers < baselineAnswers || recent.Answers < slowAnswers || recent.Over < slowWindow ||
		recent.Median <= slowFactor*w.Baseline.Median+slowMargin {
		return 0
	}
	return recent.Median
}

// recentAnswers sums up slowWindow; its median is the smallest of its parts',
// so that one slow moment is not taken for half a minute.
func recentAnswers(paces []Pace) Pace {
	sum := Pace{Median: math.MaxInt64}
	for i := len(paces) - 1; i >= 0 && sum.Over < slowWindow; i-- {
		sum.Answers, sum.Over = sum.Answers+paces[i].Answers, sum.Over+paces[i].Over
		if paces[i].Answers > 0 {
			sum.Median = min(sum.Median, paces[i].Median)
		}
	}
	return sum
}
