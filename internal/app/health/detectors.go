package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The defaults, measured with one fault after the other (see ARCHITECTURE.md):
// the shortest that no healthy app was seen to reach.
const (
	stoppedFor = time.Second
	queueFor   = 2 * time.Second
	quietFor   = 2 * time.Second
	// hungFloor and hungFactor bound requests of routes whose usual time is
	// known, coldHang and coldHangSingle those of others.
	hungFloor      = 5 * time.Second
	hungFactor     = 3
	coldHang       = 30 * time.Second
	coldHangSingle = 60 * time.Second
	// stuckThreads are as many as to need a restart under load; fewer wait
	// until nobody asks anything for stuckIdle.
	stuckThreads = 16
	stuckIdle    = 10 * time.Second
)

// dead finds processes that are stopped. One that a debugger holds is in state
// t, not T, and is left alone. Risk: an operator who pauses an app by SIGSTOP;
// it is woken, which loses nothing.
func dead(w *Window, _ Limits) (Verdict, bool) {
	var pids []int
	var longest time.Duration
	for _, pid := range w.last().Stopped {
		d := w.held(func(s Sample) bool { return slices.Contains(s.Stopped, pid) })
		if d >= stoppedFor {
			pids = append(pids, pid)
			longest = max(longest, d)
		}
	}
	if len(pids) == 0 {
		return Verdict{}, false
	}
	return Verdict{State: Dead, PIDs: pids,
		Why: fmt.Sprintf("process %s was stopped (state T) for %s", numbers(pids), short(longest))}, true
}

// hung finds an app that does nothing at all: something waits, no byte came
// from it for a while, every request in it is older than its route explains,
// and it does not answer us either. Risk: a slow report on a server with one
// thread; its route's usual time, or a long wait, protects that.
func hung(w *Window, l Limits) (Verdict, bool) {
	last := w.last()
	queued := w.held(func(s Sample) bool { return s.Queue > 0 })
	quiet := w.held(func(s Sample) bool { return s.Progress == last.Progress })
	if queued < queueFor || quiet < quietFor || last.Probe != Failed {
		return Verdict{}, false
	}
	if l.Unseen {
		return hungUnseen(last, l, queued)
	}
	if len(last.Running) == 0 && (last.Held > 0 || last.Waited <= hungFloor) {
		return Verdict{}, false // nothing of the app's own explains it; a little patience
	}
	for _, r := range last.Running {
		if r.Age <= l.patience(r) {
			return Verdict{}, false
		}
	}
	return Verdict{State: Hung, PIDs: pidsOf(last.Running),
		Why: fmt.Sprintf("accept queue %d for %s, no byte for %s, %s", last.Queue, short(queued), short(quiet), oldest(last))}, true
}

func hungUnseen(last Sample, l Limits, queued time.Duration) (Verdict, bool) {
	if last.Waited < l.cold() {
		return Verdict{}, false
	}
	return Verdict{State: Hung, Why: fmt.Sprintf("accept queue %d for %s, and no answer to our probe",
		last.Queue, short(max(queued, last.Waited)))}, true
}

func (l Limits) cold() time.Duration {
	switch {
	case l.HangAfter > 0:
		return l.HangAfter
	case l.SingleThreaded:
		return coldHangSingle
	}
	return coldHang
}

// patience is how long a request may hold everything up.
func (l Limits) patience(r Request) time.Duration {
	if r.Usual == 0 {
		return l.cold()
	}
	return max(hungFloor, hungFactor*r.Usual)
}

// Patience is how long a hang may last until it is one, at most, for requests
// of routes with this usual time; for those who print or test it.
func (l Limits) Patience(usual time.Duration) time.Duration { return l.patience(Request{Usual: usual}) }

func oldest(s Sample) string {
	if len(s.Running) == 0 {
		return fmt.Sprintf("no request in it, the first in the queue waits for %s", short(s.Waited))
	}
	r := slices.MaxFunc(s.Running, func(a, b Request) int { return int(a.Age - b.Age) })
	usual := "usual time not known"
	if r.Usual > 0 {
		usual = "usual " + short(r.Usual)
	}
	return fmt.Sprintf("oldest request %s %s %s, %s", r.Method, r.Route, short(r.Age), usual)
}

// pidsOf are the processes of requests; none where one is not known.
func pidsOf(running []Request) []int {
	var pids []int
	for _, r := range running {
		if r.PID == 0 {
			return nil
		}
		if !slices.Contains(pids, r.PID) {
			pids = append(pids, r.PID)
		}
	}
	return pids
}

// stuck finds threads that are lost to requests which we have given up. One
// does no harm: it is left alone until that costs nobody anything.
func stuck(w *Window, _ Limits) (Verdict, bool) {
	last := w.last()
	idle := w.held(func(s Sample) bool {
		return s.Progress == last.Progress && s.Queue == 0 && len(s.Running) == 0
	})
	switch {
	case last.GivenUp >= stuckThreads:
		return Verdict{State: Stuck, Why: fmt.Sprintf("%d requests were given up and may hold a thread each", last.GivenUp)}, true
	case last.GivenUp > 0 && idle >= stuckIdle:
		return Verdict{State: Stuck, Why: fmt.Sprintf("%d requests were given up; nobody asks anything now", last.GivenUp)}, true
	}
	return Verdict{}, false
}

// memory finds an instance beyond the operator's limit, twice in a row.
func memory(w *Window, l Limits) (Verdict, bool) {
	if l.MemoryMax <= 0 {
		return Verdict{}, false
	}
	over, seen := 0, int64(0)
	for i := len(w.Samples) - 1; i >= 0 && over < 2; i-- {
		s := w.Samples[i]
		if s.Resident == 0 {
			continue
		}
		if s.Resident <= l.MemoryMax {
			return Verdict{}, false
		}
		over, seen = over+1, max(seen, s.Resident)
	}
	if over < 2 {
		return Verdict{}, false
	}
	return Verdict{State: Memory, Why: fmt.Sprintf("%d MB resident, limit %d MB", seen>>20, l.MemoryMax>>20)}, true
}

// short is a duration for people: "2.1 s".
func short(d time.Duration) string {
	if d >= 100*time.Second {
		return d.Round(time.Second).String()
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

func numbers(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}
