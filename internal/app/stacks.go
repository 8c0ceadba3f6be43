package app

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stacksSignal makes a hooked process write the stacks of all its threads to
// its standard error, without ending it (faulthandler.register, which is C and
// works where a thread holds the interpreter's lock). A real-time signal,
// which neither servers nor apps were seen to use; SIGABRT would do the same
// only at the end of the process, and gunicorn's workers handle it in Python.
const stacksSignal = syscall.Signal(61)

const (
	maxStackLines = 200
	// stacksPatience is for the stacks to come, stacksPause ends them.
	stacksPatience = time.Second
	stacksPause    = 30 * time.Millisecond
)

// stackReader collects what faulthandler writes to a stream: lines that begin
// with a thread's name, and their frames.
type stackReader struct {
	mu     sync.Mutex
	lines  []string
	frames bool
	last   time.Time
}

func (s *stackReader) line(line string) {
	begins := strings.HasPrefix(line, "Thread 0x") || strings.HasPrefix(line, "Current thread 0x")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = begins || s.frames && strings.HasPrefix(line, "  File ")
	if s.frames && len(s.lines) < maxStackLines {
		s.lines, s.last = append(s.lines, line), time.Now()
	}
}

func (s *stackReader) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = nil
}

// collected returns the stacks, and whether they seem whole.
func (s *stackReader) collected() (lines []string, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines), len(s.lines) > 0 && time.Since(s.last) > stacksPause
}

// dumpStacks has the stacks of processes written, and returns them. Only
// hooked ones are asked: others would end by the signal.
func (i *instance) dumpStacks(pids []int) []string {
	i.stacks.reset()
	asked := 0
	for _, pid := range pids {
		if i.hookSeen.Load() && syscall.Kill(pid, stacksSignal) == nil {
			asked++
		}
	}
	for end := time.Now().Add(stacksPatience); asked > 0 && time.Now().Before(end); time.Sleep(stacksPause) {
		if lines, whole := i.stacks.collected(); whole {
			return lines
		}
	}
	lines, _ := i.stacks.collected()
	return lines
}
