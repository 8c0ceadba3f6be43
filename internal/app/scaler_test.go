package app

import (
	"strings"
	"testing"
	"time"
)

// model is an app under a scaler: a closed loop of clients, and instances that
// take a while to start and of which only some do any good.
type model struct {
	scaler
	now     time.Time
	clients int
	each    int           // requests that an instance takes at one time
	useful  int           // instances beyond that make nothing faster
	service time.Duration // of one request
	start   time.Duration // of an instance
	born    []time.Time
	asked   float64
	why     []string
}

func (m *model) ready() int {
	n := 0
	for _, at := range m.born {
		if m.now.Sub(at) >= m.start {
			n++
		}
	}
	return n
}

// run lets d pass and returns how many instances there are then, and the most
// there were.
func (m *model) run(d time.Duration) (n, most int) {
	if m.born == nil {
		m.now = time.Unix(1000, 0)
		m.born = []time.Time{m.now.Add(-m.start)}
	}
	for end := m.now.Add(d); m.now.Before(end); m.now = m.now.Add(scaleEvery) {
		at := min(m.clients, m.each*min(m.ready(), m.useful))
		m.asked += float64(at) * scaleEvery.Seconds() / m.service.Seconds()
		change, why := m.step(m.now, demand{instances: len(m.born), ready: m.ready(), requests: m.clients, each: m.each, asked: uint64(m.asked)})
		switch change {
		case 1:
			m.born = append(m.born, m.now)
		case -1:
			m.born = m.born[:len(m.born)-1]
		}
		if why != "" {
			m.why = append(m.why, why)
		}
		most = max(most, len(m.born))
	}
	return len(m.born), most
}

func newModel(highest int) *model {
	return &model{scaler: scaler{min: 1, max: highest}, each: 1, useful: 100, service: 20 * time.Millisecond, start: 500 * time.Millisecond}
}

func TestScalerGrowsWhileThatHelps(t *testing.T) {
	m := newModel(4)
	if n, most := m.run(time.Minute); n != 1 || most != 1 {
		t.Errorf("nobody asks: %d instances", n)
	}
	m.clients = 16
	if n, _ := m.run(time.Second); n != 1 {
		t.Error("grows for a moment's sake")
	}
	if n, _ := m.run(20 * time.Second); n != 4 {
		t.Errorf("after 20 s of 16 clients: %d instances, want 4: %q", n, m.why)
	}
	if n, most := m.run(10 * time.Minute); n != 4 || most != 4 {
		t.Errorf("steady load: %d instances, %d at most", n, most)
	}
	m.clients = 0
	if n, _ := m.run(50 * time.Second); n != 4 {
		t.Errorf("shrinks after 50 s of calm to %d", n)
	}
	if n, _ := m.run(time.Minute); n != 1 {
		t.Errorf("after 110 s of calm: %d instances, want 1", n)
	}
}

// Where more instances bring nothing (no more processors, a slow database) the
// one that was tried is taken back, and tried again ever more seldom.
func TestScalerTakesBackWhatBringsNothing(t *testing.T) {
	m := newModel(4)
	m.clients, m.useful = 16, 2
	n, most := m.run(30 * time.Second)
	if n != 2 || most != 3 {
		t.Errorf("got %d instances, %d at most, want 2 and 3: %q", n, most, m.why)
	}
	if last := m.why[len(m.why)-1]; last != "3 instances are no faster than 2: a request takes 160 ms, and took 160 ms" {
		t.Errorf("the reason: %s", last)
	}
	m.why = nil
	if n, _ = m.run(30 * time.Minute); n != 2 || len(m.why) > 8 {
		t.Errorf("in half an hour: %d changes, %d instances: %q", len(m.why), n, m.why)
	}
}

// An app that takes long to start is not started more often for it.
func TestScalerWaitsForASlowStart(t *testing.T) {
	m := newModel(8)
	m.clients, m.start = 16, 20*time.Second
	if n, most := m.run(20 * time.Second); n != 2 || most != 2 {
		t.Errorf("got %d instances, %d at most, want 2", n, most)
	}
	if n, _ := m.run(15 * time.Second); n != 3 {
		t.Errorf("got %d instances, want 3", n)
	}
}

// One that never serves is given up.
func TestScalerGivesUpWhatDoesNotServe(t *testing.T) {
	m := newModel(8)
	m.run(time.Second)
	m.clients, m.start = 16, time.Hour
	m.born[0] = m.now.Add(-2 * time.Hour)
	m.run(trialMost + 5*time.Second)
	if n := len(m.born); n != 1 || !strings.Contains(m.why[len(m.why)-1], "does not serve") {
		t.Errorf("got %d instances, want 1: %q", n, m.why)
	}
}

// Threads are enough for requests that wait; greenlets are many, and Python is
// one.
func TestScalerKnowsTheServer(t *testing.T) {
	for each, want := range map[int]int{0: 2, 8: 1, 1000: 1} {
		m := newModel(2)
		m.clients, m.useful = 8, 100
		m.each = each
		if each == 0 {
			m.each = 4
			m.scaler.max = 2
		}
		if n, _ := m.run(20 * time.Second); n != want {
			t.Errorf("8 clients at a server of %d: %d instances, want %d", each, n, want)
		}
	}
}

// Requests count for the instance that had them, not for its successor in the
// same place: else that would be replaced as well, and so on.
func TestMaxRequestsCountAnew(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir, NoOverlap: true, MaxRequests: 20})
	first := r.State().PID
	for range 20 {
		r.get("/2020")
	}
	eventually(t, "another instance serves", func() bool {
		s := r.State()
		return s.Name == Ready && s.PID != first
	})
	r.get("/2020")
	if n := r.traffic.served(r.history.only()); n != 1 {
		t.Errorf("the new instance has had %d requests, want 1", n)
	}
}
