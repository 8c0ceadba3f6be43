package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// daemon is a running flask2ban or flasksupervisor with its app.
type daemon struct {
	program, state, url string
	admin               string // where its API is; empty under flasksupervisor
	cmd                 *exec.Cmd
	said                bytes.Buffer // read once the process has ended
	done                chan struct{}
}

// start runs an app. shared runs it under flasksupervisor, whose instances
// share one socket; flask2ban has one for each.
func (b *bench) start(ctx context.Context, k kind, workers string, shared bool) (*daemon, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	state, err := os.MkdirTemp("", "workers-")
	if err != nil {
		return nil, err
	}
	d := &daemon{program: filepath.Join(b.programs, "flask2ban"), state: state, url: "http://127.0.0.1:" + port, done: make(chan struct{})}
	args := []string{"app.py", "--listen", "127.0.0.1:" + port, "--state", state, "--workers", workers,
		"--python", "/usr/bin/python3", "--env", "PATH=/usr/bin:/bin", "--env", "PYTHONDONTWRITEBYTECODE=1"}
	if shared {
		d.program = filepath.Join(b.programs, "flasksupervisor")
	} else if port, err = freePort(); err == nil {
		d.admin = "127.0.0.1:" + port
		args = append(args, "--admin", d.admin)
	}
	if k.command() != nil {
		args = append(append(args, "--"), k.command()...)
	}
	d.cmd = exec.Command(d.program, args...)
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = b.dir, &d.said, &d.said
	if err := d.cmd.Start(); err != nil {
		os.RemoveAll(state)
		return nil, fmt.Errorf("%w (make build makes it)", err)
	}
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

func (d *daemon) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(stopTime):
		d.cmd.Process.Kill()
		<-d.done
	}
	os.RemoveAll(d.state)
}

// ask gets the status as JSON: a command takes a process each time.
func (d *daemon) ask() ([]byte, error) {
	if d.admin == "" {
		return exec.Command(d.program, "status", "--json", "--state", d.state).Output()
	}
	res, err := http.Get("http://" + d.admin + "/api/v1/status")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// status is what the daemon says of the app.
func (d *daemon) status() (app.State, []app.Event) {
	out, err := d.ask()
	var st struct {
		Instance app.State   `json:"instance"`
		Events   []app.Event `json:"events"`
	}
	if len(out) == 0 || json.Unmarshal(out, &st) != nil {
		return app.State{Reason: fmt.Sprint(err)}, nil
	}
	return st.Instance, st.Events
}

// serving is how many instances serve.
func (d *daemon) serving() int {
	st, _ := d.status()
	if len(st.Instances) == 0 {
		if st.Name == app.Ready {
			return 1
		}
		return 0
	}
	n := 0
	for _, i := range st.Instances {
		if i.Name == app.Ready {
			n++
		}
	}
	return n
}

// await returns when as many instances serve.
func (d *daemon) await(ctx context.Context, instances int) error {
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		if d.serving() >= instances {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.done:
			return fmt.Errorf("%s ended: %s", filepath.Base(d.program), d.said.String())
		case <-time.After(watchEvery):
		}
	}
	return fmt.Errorf("%d instances did not serve within %s", instances, startTime)
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
	parents := map[int]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	var sum int64
	for pid := range parents {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if strings.Contains(filepath.Base(exe), "python") && isBelow(parents, pid, d.cmd.Process.Pid) {
			sum += resident(pid)
		}
	}
	return sum
}

func isBelow(parents map[int]int, pid, root int) bool {
	for pid > 1 && pid != root {
		pid = parents[pid]
	}
	return pid == root
}

// resident is a process's memory by /proc/PID/statm (proc(5)).
func resident(pid int) int64 {
	var size, pages int64
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fmt.Sscan(string(data), &size, &pages)
	return pages * int64(os.Getpagesize())
}
