// Package health judges, from what can be seen of an app, whether it is well.
//
// Each detector is a pure function of a window of samples; it knows no clock
// and asks nobody. What was measured, and where the defaults come from, stands
// in ARCHITECTURE.md. No detector judges by the age of a request alone, nor by
// a failed probe alone: a stream, a slow report and a slow client look the
// same to those.
package health

import (
	"fmt"
	"time"
)

// Interval is the time between two samples.
const Interval = 250 * time.Millisecond

// keep is how long samples are kept.
const keep = 12 * time.Second

// State is how an app is.
type State string

// The states. Only Well is good.
const (
	Well   State = "well"
	Dead   State = "dead"
	Hung   State = "hung"
	Stuck  State = "stuck"
	Slow   State = "slow"
	Memory State = "memory"
)

// Probe is how the last question of ours to the app ended.
type Probe uint8

// The outcomes of a probe. It is asked only where something looks wrong.
const (
	Unasked Probe = iota
	Passed
	Failed
)

// Request is one request that the app has not answered.
type Request struct {
	Method, Route string
	// Age is the time since the app began to read it; without the hook,
	// since it was sent.
	Age time.Duration
	// Usual is the longest that requests of this route take, as learned;
	// 0 where none was answered yet.
	Usual time.Duration
	// PID is the process that reads it; 0 where that is not known.
	PID int
}

// Sample is what was seen of one instance at one moment.
type Sample struct {
	At time.Time
	// Stopped are the serving processes in state T (SIGSTOP).
	Stopped []int
	// Queue counts what waits for the app: connections that it has not
	// accepted, or requests that it has not begun to read.
	Queue int
	// Progress grows with each byte and each answer of the app.
	Progress uint64
	// Running are requests that the app has begun to read and not begun to
	// answer, without those that wait for their client. Without the hook,
	// all that were sent.
	Running []Request
	// Held counts requests that keep a thread of the app for their client's
	// sake: streams, uploads under way, slow readers. They explain why nothing
	// else is read, for as long as they like.
	Held int
	// Waited is how long the first of the queue has waited.
	Waited time.Duration
	// GivenUp counts the requests that were answered with 504 in the app's
	// place, each with a thread that it may still hold.
	GivenUp int
	// Resident is the memory of the instance's processes in bytes, without
	// what they share; 0 where it was not looked at.
	Resident int64
	Probe    Probe
}

// Limits are the operator's bounds, and what is known of the server.
type Limits struct {
	// HangAfter is how long a request of a route without a known usual time
	// may hold everything up; 0 means 30 s, or 60 s where SingleThreaded.
	HangAfter time.Duration
	// SingleThreaded says that one request at a time is the server's way.
	SingleThreaded bool
	// Unseen says that requests do not pass through us: then the queue for
	// HangAfter, and a failed probe, decide.
	Unseen bool
	// MemoryMax is the most memory in bytes that an instance may have; 0 is
	// no limit.
	MemoryMax int64
}

// Verdict is what a detector says, with the reason for a person.
type Verdict struct {
	State State
	Why   string
	// PIDs are the processes at fault; empty means the whole instance.
	PIDs []int
}

// Window is what is known of one instance, the newest last.
type Window struct {
	Samples []Sample
	Paces   []Pace
	// Baseline is the pace when all was well; see [Pace].
	Baseline Pace
}

// Add takes the next sample.
func (w *Window) Add(s Sample) {
	w.Samples = append(w.Samples, s)
	for s.At.Sub(w.Samples[0].At) > keep {
		w.Samples = w.Samples[1:]
	}
}

// last is the newest sample; the zero one where there is none.
func (w *Window) last() Sample {
	if len(w.Samples) == 0 {
		return Sample{}
	}
	return w.Samples[len(w.Samples)-1]
}

// gap is a pause between samples that is no evidence of anything: we were not
// looking, for the machine slept or was too busy to let us.
const gap = 5 * Interval

// held is for how long, up to the newest sample, every sample was like that.
func (w *Window) held(like func(Sample) bool) time.Duration {
	last := w.last()
	since := last.At
	for i := len(w.Samples) - 1; i >= 0 && like(w.Samples[i]); i-- {
		if since.Sub(w.Samples[i].At) > gap {
			break
		}
		since = w.Samples[i].At
	}
	return last.At.Sub(since)
}

// detectors are asked in this order; the first that speaks is heard.
var detectors = []func(*Window, Limits) (Verdict, bool){dead, hung, stuck, memory, slow}

// Judge says how the app is.
func (w *Window) Judge(l Limits) Verdict {
	if len(w.Samples) == 0 {
		return Verdict{State: Well}
	}
	for _, detect := range detectors {
		if v, found := detect(w, l); found {
			v.Why = fmt.Sprintf("%s: %s", v.State, v.Why)
			return v
		}
	}
	return Verdict{State: Well}
}
