package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "123 (a (strange) name) S 7 123 123 0 -1 4194560 900 0 0 0 150 50 9 9 20 0 4 0 98765 1000000 321 18446744073709551615"
	got, err := parseStat(123, []byte(line))
	want := stat{pid: 123, parent: 7, start: 98765, cpu: 2 * time.Second, rss: 321 * int64(os.Getpagesize())}
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
	p, err := startProcess("burner", exec.Command("sh", "-c", "sh -c 'while :; do :; done' & wait"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = poll(t.Context(), 20*time.Second, func() (bool, error) {
		return sum(treeOf(p.pid())).cpu >= 50*time.Millisecond, p.failure()
	})
	if err != nil {
		t.Fatal(err)
	}
	if own, err := readStat(p.pid()); err != nil || own.cpu > 40*time.Millisecond {
		t.Errorf("the shell itself took %v, %v", own.cpu, err)
	}
	if got := sum(treeOf(p.pid())); got.rss <= 0 {
		t.Errorf("rss %d", got.rss)
	}
}

// TestStopLeavesNothing stops a tree whose members ignore TERM.
func TestStopLeavesNothing(t *testing.T) {
	script := `trap "" TERM; (trap "" TERM; echo $BASHPID; while :; do sleep 0.1; done) & wait; while :; do sleep 0.1; done`
	cmd := exec.Command("bash", "-c", script)
	p, err := startProcess("stubborn", cmd)
	if err != nil {
		t.Fatal(err)
	}
	var child int
	err = poll(t.Context(), 10*time.Second, func() (bool, error) {
		_, err := fmt.Sscan(p.log.tail(), &child)
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, pid := range []int{p.pid(), child} {
		err := poll(t.Context(), 5*time.Second, func() (bool, error) {
			return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || isZombie(pid), nil
		})
		if err != nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

func isZombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(data), ") Z ")
}

func TestFailureTellsWhatTheProgramSaid(t *testing.T) {
	p, err := startProcess("failing", exec.Command("sh", "-c", "echo port taken >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if err := p.failure(); err == nil || !strings.Contains(err.Error(), "failing ended: exit status 3") || !strings.Contains(err.Error(), "port taken") {
		t.Errorf("got %v", err)
	}
	if err := awaitHTTP(t.Context(), p, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "port taken") {
		t.Errorf("awaitHTTP: %v", err)
	}
	if _, err := startProcess("missing", exec.Command("/nonexistent/program")); err == nil {
		t.Error("a missing program started")
	}
}

func TestRuns(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !runs(os.Getpid(), self) || runs(os.Getpid(), "/bin/true") {
		t.Error("runs does not know our own program")
	}
}

func TestOutputIsBounded(t *testing.T) {
	var b lockedBuffer
	w := bufio.NewWriter(&b)
	for i := range 100_000 {
		fmt.Fprintln(w, i)
	}
	w.Flush()
	if got := b.tail(); len(got) > maxOutput || !strings.HasSuffix(got, "99999\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-10:])
	}
}

func TestPoll(t *testing.T) {
	broken := errors.New("broken")
	if err := poll(t.Context(), time.Minute, func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := poll(t.Context(), time.Millisecond, func() (bool, error) { return false, nil }); err == nil {
		t.Error("no error when the time was up")
	}
	n := 0
	if err := poll(t.Context(), time.Minute, func() (bool, error) { n++; return n == 3, nil }); err != nil || n != 3 {
		t.Errorf("asked %d times, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := poll(ctx, time.Hour, func() (bool, error) { return false, nil }); err == nil {
		t.Error("went on after the context's end")
	}
}
