package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// hangingApp has a view whose regular expression holds the GIL for ever, once
// it has left a file that says so, and one that tells how it was started.
const hangingApp = `
import os, re
from flask import Flask
app = Flask(__name__)
@app.route("/")
def index():
    return str(os.getpid())
@app.route("/hang")
def backtracks_for_ever():
    open("hangs", "w").close()
    return str(re.match(r"(a+)+$", "a" * 64 + "b"))
@app.route("/place")
def place():
    return os.environ["SHOP"] + " " + os.getcwd()
if __name__ == "__main__":
    app.run(port=int(os.environ["APP_PORT"]))
`

// appEvents are the events that "status" knows.
func (s *supervised) appEvents() (events []struct {
	Kind, Seen, Done string
	Stacks           []string
}) {
	s.t.Helper()
	out, err := s.ask("status", "--json")
	var st struct{ Events json.RawMessage }
	if jsonErr := json.Unmarshal([]byte(out), &st); jsonErr != nil {
		s.t.Fatalf("status: %v, %v: %s", err, jsonErr, out)
	}
	if err := json.Unmarshal(st.Events, &events); err != nil {
		s.t.Fatal(err)
	}
	return events
}

// TestSupervisorHang: a view that holds everything up is seen by the queue of the
// socket and a question that gets no answer; the stacks say where it was. A
// stopped process is woken.
func TestSupervisorHang(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hanging.py"), []byte(hangingApp), 0o644); err != nil {
		t.Fatal(err)
	}
	s := supervise(t, nil, "--chdir", dir, "--hang-after", "3s", "--env", "SHOP=ours", "--health-path", "/", "--", "/usr/bin/python3", "hanging.py")
	if _, got, err := visitOnce(s.url + "/place"); got != "ours "+dir {
		t.Errorf("--env and --chdir: %q (%v)", got, err)
	}

	stopped := s.status().Instance.PID
	if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if status, body, err := visitOnce(s.url + "/"); status != 200 || body != fmt.Sprint(stopped) {
		t.Errorf("a stopped app, woken: %d %q (%v), want the same process %d", status, body, err, stopped)
	}

	go visitOnce(s.url + "/hang")
	// A visitor who comes a moment earlier may be accepted before nothing goes on,
	// and is seen by nobody until the next one comes: such a hang is not ours here.
	busy := 0
	s.await("the app hangs", func() bool {
		if _, err := os.Stat(filepath.Join(dir, "hangs")); err == nil && cpuBound(stopped) {
			busy++
		}
		return busy >= 5
	})
	if status, body, err := visitOnce(s.url + "/"); status != 200 || body == fmt.Sprint(stopped) {
		t.Errorf("a hang: %d %q (%v), want an answer of another process", status, body, err)
	}
	woken, killed := false, false
	for _, e := range s.appEvents() {
		woken = woken || e.Kind == "dead" && strings.Contains(e.Done, "SIGCONT")
		if e.Kind == "hung" {
			killed = true
			if stacks := strings.Join(e.Stacks, "\n"); !strings.Contains(stacks, "backtracks_for_ever") {
				t.Errorf("seen %q, but the stacks do not tell the view:\n%s", e.Seen, stacks)
			}
		}
	}
	if !woken || !killed {
		t.Errorf("woken %t, killed %t: %+v", woken, killed, s.appEvents())
	}
}

// cpuBound says whether a process computes just now.
func cpuBound(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // killed already
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "R ")
}
