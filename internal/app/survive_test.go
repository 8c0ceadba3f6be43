package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// brood is an app with every kind of child that likes to stay behind. Each
// writes its process id into a file.
const brood = hello + `
import os, subprocess, sys, time
def note(name):
    with open(name + ".tmp", "w") as f:
        f.write(str(os.getpid()))
    os.rename(name + ".tmp", name)
def stay(name):
    note(name)
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while True:
        time.sleep(1)
if os.fork() == 0:
    stay("child.pid")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        stay("daemon.pid")
    os._exit(0)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
note("main.pid")
app.run(port=18400)
`

// pidIn reads a process id that the brood has written.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	var pid int
	eventually(t, path+" is written", func() bool {
		data, err := os.ReadFile(path)
		if err == nil {
			pid, err = strconv.Atoi(string(data))
		}
		return err == nil
	})
	return pid
}

// inDirectory are the living processes that work in dir: all of a test's app.
func inDirectory(dir string) []int {
	var found []int
	for _, p := range processes() {
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.pid)); err == nil && cwd == dir && p.state != 'Z' {
			found = append(found, p.pid)
		}
	}
	return found
}

func guardOf(t *testing.T, pid int) int {
	t.Helper()
	for _, p := range processes() {
		if p.pid == pid {
			return p.parent
		}
	}
	t.Fatalf("no process %d", pid)
	return 0
}

// aDaemon is flask2ban as a process of its own, with the brood.
type aDaemon struct {
	cmd *exec.Cmd
	dir string
	pid int // of the app
}

func startDaemon(t *testing.T) aDaemon {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := aDaemon{dir: write(t, map[string]string{"app.py": brood})}
	d.cmd = exec.Command(self)
	d.cmd.Dir = d.dir
	d.cmd.Env = append(os.Environ(), "APP_TEST_DAEMON=app.py", "TMPDIR="+d.dir)
	d.cmd.Stderr = os.Stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cmd.Process.Kill(); d.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		t.Fatalf("daemon said %q, %v", line, err)
	}
	d.pid = pidIn(t, filepath.Join(d.dir, "main.pid"))
	pidIn(t, filepath.Join(d.dir, "child.pid"))
	pidIn(t, filepath.Join(d.dir, "daemon.pid"))
	if n := len(inDirectory(d.dir)); n < 6 { // us, the guard, the app, its three
		t.Fatalf("only %d processes", n)
	}
	return d
}

func (d aDaemon) nothingLeft(t *testing.T) {
	t.Helper()
	eventually(t, "no process is left", func() bool { return len(inDirectory(d.dir)) == 0 })
	eventually(t, "the hook's directory is removed", func() bool {
		left, err := filepath.Glob(filepath.Join(d.dir, "flask2ban-*"))
		return err == nil && len(left) == 0
	})
}

func TestNothingIsLeftAfterSIGTERM(t *testing.T) {
	d := startDaemon(t)
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("daemon: %v", err)
	}
	d.nothingLeft(t)
}

func TestNothingIsLeftWhenWeAreKilled(t *testing.T) {
	d := startDaemon(t)
	d.cmd.Process.Kill()
	d.cmd.Wait()
	d.nothingLeft(t)
}

func TestTheAppComesBackWhenItIsKilled(t *testing.T) {
	d := startDaemon(t)
	old := inDirectory(d.dir)
	os.Remove(filepath.Join(d.dir, "main.pid"))
	syscall.Kill(d.pid, syscall.SIGKILL)
	again := pidIn(t, filepath.Join(d.dir, "main.pid"))
	for _, pid := range inDirectory(d.dir) {
		for _, before := range old {
			if pid == before && pid != d.cmd.Process.Pid {
				t.Errorf("process %d of the first instance lives on beside %d", pid, again)
			}
		}
	}
	d.cmd.Process.Kill()
	d.cmd.Wait()
	d.nothingLeft(t)
}

