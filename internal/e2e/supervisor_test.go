package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// supervisedApp has its own port, and tells its process and user.
const supervisedApp = `
import os, sys, time
from flask import Flask
app = Flask(__name__)
@app.route("/")
def index():
    return str(os.getpid())
@app.route("/slow/<float:seconds>")
def slow(seconds):
    time.sleep(seconds)
    return "slept"
@app.route("/begin/<float:seconds>")
def begin(seconds):
    open("begun", "w").close()
    return slow(seconds)
@app.route("/uid")
def uid():
    return str(os.getuid())
@app.route("/orphan")
def orphan():
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(0)
    return "left"
if __name__ == "__main__":
    if os.environ.get("APP_EXIT"):
        sys.exit(int(os.environ["APP_EXIT"]))
    app.run(port=int(os.environ["APP_PORT"]), threaded=not os.environ.get("APP_ONE_BY_ONE"))
`

// code is the exit code, once it has ended.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		p.t.Fatal("it did not end within 60 s")
	}
	return p.cmd.ProcessState.ExitCode()
}

func supervisorBinary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(path), "flasksupervisor")
}

// visitOnce asks over a new connection.
func visitOnce(url string) (int, string, error) {
	client := http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// supervised is a running flasksupervisor.
type supervised struct {
	*process
	url, state string
}

// supervise starts flasksupervisor with an app on a port of its own, through
// the wrapper's words, and waits until it serves.
func supervise(t *testing.T, wrapper []string, args ...string) *supervised {
	t.Helper()
	return superviseWith(t, supervisorBinary(t), wrapper, args...)
}

func superviseWith(t *testing.T, exe string, wrapper []string, args ...string) *supervised {
	t.Helper()
	dir, err := os.MkdirTemp("", "supervised-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, path := range []string{dir, filepath.Join(dir, "state")} {
		os.MkdirAll(path, 0o755)
		os.Chmod(path, 0o777)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(supervisedApp), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	words := append(append([]string{}, wrapper...), exe, "app.py", "--python", "/usr/bin/python3", "--state", filepath.Join(dir, "state", "s"))
	words = append(words, args...)
	s := &supervised{url: "http://" + addr, state: filepath.Join(dir, "state", "s")}
	s.process = launch(t, dir, []string{"APP_PORT=" + port}, words[0], words[1:]...)
	s.await("the app serves", func() bool {
		_, err := s.ask("status")
		return err == nil
	})
	return s
}

// ask runs one of its commands.
func (s *supervised) ask(args ...string) (string, error) {
	out, err := exec.Command(supervisorBinary(s.t), append(args, "--state", s.state)...).CombinedOutput()
	return string(out), err
}

func (s *supervised) status() (st struct {
	Ready    bool `json:"ready"`
	Instance struct {
		PID      int `json:"pid"`
		Restarts int `json:"restarts"`
	} `json:"instance"`
	Events []struct{ Seen, Done string } `json:"events"`
}) {
	s.t.Helper()
	out, err := s.ask("status", "--json")
	if jsonErr := json.Unmarshal([]byte(out), &st); jsonErr != nil {
		s.t.Fatalf("status: %v, %v: %s", err, jsonErr, out)
	}
	return st
}

// visits asks over new connections all the time until stopped, and counts.
type visits struct {
	stop          chan struct{}
	group         sync.WaitGroup
	mu            sync.Mutex
	sent, refused int
	lost          []string
}

func visitAllTheTime(url string, clients int) *visits {
	v := &visits{stop: make(chan struct{})}
	for range clients {
		v.group.Go(func() {
			for {
				select {
				case <-v.stop:
					return
				default:
				}
				status, body, err := visitOnce(url)
				v.mu.Lock()
				v.sent++
				if errors.Is(err, syscall.ECONNREFUSED) {
					v.refused++
				}
				if err != nil || status != http.StatusOK {
					v.lost = append(v.lost, fmt.Sprintf("%d %v %.100s", status, err, body))
				}
				v.mu.Unlock()
				time.Sleep(2 * time.Millisecond) // two processors, and others
			}
		})
	}
	return v
}

// end stops them; what was lost is for the caller to judge.
func (v *visits) end() (sent, refused int, lost []string) {
	close(v.stop)
	v.group.Wait()
	return v.sent, v.refused, v.lost
}

// TestSupervisor: a crash refuses nobody, a restart loses nothing, the commands
// say and do what they should.
func TestSupervisor(t *testing.T) {
	s := supervise(t, nil)
	_, first, err := visitOnce(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	v := visitAllTheTime(s.url+"/", 4)
	if err := syscall.Kill(s.status().Instance.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.await("a new instance serves", func() bool { st := s.status(); return st.Ready && fmt.Sprint(st.Instance.PID) != first })
	_, refused, lost := v.end()
	if refused > 0 || len(lost) > 4 { // what was in the app when it died is lost
		t.Errorf("a kill: %d refused, lost %v", refused, lost)
	}

	v = visitAllTheTime(s.url+"/", 4)
	before := s.status().Instance.PID
	if out, err := s.ask("restart"); err != nil || out != "restarted\n" {
		t.Errorf("restart: %v: %s", err, out)
	}
	s.await("the old instance is gone", func() bool { return !testbed.Alive(before) })
	sent, refused, lost := v.end()
	if refused > 0 || len(lost) > 0 {
		t.Errorf("a restart: of %d %d refused, lost %v", sent, refused, lost)
	}
	if after := s.status(); after.Instance.PID == before || len(after.Events) < 3 {
		t.Errorf("after the restart: %+v", after)
	}
	out, err := s.ask("logs", "-n", "1000")
	if err != nil || !strings.Contains(out, `"GET / HTTP/1.1" 200`) || !strings.Contains(out, "Running on") {
		t.Errorf("logs: %v: %s", err, tail(out, 500))
	}
	answered := make(chan string, 1)
	go func() {
		_, body, err := visitOnce(s.url + "/begin/1.5")
		answered <- fmt.Sprint(body, err)
	}()
	s.await("the slow request runs", s.begun)
	if out, err := s.ask("stop"); err != nil || out != "stopped\n" {
		t.Errorf("stop: %v: %s", err, out)
	}
	if got := <-answered; got != "slept<nil>" {
		t.Errorf("the running request: %s", got)
	}
	if code := s.code(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out, err := s.ask("status"); err == nil || !strings.Contains(out, "no flask2ban runs") && !strings.Contains(out, "no flasksupervisor runs") {
		t.Errorf("status of none: %v: %s", err, out)
	}
}

// TestSupervisorOfTheSameState: a second one starts no app.
func TestSupervisorOfTheSameState(t *testing.T) {
	s := supervise(t, nil)
	second := exec.Command(supervisorBinary(t), "app.py", "--python", "/usr/bin/python3", "--state", s.state)
	second.Dir = filepath.Dir(filepath.Dir(s.state))
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process already runs with state directory "+s.state) {
		t.Errorf("got %v: %s", err, out)
	}
	if strings.Contains(string(out), "state=starting") || strings.Contains(string(out), "app[") {
		t.Errorf("it has started the app:\n%s", out)
	}
}

// begun says whether the app has had a request of /begin.
func (s *supervised) begun() bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(filepath.Dir(s.state)), "begun"))
	return err == nil
}

// asNobody runs a program as an unprivileged user.
var asNobody = []string{"setpriv", "--reuid=31337", "--regid=31337", "--clear-groups", "--no-new-privs", "env", "HOME=/tmp"}

// TestSupervisorDropsPrivileges: as root the app runs as its owner; without
// root everything runs as who started it.
func TestSupervisorDropsPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become other users")
	}
	for name, c := range map[string]struct {
		wrapper, args []string
		want          string
	}{
		"root": {nil, []string{"--user", "31337"}, "31337"}, "a user": {asNobody, nil, "31337"},
	} {
		t.Run(name, func(t *testing.T) {
			s := supervise(t, c.wrapper, c.args...)
			if _, got, err := visitOnce(s.url + "/uid"); got != c.want {
				t.Errorf("the app runs as %s (%v), want %s", got, err, c.want)
			}
			if out, err := s.ask("restart"); err != nil {
				t.Errorf("restart: %v: %s", err, out)
			}
			if _, got, err := visitOnce(s.url + "/uid"); got != c.want {
				t.Errorf("after a restart the app runs as %s (%v), want %s", got, err, c.want)
			}
		})
	}
}

