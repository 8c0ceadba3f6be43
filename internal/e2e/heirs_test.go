package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/state"
)

// processesOf are the processes that run a program, guards of apps left out.
func processesOf(exe string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || strings.TrimSuffix(to, " (deleted)") != exe {
			continue
		}
		args, err := os.ReadFile(filepath.Dir(link) + "/cmdline")
		if err != nil || bytes.Contains(args, []byte(app.GuardArg)) {
			continue
		}
		var pid int
		fmt.Sscan(filepath.Base(filepath.Dir(link)), &pid)
		pids = append(pids, pid)
	}
	return pids
}

// TestUpgradesLeaveOneProcessWaiting: however often a program is upgraded, only
// the process that was started first waits, for the one that serves; signals to
// it reach that one, and its exit code is that one's.
func TestUpgradesLeaveOneProcessWaiting(t *testing.T) {
	t.Run("flasksupervisor", func(t *testing.T) {
		exe := copyBinary(t, "flasksupervisor")
		s := superviseWith(t, exe, nil)
		upgradeThrice(t, exe, s.cmd.Process.Pid, s.await, s.state)
		s.cmd.Process.Signal(syscall.SIGTERM)
		if code := s.code(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if left := processesOf(exe); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("flask2ban", func(t *testing.T) {
		exe := copyBinary(t, "flask2ban")
		d := startProgram(t, exe, freePort(t), example(t, "hello"), "", "app.py")
		serving := upgradeThrice(t, exe, d.cmd.Process.Pid, d.await, d.state)
		syscall.Kill(serving, syscall.SIGKILL)
		<-d.done
		if code := d.cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGKILL) {
			t.Errorf("the one that serves was killed, and the first process ended with %d", code)
		}
	})
}

// answering is the process that answers in a state directory; 0 while one gives way.
func answering(t *testing.T, dir string) int {
	conn, err := state.Dial(t.Context(), dir)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	var peer *unix.Ucred
	raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil {
		return 0
	}
	return int(peer.Pid)
}

// upgradeThrice sends SIGUSR2 three times to the process that serves, and returns
// the last one.
func upgradeThrice(t *testing.T, exe string, first int, await func(string, func() bool), dir string) int {
	t.Helper()
	last := first
	for range 3 {
		if err := syscall.Kill(last, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		next := 0
		await("a successor serves", func() bool {
			next = answering(t, dir)
			return next != 0 && next != last
		})
		last = next
		await("only it and the first are left", func() bool {
			left := processesOf(exe)
			return len(left) == 2 && slices.Contains(left, first) && slices.Contains(left, last)
		})
	}
	return last
}

// TestALateBanHoldsInTheSuccessor: a client whose request is still with the old
// process's app when the new process serves is banned by its answer, there.
func TestALateBanHoldsInTheSuccessor(t *testing.T) {
	p := startPosts(t, "werkzeug", "--maxretry", "1")
	bad, good := p.from("127.0.27.1"), p.from("127.0.27.2")
	answered := make(chan int, 1)
	go func() {
		status, _ := bad.get("/no/such/page?hold")
		answered <- status
	}()
	p.await("the app has it", func() bool { return p.ran()["/no/such/page"] == 1 })
	syscall.Kill(p.cmd.Process.Pid, syscall.SIGUSR2)
	p.await("the successor serves", func() bool { return strings.Contains(p.out.String(), "a successor has taken over") })
	if bans := p.bans(); len(bans) != 0 {
		t.Fatalf("banned before its answer: %v", bans)
	}
	p.from("127.0.27.1").want(200, "/")
	p.letGo()
	if status := <-answered; status != 404 {
		t.Errorf("the old process answers %d, want the app's 404", status)
	}
	p.await("the successor has the ban", func() bool { return len(p.bans()) == 1 })
	p.from("127.0.27.1").want(403, "/")
	good.want(200, "/")
	if out, err := p.cli("why", "127.0.27.1"); err != nil || !strings.Contains(out, "unexpected_path") {
		t.Errorf("why: %v: %s", err, out)
	}
}