func TestTheAppComesBackWhenItsGuardIsKilled(t *testing.T) {
	d := startDaemon(t)
	old := map[int]bool{}
	for _, pid := range inDirectory(d.dir) {
		old[pid] = pid != d.cmd.Process.Pid
	}
	os.Remove(filepath.Join(d.dir, "main.pid"))
	syscall.Kill(guardOf(t, d.pid), syscall.SIGKILL)
	pidIn(t, filepath.Join(d.dir, "main.pid"))
	for _, pid := range inDirectory(d.dir) {
		if old[pid] {
			t.Errorf("process %d of the first instance lives on", pid)
		}
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("daemon: %v", err)
	}
	d.nothingLeft(t)
}

func TestNothingIsLeftWhenWeAndTheGuardAreKilled(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "APP_TEST_DAEMON=app.py", "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	var pid int
	if _, err := fmt.Fscanf(out, "ready %s %d", &addr, &pid); err != nil {
		t.Fatal(err)
	}
	guard := guardOf(t, pid)
	syscall.Kill(guard, syscall.SIGSTOP) // it must not clean up first
	cmd.Process.Kill()
	cmd.Wait()
	syscall.Kill(guard, syscall.SIGKILL)
	eventually(t, "no process is left", func() bool { return len(inDirectory(dir)) == 0 })
}

func TestAsPID1(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a process namespace needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"app.py": brood})
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", self)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "APP_TEST_DAEMON=app.py"), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	var pid int
	if _, err := fmt.Fscanf(out, "ready %s %d", &addr, &pid); err != nil {
		t.Fatal(err)
	}
	pidIn(t, filepath.Join(dir, "daemon.pid"))
	var one int
	for _, p := range processes() {
		if p.parent == cmd.Process.Pid {
			one = p.pid
		}
	}
	// No zombie of the double fork may stay with PID 1 or the guard.
	eventually(t, "zombies are reaped", func() bool {
		for _, p := range processes() {
			if p.parent == one && p.state == 'Z' {
				return false
			}
		}
		return true
	})
	syscall.Kill(one, syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("PID 1: %v", err)
	}
	eventually(t, "no process is left", func() bool { return len(inDirectory(dir)) == 0 })
}

func TestConnectionsWaitWhileTheAppRestarts(t *testing.T) {
	r := start(t, Config{App: "app.py", Dir: write(t, map[string]string{"app.py": helloMain})})
	for range 3 {
		pid := r.State().PID
		syscall.Kill(pid, syscall.SIGKILL)
		if got := r.get("/2020"); got.status != 200 || got.witness.Routing != Found {
			t.Fatalf("after the kill: got %+v", got)
		}
		eventually(t, "a new process serves", func() bool {
			s := r.State()
			return s.Name == Ready && s.PID != pid
		})
	}
	s := r.State()
	if s.Restarts != 3 || s.LastExit != "signal: killed" {
		t.Errorf("state: got %+v", s)
	}
	events := r.Events()
	if len(events) != 7 || events[1].Seen != "it ended (signal: killed)" || events[1].Done != "start it again at once" {
		t.Errorf("events: got %+v", events)
	}
	if got := strings.Join(r.seen.names(), " "); !strings.Contains(got, "ready restarting restarting ready") {
		t.Errorf("states: got %s", got)
	}
}

func TestCrashLoop(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "import nothing_like_this\n"})
	r := begin(t, Config{App: "app.py", Dir: dir})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := r.Wait(ctx)
	if !errors.Is(err, ErrCrashLoop) || !strings.Contains(err.Error(), "ModuleNotFoundError: No module named 'nothing_like_this'") || !strings.Contains(err.Error(), "\n  Traceback") {
		t.Errorf("wait: got %v", err)
	}
	if s := r.State(); s.Name != CrashLoop || s.LastExit != "exit status 1" || s.Restarts != 5 {
		t.Errorf("state: got %+v", s)
	}
	if raised := r.seen.raised(); len(raised) == 0 || raised[0].Type != "ModuleNotFoundError" {
		t.Errorf("exceptions: got %+v", raised)
	}
}

