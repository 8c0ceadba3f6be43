package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flask2ban/flask2ban/internal/children"
)

// sweepTimeout bounds how long we wait for killed orphans to be gone: a
// process in uninterruptible sleep must not hold a restart up.
const sweepTimeout = 5 * time.Second

// adopt makes us the parent of processes whose guard has died.
func adopt() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// reapOrphans takes the zombies away that we have adopted, or got as PID 1 of
// a container, until ctx ends. Children that someone started with os/exec are
// left to them.
func reapOrphans(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)
	for {
		select {
		case <-ctx.Done():
			return
		case <-died:
		}
		for _, p := range adopted() {
			if p.state == 'Z' {
				syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
			}
		}
	}
}

// adopted are our children that we did not start. What we start stays in our
// process group or is known to package children; each app leads a group of its
// own, and so does what left it.
func adopted() (found []process) {
	children.Look(func(ours func(int) bool) {
		for _, p := range processes() {
			if p.parent == os.Getpid() && p.group != unix.Getpgrp() && !ours(p.pid) {
				found = append(found, p)
			}
		}
	})
	return found
}

// killOrphans ends all that a dead guard has left to us. What a process leaves
// when it dies becomes ours only then, so nothing may be found twice in a row:
// /proc is no snapshot.
func killOrphans() {
	calm := 0
	for end := time.Now().Add(sweepTimeout); calm < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		calm++
		for _, p := range adopted() {
			calm = 0
			syscall.Kill(p.pid, syscall.SIGKILL)
			if p.state == 'Z' {
				syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
			}
		}
	}
}
