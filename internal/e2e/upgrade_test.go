package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// copyBinary puts a program where a test can replace it.
func copyBinary(t *testing.T, name string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	install(t, filepath.Join(filepath.Dir(path), name), filepath.Join(dir, name))
	return filepath.Join(dir, name)
}

// install replaces a program as packages do: by renaming.
func install(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// badBinary replaces a program by one that ends at once.
func badBinary(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\necho this is a bad program >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestSupervisorUpgrade: SIGUSR2 under load loses nothing; a bad program leaves
// the old one in place.
func TestSupervisorUpgrade(t *testing.T) {
	exe := copyBinary(t, "flasksupervisor")
	s := superviseWith(t, exe, nil)
	first, app := s.cmd.Process.Pid, s.status().Instance.PID
	v := visitAllTheTime(s.url+"/", 4)
	syscall.Kill(first, syscall.SIGUSR2)
	s.await("the successor has taken over", func() bool { return strings.Contains(s.out.String(), "a successor has taken over") })
	s.await("the old app is gone", func() bool { return !testbed.Alive(app) })
	second := daemonPID(t, exe, s.state)
	if second == first {
		t.Errorf("it is still process %d", first)
	}
	badBinary(t, exe)
	syscall.Kill(second, syscall.SIGUSR2)
	s.await("the bad program is refused", func() bool { return strings.Contains(s.out.String(), "this process goes on") })
	sent, refused, lost := v.end()
	t.Logf("%d requests over two upgrades, %d refused, %d lost", sent, refused, len(lost))
	if refused > 0 || len(lost) > 0 {
		t.Errorf("of %d requests %d refused, lost %v", sent, refused, lost)
	}
	if _, _, err := visitOnce(s.url + "/"); err != nil {
		t.Error(err)
	}
	// Whoever started the first process still waits for it, and can end it.
	s.cmd.Process.Signal(syscall.SIGTERM)
	if code := s.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if testbed.Alive(second) {
		t.Error("the successor outlives the process that was started")
	}
}

// daemonPID is the process that answers in a state directory.
func daemonPID(t *testing.T, exe, state string) int {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cli := filepath.Join(filepath.Dir(path), filepath.Base(exe))
	out, err := exec.Command(cli, "status", "--json", "--state", state).Output()
	if err != nil {
		t.Fatalf("status: %v: %s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), `"pid": `)
	pid, err := strconv.Atoi(rest[:strings.IndexAny(rest, ",\n")])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestUpgrade is the same with flask2ban: bans stay in force over it.
func TestUpgrade(t *testing.T) {
	exe := copyBinary(t, "flask2ban")
	d := startProgram(t, exe, freePort(t), example(t, "hello"), "", "app.py")
	d.from("127.0.1.1").want(404, "/.env")
	first, app := d.cmd.Process.Pid, d.appPID()
	v := visitAllTheTime("http://"+d.addr+"/2020", 4)
	syscall.Kill(first, syscall.SIGUSR2)
	d.await("the successor has taken over", func() bool { return strings.Contains(d.out.String(), "a successor has taken over") })
	d.from("127.0.1.1").want(403, "/")
	second := daemonPID(t, exe, d.state)
	if second == first {
		t.Errorf("it is still process %d", first)
	}
	d.await("the old app is gone", func() bool { return !testbed.Alive(app) })
	d.from("127.0.1.2").want(404, "/.env")
	badBinary(t, exe)
	syscall.Kill(second, syscall.SIGUSR2)
	d.await("the bad program is refused", func() bool { return strings.Contains(d.out.String(), "this process goes on") })
	sent, refused, lost := v.end()
	t.Logf("%d requests over two upgrades, %d refused, %d lost", sent, refused, len(lost))
	if refused > 0 || len(lost) > 0 {
		t.Errorf("of %d requests %d refused, lost %v", sent, refused, lost)
	}
	d.from("127.0.1.3").want(200, "/2020")
	bans := fmt.Sprint(d.bans())
	for _, banned := range []string{"127.0.1.1", "127.0.1.2"} {
		d.from(banned).want(403, "/")
		if !strings.Contains(bans, banned) {
			t.Errorf("%s is not among the bans: %s", banned, bans)
		}
	}
	// Whoever started the first process still waits for it, and can end it.
	d.stop()
	if testbed.Alive(second) {
		t.Error("the successor outlives the process that was started")
	}
}
