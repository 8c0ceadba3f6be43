// Package testbed is what benchmarks and tests of the whole stand on: programs
// that are started, watched and ended by their ids, daemons of ours among them,
// and free addresses to run them at.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Program is a program that we started.
type Program struct {
	Cmd *exec.Cmd
	// Name is for messages.
	Name string
	// Log is what it has printed, on both outputs.
	Log Log
	// Done is closed when it has ended; Cmd.ProcessState then says how.
	Done chan struct{}
}

// Start starts a program, whose outputs go to Log.
func Start(name string, cmd *exec.Cmd) (*Program, error) {
	p := &Program{Cmd: cmd, Name: name, Done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.Log, &p.Log
	cmd.WaitDelay = 5 * time.Second // a child of its own may have kept its outputs open
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.Done)
		_ = cmd.Wait() // ProcessState says how it ended
	}()
	return p, nil
}

// PID is its process id.
func (p *Program) PID() int { return p.Cmd.Process.Pid }

// Ended says that it no longer runs.
func (p *Program) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// Failure says how the program ended, and what it said last; nil while it runs.
func (p *Program) Failure() error {
	if !p.Ended() {
		return nil
	}
	return fmt.Errorf("%s ended: %s\n%s", p.Name, p.Cmd.ProcessState, p.Log.Tail())
}

// Await polls until ok. Its error says that the program has ended, or that the
// time was up, and what the program said last.
func (p *Program) Await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	err := Poll(ctx, limit, func() (bool, error) {
		if err := p.Failure(); err != nil {
			return false, err
		}
		return ok(), nil
	})
	switch {
	case err == nil:
		return nil
	case p.Ended():
		return fmt.Errorf("waiting until %s: %w", what, err)
	default:
		return fmt.Errorf("waited until %s: %w; %s said\n%s", what, err, p.Name, p.Log.Tail())
	}
}

// sweepTime is what descendants have to end after the program itself.
const sweepTime = 3 * time.Second

// Stop ends the program in order, with SIGTERM, and waits for it. Where that
// takes longer than patience, or descendants outlive it, they are killed, each by
// its id, and the error says so.
func (p *Program) Stop(patience time.Duration) error {
	if p.Ended() {
		return nil
	}
	tree := TreeOf(p.PID())
	_ = p.Cmd.Process.Signal(syscall.SIGTERM) // fails where it ends just now
	select {
	case <-p.Done:
	case <-time.After(patience):
		kill(tree)
		<-p.Done
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.Name, patience)
	}
	var left []Stat
	if Poll(context.Background(), sweepTime, func() (bool, error) {
		left = alive(tree)
		return len(left) == 0, nil
	}) == nil {
		return nil
	}
	kill(left)
	var pids []int
	for _, s := range left {
		pids = append(pids, s.PID)
	}
	return fmt.Errorf("%s left processes behind: %v", p.Name, pids)
}

// kill ends processes that are still those of the list.
func kill(list []Stat) {
	for _, s := range alive(list) {
		_ = syscall.Kill(s.PID, syscall.SIGKILL) // fails where it ends just now
	}
}

// errLate is the end of Poll's patience.
var errLate = errors.New("not in time")

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Poll asks again and again until ok, an error, the end of ctx, or the limit.
func Poll(ctx context.Context, limit time.Duration, ask func() (bool, error)) error {
	late, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w (%s)", errLate, limit))
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-late.Done():
			return context.Cause(late)
		case <-ticker.C:
		}
	}
}

// Log keeps the end of what a program prints. Its zero value is empty.
type Log struct {
	mu   sync.Mutex
	data []byte
}

const (
	mostKept = 8 << 20
	tailSize = 8 << 10 // enough for a traceback
)

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data = append(l.data, p...)
	if len(l.data) > mostKept {
		l.data = append(l.data[:0], l.data[len(l.data)-mostKept/2:]...)
	}
	return len(p), nil
}

// String is all that is kept.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.data)
}

// Tail is the end of it, for a message.
func (l *Log) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.data[max(0, len(l.data)-tailSize):])
}
