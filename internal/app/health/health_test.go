package health

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// window makes samples of every Interval, the last at length d, from a function
// of the time.
func window(d time.Duration, at func(time.Duration) Sample) *Window {
	w := &Window{}
	for t := time.Duration(0); t <= d; t += Interval {
		s := at(t)
		s.At = t0.Add(t)
		w.Add(s)
	}
	return w
}

func always(s Sample) func(time.Duration) Sample {
	return func(time.Duration) Sample { return s }
}

const second = time.Second

// running is an app's only request, since the window's begin.
func running(usual time.Duration) func(time.Duration) Sample {
	return func(t time.Duration) Sample {
		s := Sample{Queue: 7, Probe: Failed, Running: []Request{{Method: "GET", Route: "/report", Age: t, Usual: usual, PID: 9}}}
		return s
	}
}

var judged = []struct {
	name   string
	d      time.Duration
	at     func(time.Duration) Sample
	limits Limits
	want   State
}{
	{"nothing happens", 10 * second, always(Sample{}), Limits{}, Well},
	{"stopped for a moment", 750 * time.Millisecond, always(Sample{Stopped: []int{7}}), Limits{}, Well},
	{"stopped", second, always(Sample{Stopped: []int{7}}), Limits{}, Dead},
	{"several, each stopped for a moment", 3 * second, func(t time.Duration) Sample {
		return Sample{Stopped: []int{int(t / (2 * Interval))}}
	}, Limits{}, Well},
	{"hang of a known route", 5250 * time.Millisecond, running(300 * time.Millisecond), Limits{}, Hung},
	{"not yet", 5 * second, running(300 * time.Millisecond), Limits{}, Well},
	{"a slow report that is known", 8 * second, running(4 * second), Limits{}, Well},
	{"one that takes more than three times as long", 12250 * time.Millisecond, running(4 * second), Limits{}, Hung},
	{"an unknown route", 29 * second, running(0), Limits{}, Well},
	{"an unknown route for long", 31 * second, running(0), Limits{}, Hung},
	{"on one thread", 59 * second, running(0), Limits{SingleThreaded: true}, Well},
	{"on one thread for long", 61 * second, running(0), Limits{SingleThreaded: true}, Hung},
	{"as the operator says", 6250 * time.Millisecond, running(0), Limits{HangAfter: 6 * second, SingleThreaded: true}, Hung},
	{"age and queue without a failed probe", 60 * second, func(t time.Duration) Sample {
		s := running(second)(t)
		s.Probe = Passed
		return s
	}, Limits{}, Well},
	{"age and probe without a queue", 60 * second, func(t time.Duration) Sample {
		s := running(second)(t)
		s.Queue = 0
		return s
	}, Limits{}, Well},
	{"bytes still come", 60 * second, func(t time.Duration) Sample {
		s := running(second)(t)
		s.Progress = uint64(t / second)
		return s
	}, Limits{}, Well},
	{"forty streams and a probe that fails", 60 * second, always(Sample{Queue: 1, Probe: Failed}), Limits{}, Well},
	{"two streams on two workers", 60 * second, func(t time.Duration) Sample {
		return Sample{Queue: 3, Probe: Failed, Waited: t, Held: 2}
	}, Limits{}, Well},
	{"nothing runs and nobody is let in", 6 * second, func(t time.Duration) Sample {
		return Sample{Queue: 3, Probe: Failed, Waited: t}
	}, Limits{}, Hung},
	{"one of two requests is in its time", 20 * second, func(t time.Duration) Sample {
		s := running(second)(t)
		s.Running = append(s.Running, Request{Route: "/cold", Age: t})
		return s
	}, Limits{}, Well},
	{"unseen, not yet", 29 * second, func(t time.Duration) Sample { return Sample{Queue: 1, Probe: Failed, Waited: t} }, Limits{Unseen: true}, Well},
	{"unseen", 31 * second, func(t time.Duration) Sample { return Sample{Queue: 1, Probe: Failed, Waited: t} }, Limits{Unseen: true}, Hung},
	{"sixteen stuck threads", second, always(Sample{GivenUp: 16, Queue: 1}), Limits{}, Stuck},
	{"one stuck thread under load", 60 * second, func(t time.Duration) Sample { return Sample{GivenUp: 1, Progress: uint64(t)} }, Limits{}, Well},
	{"one stuck thread when idle", 11 * second, always(Sample{GivenUp: 1}), Limits{}, Stuck},
	{"memory", second, always(Sample{Resident: 300 << 20}), Limits{MemoryMax: 200 << 20}, Memory},
	{"memory without limit", second, always(Sample{Resident: 300 << 20}), Limits{}, Well},
	{"memory seen once", 0, always(Sample{Resident: 300 << 20}), Limits{MemoryMax: 200 << 20}, Well},
}

