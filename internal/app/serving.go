package app

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// numberSet is processes or ports of an instance, as the hook named them. What
// the app writes there is not believed further than that: see [instance.own].
// The zero value is empty.
type numberSet struct {
	mu  sync.Mutex
	all []int
}

// maxNumbers bounds a set.
const maxNumbers = 256

func (s *numberSet) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.all, n) && len(s.all) < maxNumbers {
		s.all = append(s.all, n)
	}
}

func (s *numberSet) remove(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(other int) bool { return other == n })
}

func (s *numberSet) has(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.all, n)
}

func (s *numberSet) list() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// servers are the living processes that serve: by the hook's word, else the
// first one.
func (i *instance) servers() []process {
	pids := i.pids.list()
	if len(pids) == 0 {
		pids = []int{i.pid}
	}
	var alive []process
	for _, pid := range pids {
		p, err := processOf(pid)
		if err != nil || p.state == 'Z' {
			i.pids.remove(pid)
			continue
		}
		alive = append(alive, p)
	}
	return alive
}

// own are those of pids that really are the instance's: below its guard now.
func (i *instance) own(pids []int) []int {
	below := descendants(processes(), i.guard.Process.Pid)
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return !slices.Contains(below, pid) })
}

// resident is the memory of one process in bytes without what it shares with
// others, by /proc/PID/statm (proc(5)); 0 where it is gone.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 3 {
		return 0
	}
	whole, err1 := strconv.ParseInt(fields[1], 10, 64)
	shared, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return (whole - shared) * int64(os.Getpagesize())
}
