package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "123 (a (strange) name) S 7 123 123 0 -1 4194560 900 0 0 0 150 50 9 9 20 0 4 0 98765 1000000 321 18446744073709551615"
	got, err := parseStat(123, []byte(line))
	want := Stat{PID: 123, Parent: 7, Start: 98765, CPU: 2 * time.Second, RSS: 321 * int64(os.Getpagesize()), State: 'S'}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "123 (x) S 7", "no parentheses at all", strings.Replace(line, " 7 ", " x ", 1)} {
		if _, err := parseStat(1, []byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestCPUOfATree has a grandchild burn CPU and finds it in the tree's sum.
func TestCPUOfATree(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", "sh -c 'while :; do :; done' & wait"))
	sum := func() (cpu time.Duration) {
		for _, s := range TreeOf(p.PID()) {
			cpu += s.CPU
		}
		return cpu
	}
	if err := p.Await(t.Context(), time.Minute, "CPU was used", func() bool { return sum() >= 50*time.Millisecond }); err != nil {
		t.Fatal(err)
	}
	if own, err := ReadStat(p.PID()); err != nil || own.CPU > 40*time.Millisecond || own.RSS <= 0 {
		t.Errorf("the shell itself took %+v, %v", own, err)
	}
	if err := p.Stop(time.Minute); err == nil || !strings.Contains(err.Error(), "left processes behind") {
		t.Errorf("the endless loop that the shell leaves was not told of: %v", err)
	}
}

// start starts a program that ends with the test.
func start(t *testing.T, cmd *exec.Cmd) *Program {
	t.Helper()
	p, err := Start("it", cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(0) })
	return p
}

// TestStopLeavesNothing stops a tree whose members ignore SIGTERM.
func TestStopLeavesNothing(t *testing.T) {
	p := start(t, exec.Command("bash", "-c", `trap "" TERM; (trap "" TERM; echo $BASHPID; while :; do sleep 0.1; done) & while :; do sleep 0.1; done`))
	var child int
	if err := p.Await(t.Context(), time.Minute, "the child is there", func() bool {
		_, err := fmt.Sscan(p.Log.String(), &child)
		return err == nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(200 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end within 200ms") {
		t.Errorf("it ended in order: %v", err)
	}
	for _, pid := range []int{p.PID(), child} {
		if err := Poll(t.Context(), time.Minute, func() (bool, error) { return !Alive(pid), nil }); err != nil {
			t.Errorf("process %d is left", pid)
		}
	}
	if err := p.Stop(0); err != nil {
		t.Errorf("stopped again: %v", err)
	}
}

func TestStopInOrder(t *testing.T) {
	p := start(t, exec.Command("sleep", "1000"))
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	if err := p.Failure(); err == nil || !strings.Contains(err.Error(), "it ended: signal: terminated") {
		t.Errorf("got %v", err)
	}
}

func TestFailureTellsWhatTheProgramSaid(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", "echo port taken >&2; exit 3"))
	err := p.Await(t.Context(), time.Minute, "pigs fly", func() bool { return false })
	for _, want := range []string{"waiting until pigs fly", "it ended: exit status 3", "port taken"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := Start("missing", exec.Command("/nonexistent/program")); err == nil {
		t.Error("a missing program started")
	}
}

func TestAwaitTellsWhatItWaitedFor(t *testing.T) {
	p := start(t, exec.Command("sh", "-c", "echo still reading; exec sleep 1000"))
	said := func() bool { return p.Log.String() != "" }
	if err := p.Await(t.Context(), time.Minute, "it says something", said); err != nil {
		t.Fatal(err)
	}
	err := p.Await(t.Context(), time.Millisecond, "pigs fly", func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "waited until pigs fly: not in time (1ms)") || !strings.Contains(err.Error(), "still reading") {
		t.Errorf("got %v", err)
	}
}

func TestRuns(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !Runs(os.Getpid(), self) || Runs(os.Getpid(), "/bin/true") {
		t.Error("Runs does not know our own program")
	}
}

func TestWithVariable(t *testing.T) {
	entry := fmt.Sprint("TESTBED_MARK=", os.Getpid())
	cmd := exec.Command("sleep", "1000")
	cmd.Env = []string{entry}
	p := start(t, cmd)
	// The environment is the program's once it runs, not since the fork.
	if err := p.Await(t.Context(), time.Minute, "it is found", func() bool { return slices.Equal(WithVariable(entry), []int{p.PID()}) }); err != nil {
		t.Errorf("found %v, want %d: %v", WithVariable(entry), p.PID(), err)
	}
	for _, other := range []string{entry + "0", entry[:len(entry)-1], entry[1:]} {
		if got := WithVariable(other); len(got) > 0 {
			t.Errorf("%s: found %v", other, got)
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	var l Log
	line := strings.Repeat("x", 1<<10) + "\n"
	for range 3 * mostKept / len(line) {
		fmt.Fprint(&l, line)
	}
	fmt.Fprint(&l, "the end\n")
	if got := l.String(); len(got) > mostKept || !strings.HasSuffix(got, "the end\n") {
		t.Errorf("%d bytes are kept, ending in %q", len(got), got[len(got)-10:])
	}
	if got := l.Tail(); len(got) != tailSize || !strings.HasSuffix(got, "the end\n") {
		t.Errorf("the tail has %d bytes, ending in %q", len(got), got[len(got)-10:])
	}
}

func TestPoll(t *testing.T) {
	broken := errors.New("broken")
	if err := Poll(t.Context(), time.Minute, func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := Poll(t.Context(), time.Millisecond, func() (bool, error) { return false, nil }); !errors.Is(err, errLate) {
		t.Errorf("when the time was up: %v", err)
	}
	n := 0
	if err := Poll(t.Context(), time.Minute, func() (bool, error) { n++; return n == 3, nil }); err != nil || n != 3 {
		t.Errorf("asked %d times, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Poll(ctx, time.Hour, func() (bool, error) { return false, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}

func TestFreeAddr(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		addr, err := FreeAddr()
		if err != nil || seen[addr] {
			t.Fatalf("%s, %v, was given out before: %v", addr, err, seen[addr])
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("it is not free: %v", err)
		}
		defer l.Close()
	}
}

func TestFlagsStandBeforeTheCommand(t *testing.T) {
	for _, tt := range []struct{ args, want []string }{
		{[]string{"app.py"}, []string{"app.py", "--state", "s"}},
		{[]string{"app.py", "--", "gunicorn", "--", "x"}, []string{"app.py", "--state", "s", "--", "gunicorn", "--", "x"}},
		{nil, []string{"--state", "s"}},
	} {
		if got := insertFlags(tt.args, "--state", "s"); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.args, got, tt.want)
		}
	}
}

// TestDaemonThatEnds: what it said is in the error, and nothing runs on.
func TestDaemonThatEnds(t *testing.T) {
	d, err := StartDaemon(t.Context(), Site{Binary: "/bin/ls", Dir: t.TempDir(), State: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "--listen") || d != nil {
		t.Errorf("got %v, %v; want what ls says of --listen", d, err)
	}
	late, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	script := t.TempDir() + "/never-ready"
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprint("TESTBED_DAEMON=", os.Getpid())
	if _, err := StartDaemon(late, Site{Binary: script, Env: []string{mark}}); err == nil {
		t.Error("a daemon that is never ready was started")
	}
	for _, pid := range WithVariable(mark) {
		t.Errorf("process %d is left", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestBuild(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/m\n",
		"main.go": "package main\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Build(root, out, "."); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(filepath.Join(out, "m")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	if err := Build(root, out, "./none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("what is not there: %v", err)
	}
}