func TestJudge(t *testing.T) {
	for _, c := range judged {
		if got := window(c.d, c.at).Judge(c.limits); got.State != c.want {
			t.Errorf("%s: got %s (%s), want %s", c.name, got.State, got.Why, c.want)
		}
	}
}

func TestVerdictExplainsItself(t *testing.T) {
	w := window(6250*time.Millisecond, running(300*time.Millisecond))
	v := w.Judge(Limits{})
	want := "hung: accept queue 7 for 6.2 s, no byte for 6.2 s, oldest request GET /report 6.2 s, usual 0.3 s"
	if v.Why != want {
		t.Errorf("got  %s\nwant %s", v.Why, want)
	}
	if !slices.Equal(v.PIDs, []int{9}) {
		t.Errorf("pids: got %v", v.PIDs)
	}
	w = window(2*second, always(Sample{Stopped: []int{7, 8}}))
	if got, want := w.Judge(Limits{}).Why, "dead: process 7, 8 was stopped (state T) for 2.0 s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A pause of ours (a machine that slept) is no evidence against the app.
func TestAPauseOfOursIsNoEvidence(t *testing.T) {
	w := window(second, running(second))
	s := running(second)(90 * second)
	s.At = t0.Add(90 * second)
	w.Add(s)
	if v := w.Judge(Limits{}); v.State != Well {
		t.Errorf("got %s", v.Why)
	}
}

func TestWindowIsBounded(t *testing.T) {
	w := window(time.Hour, always(Sample{}))
	if got, most := len(w.Samples), int(keep/Interval)+1; got > most {
		t.Errorf("got %d samples, at most %d", got, most)
	}
	for range 1000 {
		w.AddPace(Pace{})
	}
	if len(w.Paces) > keepPaces {
		t.Errorf("got %d paces", len(w.Paces))
	}
}

// paced is a window with a baseline of 10 ms at 40 answers/s, and then some
// minutes of another pace.
func paced(median time.Duration, perSecond int, minutes int) *Window {
	w := window(0, always(Sample{}))
	for range 12 {
		w.AddPace(Pace{Median: 10 * time.Millisecond, Answers: 200, Over: PaceInterval})
	}
	for range minutes * 12 {
		w.AddPace(Pace{Median: median, Answers: 5 * perSecond, Over: PaceInterval})
	}
	return w
}

func TestSlow(t *testing.T) {
	cases := []struct {
		name               string
		w                  *Window
		want               State
		lessConcurrentNow  bool
		explainedByMedians string
	}{
		{"as ever", paced(10*time.Millisecond, 40, 6), Well, false, ""},
		{"slow for five minutes", paced(400*time.Millisecond, 40, 6), Slow, true, "took more than 400ms"},
		{"slow for two", paced(400*time.Millisecond, 40, 2), Well, true, ""},
		{"slow under more load", paced(400*time.Millisecond, 100, 6), Well, true, ""},
		{"a little slower", paced(140*time.Millisecond, 40, 6), Well, false, ""},
		{"slow with few answers", paced(400*time.Millisecond, 1, 6), Well, false, ""},
	}
	for _, c := range cases {
		v := c.w.Judge(Limits{})
		if v.State != c.want || !strings.Contains(v.Why, c.explainedByMedians) {
			t.Errorf("%s: got %s %s, want %s", c.name, v.State, v.Why, c.want)
		}
		if got := c.w.Slowness() > 0; got != c.lessConcurrentNow {
			t.Errorf("%s: slowness %v", c.name, c.w.Slowness())
		}
	}
}

// A leak of speed, day by day, must not become the new normal.
func TestBaselineIsFrozen(t *testing.T) {
	w := paced(time.Second, 40, 60)
	if got := w.Baseline.Median; got != 10*time.Millisecond {
		t.Errorf("got %s", got)
	}
}
