// Package children tells the processes that we started from those that the
// kernel gave us: as a subreaper (PR_SET_CHILD_SUBREAPER) or as PID 1 of a
// container we become the parent of strangers, of whom nobody else takes the
// zombies away.
//
// A process that stays in our process group needs none of this: it is ours.
// One that gets a group of its own is started and waited for here.
package children

import (
	"os/exec"
	"sync"
)

var (
	mu      sync.Mutex
	started = map[int]bool{}
)

// Start is cmd.Start. [Wait] must follow, unless we end before the process.
func Start(cmd *exec.Cmd) error {
	mu.Lock()
	defer mu.Unlock()
	err := cmd.Start()
	if err == nil {
		started[cmd.Process.Pid] = true
	}
	return err
}

// Wait is cmd.Wait.
func Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	mu.Lock()
	defer mu.Unlock()
	delete(started, cmd.Process.Pid)
	return err
}

// Run is cmd.Run.
func Run(cmd *exec.Cmd) error {
	if err := Start(cmd); err != nil {
		return err
	}
	return Wait(cmd)
}

// Look calls look, which says of a process id whether Start started it. No
// process is started meanwhile, so that none is seen before it is known.
func Look(look func(ours func(pid int) bool)) {
	mu.Lock()
	defer mu.Unlock()
	look(func(pid int) bool { return started[pid] })
}