// TestContainer runs both programs as process 1 of a PID namespace, as in a
// container: orphans are reaped, SIGTERM drains, exit codes pass.
func TestContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a PID namespace")
	}
	inside := []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}
	for name, wrapper := range map[string][]string{"root": inside, "a user": append(append([]string{}, inside...), asNobody...)} {
		t.Run(name, func(t *testing.T) {
			s := supervise(t, wrapper)
			first := onlyChild(t, s.cmd.Process.Pid)
			for range 5 {
				if _, body, err := visitOnce(s.url + "/orphan"); body != "left" {
					t.Fatal(body, err)
				}
			}
			s.await("no zombie is left", func() bool { return zombies(t, first) == 0 })
			answered := make(chan string, 1)
			go func() {
				_, body, err := visitOnce(s.url + "/begin/1.5")
				answered <- fmt.Sprint(body, err)
			}()
			s.await("the slow request runs", s.begun)
			syscall.Kill(first, syscall.SIGTERM)
			if got := <-answered; got != "slept<nil>" {
				t.Errorf("the running request: %s", got)
			}
			if code := s.code(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("exit code", func(t *testing.T) {
		dir := t.TempDir()
		os.Chmod(dir, 0o755)
		words := append(append([]string{}, inside...), supervisorBinary(t), "--state", filepath.Join(dir, "s"), "--", "/usr/bin/python3", "-c", "import sys; sys.exit(0)")
		p := launch(t, dir, nil, words[0], words[1:]...)
		if code := p.code(); code != 0 {
			t.Errorf("an app that ends by itself: code %d", code)
		}
		words = append(append([]string{}, inside...), supervisorBinary(t), "nothing:here", "--python", "/usr/bin/python3", "--state", filepath.Join(dir, "t"))
		p = launch(t, dir, nil, words[0], words[1:]...)
		if code := p.code(); code != 2 {
			t.Errorf("an app that isn't there: code %d, want 2", code)
		}
	})
}

// onlyChild is the process that unshare has started.
func onlyChild(t *testing.T, parent int) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
		var pid int
		if _, scanErr := fmt.Sscan(string(data), &pid); err == nil && scanErr == nil {
			return pid
		}
	}
	t.Fatal("unshare has no child")
	return 0
}

// zombies counts the dead children of a process that nobody has waited for.
func zombies(t *testing.T, parent int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, pid := range strings.Fields(string(data)) {
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			n++
		}
	}
	return n
}
