package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// daemon is a running flask2ban or flasksupervisor with its app.
type daemon struct {
	*testbed.Program
	state, url string
	admin      string // where its API is; empty under flasksupervisor
}

// start runs an app. shared runs it under flasksupervisor, whose instances
// share one socket; flask2ban has one for each.
func (b *bench) start(ctx context.Context, k kind, workers string, shared bool) (*daemon, error) {
	state, err := os.MkdirTemp("", "workers-")
	if err != nil {
		return nil, err
	}
	d := &daemon{state: state}
	args := []string{"app.py", "--workers", workers,
		"--python", "/usr/bin/python3", "--env", "PATH=/usr/bin:/bin", "--env", "PYTHONDONTWRITEBYTECODE=1"}
	if shared {
		err = b.supervise(d, args, k)
	} else {
		err = b.front(ctx, d, args, k)
	}
	if err != nil {
		os.RemoveAll(state)
		return nil, err
	}
	return d, nil
}

// front runs flask2ban.
func (b *bench) front(ctx context.Context, d *daemon, args []string, k kind) error {
	site := testbed.Site{Binary: filepath.Join(b.programs, "flask2ban"), Dir: b.dir, Args: append(args, k.command()...), State: d.state}
	run, err := testbed.StartDaemon(ctx, site)
	if err != nil {
		return err
	}
	d.Program, d.url, d.admin = run.Program, "http://"+run.Addr, run.Admin
	return nil
}

// supervise runs flasksupervisor.
func (b *bench) supervise(d *daemon, args []string, k kind) error {
	addr, err := testbed.FreeAddr()
	if err != nil {
		return err
	}
	args = append(append(args, "--listen", addr, "--state", d.state), k.command()...)
	cmd := exec.Command(filepath.Join(b.programs, "flasksupervisor"), args...)
	cmd.Dir = b.dir
	d.url = "http://" + addr
	d.Program, err = testbed.Start("flasksupervisor", cmd)
	return err
}

func (d *daemon) stop() {
	if err := d.Stop(stopTime); err != nil {
		fmt.Fprintln(os.Stderr, "workers:", err)
	}
	os.RemoveAll(d.state)
}

// ask gets the status as JSON: a command takes a process each time.
func (d *daemon) ask() ([]byte, error) {
	if d.admin == "" {
		return exec.Command(d.Cmd.Path, "status", "--json", "--state", d.state).Output()
	}
	res, err := http.Get("http://" + d.admin + "/api/v1/status")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// status is what the daemon says of the app; zero where it says nothing.
func (d *daemon) status() (app.State, []app.Event) {
	var st struct {
		Instance app.State   `json:"instance"`
		Events   []app.Event `json:"events"`
	}
	out, err := d.ask()
	if len(out) == 0 || json.Unmarshal(out, &st) != nil {
		return app.State{Reason: fmt.Sprint(err)}, nil
	}
	return st.Instance, st.Events
}

// serving is how many instances serve.
func (d *daemon) serving() int {
	st, _ := d.status()
	all := st.Instances
	if len(all) == 0 {
		all = []app.InstanceState{{Name: st.Name}}
	}
	n := 0
	for _, i := range all {
		if i.Name == app.Ready {
			n++
		}
	}
	return n
}

// await returns when as many instances serve.
func (d *daemon) await(ctx context.Context, instances int) error {
	return d.Await(ctx, startTime, fmt.Sprint(instances, " instances serve"), func() bool { return d.serving() >= instances })
}

// changes tells, until ctx ends or enough says so, when the number of serving
// instances has changed.
func (d *daemon) changes(ctx context.Context, since time.Time, enough func(int) bool) []string {
	var all []string
	last := d.serving()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-time.After(watchEvery):
		}
		if n := d.serving(); n != last {
			last = n
			all = append(all, fmt.Sprintf("%d at %.1f s", n, time.Since(since).Seconds()))
			if enough(n) {
				return all
			}
		}
	}
}

func (d *daemon) grows(ctx context.Context, since time.Time) []string {
	return d.changes(ctx, since, func(int) bool { return false })
}

// shrinks watches an idle app until one instance is left, and ends it.
func (d *daemon) shrinks(ctx context.Context) []string {
	defer d.stop()
	ctx, cancel := context.WithTimeout(ctx, shrinkTime)
	defer cancel()
	return d.changes(ctx, time.Now(), func(n int) bool { return n == 1 })
}

// scaled are the events that changed the number of instances.
func (d *daemon) scaled() []string {
	_, events := d.status()
	var all []string
	for _, e := range events {
		if e.Kind == app.Scaled {
			all = append(all, e.Seen+": "+e.Done)
		}
	}
	slices.Reverse(all) // the newest comes first
	return all
}

// rss is the memory of all of the app's processes in bytes: Python ones below
// the daemon.
func (d *daemon) rss() int64 {
	var sum int64
	for _, p := range testbed.TreeOf(d.PID()) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID)); err == nil && isPython(exe) {
			sum += p.RSS
		}
	}
	return sum
}

// isPython says whether a program is an interpreter, as /usr/bin/python3.11.
func isPython(path string) bool {
	is, err := filepath.Match("python*", filepath.Base(path))
	return err == nil && is
}