func TestTwoBadStartsThenAGoodOne(t *testing.T) {
	dir := write(t, map[string]string{"app.py": `
import os
n = len(os.listdir("starts")) if os.path.isdir("starts") else os.mkdir("starts") or 0
open("starts/%d" % n, "w").close()
if n < 2:
    raise SystemExit("the database is not there yet")
` + helloMain})
	r := start(t, Config{App: "app.py", Dir: dir})
	if got := r.get("/2020").status; got != 200 {
		t.Errorf("got %d", got)
	}
	if events := r.Events(); len(events) != 3 || events[0].Seen != "it ended (exit status 1) before it served: the database is not there yet" {
		t.Errorf("events: got %+v", events)
	}
}

// endCases are apps that end by themselves, with nothing to start again for.
var endCases = []struct {
	name    string
	config  Config
	files   map[string]string
	code    int
	message string
}{
	{"nothing to serve", Config{Command: []string{"/usr/bin/python3", "-c", "print('done')"}}, nil, 0, "the app ended by itself (exit status 0) without serving anything"},
	{"no app in the script", Config{App: "x.py"}, map[string]string{"x.py": "x = 1"}, 2, "Failed to find Flask application or factory in module 'x'"},
	{"no such object", Config{App: "x:nope"}, map[string]string{"x.py": "x = 1"}, 2, "Failed to find attribute 'nope' in 'x'"},
	{"daemon", Config{Command: []string{"/usr/bin/gunicorn", "--daemon", "app:app"}}, map[string]string{"app.py": hello}, 1, "leave its --daemon option out"},
}

func TestAppsThatEndByThemselves(t *testing.T) {
	for _, c := range endCases {
		t.Run(c.name, func(t *testing.T) {
			c.config.Dir = write(t, c.files)
			r := begin(t, c.config)
			var ended *ExitError
			select {
			case err := <-r.ended:
				r.ended <- err
				if !errors.As(err, &ended) || ended.Code != c.code || !strings.Contains(ended.Reason, c.message) || strings.HasPrefix(ended.Reason, "flask2ban:") {
					t.Errorf("got %v, want %d: %s", err, c.code, c.message)
				}
			case <-time.After(patience):
				t.Fatalf("it goes on: %+v", r.Events())
			}
			if err := r.Wait(t.Context()); !errors.Is(err, ErrStopped) {
				t.Errorf("wait: got %v", err)
			}
			if left := inDirectory(c.config.Dir); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestStopKillsWhatIgnoresSIGTERM(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + helloMain})
	r := start(t, Config{App: "app.py", Dir: dir, StopTimeout: 200 * time.Millisecond})
	if err := r.end(); err != nil {
		t.Errorf("end: %v", err)
	}
	events := r.Events()
	if last := events[len(events)-1]; last.Done != "killed it" {
		t.Errorf("events: got %+v", events)
	}
	if left := inDirectory(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStopLetsGunicornFinishRequests(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hello + `
import time
@app.route("/slow")
def slow():
    open("begun", "w").close()
    time.sleep(1)
    return "done"
`})
	r := start(t, Config{Command: []string{"/usr/bin/gunicorn", "app:app"}, Dir: dir})
	got := make(chan answer, 1)
	go func() { got <- r.get("/slow") }()
	eventually(t, "the request has begun", func() bool { return exists(filepath.Join(dir, "begun")) })
	r.end()
	if a := <-got; a.body != "done" {
		t.Errorf("got %+v", a)
	}
}

func TestSlowStartIsNotServedTooEarly(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "import time\ntime.sleep(1.5)\n" + helloMain})
	began := time.Now()
	r := start(t, Config{App: "app.py", Dir: dir})
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("ready after %s", took)
	}
	checkHello(t, r)
}

func TestAnAppThatTakesTooLongIsExplained(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 18401))\ns.listen()\ntime.sleep(1000)\n"})
	r := begin(t, Config{App: "app.py", Dir: dir, StartTimeout: time.Second})
	eventually(t, "the timeout is noted", func() bool { return len(r.Events()) > 0 })
	want := "it did not serve within 1s, but listens on 127.0.0.1:18401 by itself"
	if got := r.Events()[0].Seen; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
