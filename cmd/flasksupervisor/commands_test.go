package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/state"
)

// call runs the command line with an environment.
func call(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	getenv := func(name string) string {
		if name == "HOME" && env[name] == "" {
			return t.TempDir()
		}
		return env[name]
	}
	code = run(t.Context(), args, getenv, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, nil, "no app: write flasksupervisor app.py"},
		{nil, []string{"app.py", "other.py"}, `unexpected argument "other.py" after app "app.py"`},
		{nil, []string{"app.py", "--"}, "no command after --"},
		{nil, []string{"app.py", "--listen", ":1", "--listen", ":2"}, "--listen: one address; the app has one socket"},
		{nil, []string{"app.py", "--upstream", "http://x"}, "unknown flag: --upstream"},
		{nil, []string{"app.py", "--maxretry", "5"}, "unknown flag: --maxretry"},
		{nil, []string{"app.py", "--listn", ":80"}, "unknown flag: --listn; did you mean --listen? (flasksupervisor --help lists the flags)"},
		{nil, []string{"app.py", "--workers", "many"}, "--workers"},
		{map[string]string{"FLASKSUPERVISOR_WORKERS": "many"}, []string{"app.py"}, "FLASKSUPERVISOR_WORKERS"},
		{map[string]string{"FLASKSUPERVISOR_LISTEN": ":1,:2"}, []string{"app.py"}, "--listen: one address"},
		{nil, []string{"logs", "-n", "-1", "--state", "/nowhere"}, "--lines -1: must be 0 or more"},
		{nil, []string{"status", "extra"}, `unexpected argument "extra"`},
		{nil, []string{"app.py", "--state", "\x00"}, "flasksupervisor:"},
	} {
		code, stdout, stderr := call(t, tt.env, tt.args...)
		if code == 0 || !strings.Contains(stderr, tt.want) || stdout != "" || strings.Contains(stderr, "FLASK2BAN_") {
			t.Errorf("%v: exit %d, %q, %q; want %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
}

// TestSettingsOfFlask2ban in the environment are not those of flasksupervisor, and what it has
// no flag for is not read.
func TestSettingsOfFlask2ban(t *testing.T) {
	c := &cli{}
	c.Getenv = func(name string) string {
		return map[string]string{"FLASK2BAN_WORKERS": "many", "FLASKSUPERVISOR_WORKERS": "3", "FLASKSUPERVISOR_MAXRETRY": "many"}[name]
	}
	cfg, err := c.load(supervisorSettings())
	if err != nil || cfg.Workers.Min != 3 || cfg.Listen != nil {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// supervised serves the API of a supervisor below a state directory of its own.
type supervised struct {
	state   app.State
	events  []app.Event
	restart error
	stopped bool
	dir     string
}

func (s *supervised) serve(t *testing.T) {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "s-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	s.dir = filepath.Join(home, "state")
	if err := state.Create(s.dir); err != nil {
		t.Fatal(err)
	}
	l, err := state.Listen(t.Context(), s.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	server := admin.NewSupervised(admin.Supervised{
		Info:  admin.Info{Version: "v1", App: "app.py", PID: 7, StateDir: s.dir, Started: time.Now().Add(-time.Hour)},
		State: func() app.State { return s.state }, Events: func() []app.Event { return s.events }, Addr: func() string { return "127.0.0.1:5000" },
		Logs: func(_ context.Context, w io.Writer, n int, follow bool) error {
			_, err := fmt.Fprintf(w, "the last %d lines, follow %v\n", n, follow)
			return err
		},
		Restart: func(context.Context) error { return s.restart },
		Stop:    func() { s.stopped = true; end() },
		Log:     slog.New(slog.DiscardHandler),
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func TestStatus(t *testing.T) {
	s := &supervised{state: app.State{Name: app.Ready, PID: 8, Restarts: 1, LastExit: "signal: killed"}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for n := range shownEvents + 5 {
		s.events = append(s.events, app.Event{At: at, Seen: fmt.Sprintf("event %d", n), Done: "nothing"})
	}
	s.events[shownEvents+4].Seen = "hostile \x1b[2J"
	s.serve(t)
	code, stdout, stderr := call(t, nil, "status", "--state", s.dir)
	for _, want := range []string{
		"flasksupervisor  v1, pid 7, up 1h\n", "ready            yes\n", "app              app.py, ready, pid 8, 1 restarts, last exit: signal: killed\n",
		"listening        127.0.0.1:5000\n", "2026-01-02 03:04:05  event 5: nothing\n", `hostile \x1b[2J`,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("status lacks %q:\n%s", want, stdout)
		}
	}
	if code != 0 || stderr != "" || strings.Contains(stdout, "event 4") || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit %d, %q; want 0 and the last %d events:\n%s", code, stderr, shownEvents, stdout)
	}
	s.state = app.State{Name: app.CrashLoop, Restarts: 9, LastExit: "exit status 1"}
	code, stdout, stderr = call(t, nil, "status", "--state", s.dir)
	if code != 1 || stderr != "" || !strings.Contains(stdout, "ready            no\n") {
		t.Errorf("of an app that is down: exit %d, %q\n%s", code, stderr, stdout)
	}
	code, stdout, _ = call(t, nil, "status", "--json", "--state", s.dir)
	if code != 1 || !strings.HasPrefix(stdout, "{\n") || !strings.Contains(stdout, `"ready": false`) {
		t.Errorf("--json: exit %d\n%s", code, stdout)
	}
}

func TestCommands(t *testing.T) {
	s := &supervised{state: app.State{Name: app.Ready}}
	s.serve(t)
	for _, tt := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"logs"}, 0, "the last 100 lines, follow false\n", ""},
		{[]string{"logs", "-f", "-n", "3"}, 0, "the last 3 lines, follow true\n", ""},
		{[]string{"restart"}, 0, "restarted\n", ""},
	} {
		code, stdout, stderr := call(t, map[string]string{"FLASKSUPERVISOR_STATE": s.dir}, tt.args...)
		if code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
			t.Errorf("%v: exit %d, %q, %q", tt.args, code, stdout, stderr)
		}
	}
	s.restart = errors.New("the new instance ended (exit status 1)")
	if code, stdout, stderr := call(t, nil, "restart", "--state", s.dir); code != 1 || stdout != "" || !strings.Contains(stderr, "the app was not restarted: the new instance ended") {
		t.Errorf("a failed restart: exit %d, %q, %q", code, stdout, stderr)
	}
	if code, stdout, stderr := call(t, nil, "stop", "--state", s.dir); code != 0 || stdout != "stopped\n" || !s.stopped {
		t.Errorf("stop: exit %d, %q, %q, stopped %v", code, stdout, stderr, s.stopped)
	}
	for _, command := range []string{"status", "logs", "restart", "stop"} {
		if code, stdout, stderr := call(t, nil, command, "--state", s.dir); code != 1 || stdout != "" || !strings.Contains(stderr, "flasksupervisor:") {
			t.Errorf("%s with nobody there: exit %d, %q, %q", command, code, stdout, stderr)
		}
	}
}
