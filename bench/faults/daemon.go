package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// site is what a case runs.
type site struct {
	flags   []string
	command []string
	// env is the app's besides ours; starts has it count its starts.
	env    []string
	starts bool
	// portTaken has somebody else listen on the port that the app names.
	portTaken bool
}

// daemon is a running flask2ban with its app.
type daemon struct {
	*testbed.Daemon
	dir string
	// close ends what else the case holds.
	close func()
	// beside is what goes on until the case's end.
	beside sync.WaitGroup

	mu   sync.Mutex
	said []string
}

// startDaemon runs a site and returns when it answers.
func startDaemon(ctx context.Context, s *suite, c site) (*daemon, error) {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, close: func() {}}
	env := append([]string{"FAULT_RAN=" + d.ran(), "PYTHONDONTWRITEBYTECODE=1"}, c.env...)
	err = os.Chmod(dir, 0o777) // the app may run as somebody else
	if c.starts {
		env = append(env, "FAULT_STARTS="+filepath.Join(dir, "starts"))
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, "starts"), 0o777), os.Chmod(filepath.Join(dir, "starts"), 0o777))
	}
	if c.portTaken {
		port, free, err := occupy()
		if err != nil {
			return nil, err
		}
		d.close, env = free, append(env, "FAULT_PORT="+port)
	}
	args := append([]string{s.script}, c.flags...)
	if len(c.command) > 0 {
		args = append(append(args, "--"), c.command...)
	}
	if err == nil {
		d.Daemon, err = testbed.StartDaemon(ctx, testbed.Site{
			Binary: s.binary, Dir: filepath.Dir(s.script), Args: args, Env: env, State: filepath.Join(dir, "state"),
		})
	}
	if err != nil {
		d.close()
		os.RemoveAll(dir)
		return nil, err
	}
	return d, nil
}

// ran is the file that POSTs are noted in.
func (d *daemon) ran() string { return filepath.Join(d.dir, "ran") }

// end ends the daemon, and says what outlived it.
func (d *daemon) end(keep bool) error {
	defer d.close()
	err := d.Stop(stopTime)
	if left := testbed.WithVariable("FAULT_RAN=" + d.ran()); len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("processes left: %v", left))
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it has our own variable
		}
	}
	if !keep {
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	return errors.Join(err, os.WriteFile(filepath.Join(d.dir, "log"), []byte(d.Log.String()), 0o644))
}

// tell notes for the table what a fault has found.
func (d *daemon) tell(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, fmt.Sprintf(format, args...))
}

func (d *daemon) note() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.said, "; ")
}

// api reads an answer of the API.
func (d *daemon) api(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Admin+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// events is what happened to the app, the latest first.
func (d *daemon) events(ctx context.Context) ([]app.Event, error) {
	var o struct {
		AppEvents []app.Event `json:"app_events"`
	}
	err := d.api(ctx, "/api/v1/overview?limit=200", &o)
	return o.AppEvents, err
}

func (d *daemon) status(ctx context.Context) (overview.Status, error) {
	var s overview.Status
	err := d.api(ctx, "/api/v1/status", &s)
	return s, err
}

// serveTime is what an instance has to serve, with 20 s of import and a flood.
const serveTime = 45 * time.Second

// pid is the app's first process, once it serves, and is not one of those that
// are over.
func (d *daemon) pid(ctx context.Context, over ...int) (int, error) {
	pid := 0
	err := d.Await(ctx, serveTime, "the app serves", func() bool {
		s, err := d.status(ctx)
		if err != nil || s.Instance == nil || s.Instance.Name != app.Ready {
			return false
		}
		pid = s.Instance.PID
		for _, p := range over {
			if p == pid {
				return false
			}
		}
		return pid > 1
	})
	return pid, err
}

// signal sends to the app's first process.
func (d *daemon) signal(ctx context.Context, sig syscall.Signal) error {
	pid, err := d.pid(ctx)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// worker is a child of the app's first process: one of gunicorn's workers.
func (d *daemon) worker(ctx context.Context) (int, error) {
	master, err := d.pid(ctx)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", master))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(data), " ")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("process %d has no worker: %q", master, data)
	}
	return pid, nil
}

// command runs a command against the daemon.
func (d *daemon) command(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, d.Cmd.Path, append(args, "--state", d.State)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("flask2ban %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
