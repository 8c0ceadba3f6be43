package proxy

import (
	"testing"
	"time"
)

// plant is an app whose requests need the processor for part of their time.
type plant struct {
	compute float64 // processors that one request alone keeps busy, 0 to 1
	cores   float64 // that it can use: 1 behind one interpreter lock
	used    time.Duration
	now     time.Time
	l       learner
}

// run offers so many requests at a time for a while and returns the limits that
// were in force.
func (p *plant) run(offered int, length time.Duration) []int {
	var limits []int
	for range int(length / learnEvery) {
		inFlight := offered
		if p.l.limit > 0 {
			inFlight = min(offered, p.l.limit)
		}
		p.now = p.now.Add(learnEvery)
		p.used += time.Duration(min(p.cores, p.compute*float64(inFlight)) * float64(learnEvery))
		limits = append(limits, p.l.sample(p.now, p.used, inFlight, offered-inFlight))
	}
	return limits
}

func newPlant(compute, cores float64) *plant {
	return &plant{compute: compute, cores: cores, now: time.Unix(1e9, 0)}
}

func least(limits []int) int {
	m := 0
	for _, n := range limits {
		if n > 0 && (m == 0 || n < m) {
			m = n
		}
	}
	return m
}

// An app that only waits is never limited, however much is asked of it.
func TestLearnerLeavesWaitersAlone(t *testing.T) {
	for _, compute := range []float64{0, .001, .004} {
		p := newPlant(compute, 1)
		for i, n := range p.run(200, time.Minute) {
			if n != 0 {
				t.Fatalf("compute %v: a limit of %d at sample %d though the app has time to spare", compute, n, i)
			}
		}
	}
}

// An app that computes behind one lock gets few requests at a time.
func TestLearnerLimitsComputation(t *testing.T) {
	p := newPlant(1, 1)
	limits := p.run(100, 20*time.Second)
	if first := limits[4]; first == 0 {
		t.Errorf("no limit after a second: %v", limits[:6])
	}
	if got := least(limits[20:]); got != leastLearned {
		t.Errorf("the limit comes down to %d, want %d", got, leastLearned)
	}
}

// Under a limit the app does as much work as without, but for what trying costs.
func TestLearnerCostsNoWork(t *testing.T) {
	for name, p := range map[string]*plant{
		"one lock":             newPlant(1, 1),
		"half waits":           newPlant(.5, 1),
		"mostly waits":         newPlant(.1, 1),
		"hardly computes":      newPlant(.02, 1),
		"eight cores, no lock": newPlant(1, 8),
	} {
		const length = 2 * time.Minute
		p.run(100, length)
		best := min(p.cores, p.compute*100) * float64(length)
		if part := float64(p.used) / best; part < .9 {
			t.Errorf("%s: %.0f %% of the work that can be done", name, 100*part)
		}
	}
}

// A limit ends where nobody waits for it any more.
func TestLearnerLetsGo(t *testing.T) {
	p := newPlant(1, 1)
	p.run(100, 5*time.Second)
	if p.l.limit == 0 {
		t.Fatal("no limit under overload")
	}
	p.run(1, 3*time.Second)
	if p.l.limit != 0 {
		t.Errorf("a limit of %d for one request", p.l.limit)
	}
}

// The work changes from computing to waiting, as where a database gets slow:
// the limit opens within a second or two.
func TestLearnerOpensForWaiters(t *testing.T) {
	p := newPlant(1, 1)
	p.run(100, 10*time.Second)
	p.compute = .002
	if limits := p.run(100, 2*time.Second); limits[len(limits)-1] != 0 {
		t.Errorf("limits %v after the app has time to spare", limits)
	}
}

// A new process begins to count from 0.
func TestLearnerSurvivesRestart(t *testing.T) {
	p := newPlant(1, 1)
	p.run(100, 5*time.Second)
	was := p.l.limit
	p.used = 0
	if got := p.run(100, learnEvery)[0]; got != was {
		t.Errorf("limit %d, want %d as before", got, was)
	}
}
