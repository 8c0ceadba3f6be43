package e2e

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// process is one program under test.
type process struct {
	*testbed.Program
	t    testing.TB
	cmd  *exec.Cmd
	out  *testbed.Log
	done <-chan struct{}
}

// lockedBuffer is what a process has printed so far.
type lockedBuffer = testbed.Log

// launch starts a program, which ends with the test.
func launch(t testing.TB, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	p, err := testbed.Start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return watch(t, p)
}

// watch has a program end with the test, in order.
func watch(t testing.TB, program *testbed.Program) *process {
	p := &process{Program: program, t: t, cmd: program.Cmd, out: &program.Log, done: program.Done}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(p.cmd.Args, " "), p.out.Tail())
		}
	})
	return p
}

// patience is what programs have for anything, on a machine that others load.
const patience = time.Minute

// stop ends the program in order and fails the test where it doesn't end, or
// leaves something behind.
func (p *process) stop() {
	if err := p.Stop(patience); err != nil {
		p.t.Error(err)
	}
}

// says waits until the program has printed text: what it says of an event
// reaches us through a pipe, a moment later than the event's other effects.
func (p *process) says(text string) {
	p.t.Helper()
	p.await("it says "+text, func() bool { return strings.Contains(p.out.String(), text) })
}

// await polls until ok, and fails the test where that takes too long or the
// program has ended.
func (p *process) await(what string, ok func() bool) {
	p.t.Helper()
	if err := p.Await(context.Background(), patience, what, ok); err != nil {
		p.t.Fatal(err)
	}
}
