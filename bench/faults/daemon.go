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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// daemon is a running flask2ban with its app.
type daemon struct {
	cmd   *exec.Cmd
	dir   string
	url   string
	admin string
	log   *os.File
	done  chan struct{}
}

// site is what a case runs.
type site struct {
	flags   []string
	command []string
	env     []string
}

// startDaemon runs a site and returns when it answers.
func startDaemon(ctx context.Context, binary, script string, s site) (*daemon, error) {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return nil, err
	}
	os.Chmod(dir, 0o777) // the app may run as somebody else
	d := &daemon{dir: dir, done: make(chan struct{})}
	front, err := freePort()
	if err != nil {
		return nil, err
	}
	api, err := freePort()
	if err != nil {
		return nil, err
	}
	d.url, d.admin = "http://127.0.0.1:"+front, "http://127.0.0.1:"+api
	args := append([]string{script, "--listen", "127.0.0.1:" + front, "--admin", "127.0.0.1:" + api, "--state", filepath.Join(dir, "state")}, s.flags...)
	if len(s.command) > 0 {
		args = append(append(args, "--"), s.command...)
	}
	if d.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(binary, args...)
	d.cmd.Dir = filepath.Dir(script)
	d.cmd.Env = append(os.Environ(), append(s.env, "FAULT_RAN="+d.ran(), "PYTHONDONTWRITEBYTECODE=1")...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.cmd.Wait(); close(d.done) }()
	return d, d.await(ctx)
}

func (d *daemon) ran() string { return filepath.Join(d.dir, "ran") }

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// await returns when the app answers.
func (d *daemon) await(ctx context.Context) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-d.done:
			return fmt.Errorf("flask2ban ended: %s", d.said())
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if res, err := http.Get(d.admin + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the app was not ready within a minute: %s", d.said())
}

func (d *daemon) said() string {
	data, _ := os.ReadFile(d.log.Name())
	return string(data[max(0, len(data)-2000):])
}

// stop ends the daemon, and says which processes of the app are left.
func (d *daemon) stop(keep bool) []int {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(45 * time.Second):
		d.cmd.Process.Kill()
		<-d.done
	}
	d.log.Close()
	left := processesWith("FAULT_RAN=" + d.ran())
	if !keep {
		os.RemoveAll(d.dir)
	}
	return left
}

// overview is what the API says of the app.
type overview struct {
	AppEvents []app.Event `json:"app_events"`
	Status    struct {
		Instance *app.State `json:"instance"`
	} `json:"status"`
}

func (d *daemon) events() []app.Event {
	res, err := http.Get(d.admin + "/api/v1/overview?limit=200")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var o overview
	data, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(data, &o) != nil {
		return nil
	}
	return o.AppEvents
}

// pid is the app's first process.
func (d *daemon) pid() int {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(d.admin + "/api/v1/status")
		if err != nil {
			continue
		}
		var s struct {
			Instance *app.State `json:"instance"`
		}
		err = json.NewDecoder(res.Body).Decode(&s)
		res.Body.Close()
		if err == nil && s.Instance != nil && s.Instance.PID != 0 && s.Instance.Name == app.Ready {
			return s.Instance.PID
		}
	}
	return 0
}

// signal sends to the app's first process.
func (d *daemon) signal(sig syscall.Signal) { d.signalTo(d.pid(), sig) }

func (*daemon) signalTo(pid int, sig syscall.Signal) {
	if pid > 1 {
		syscall.Kill(pid, sig)
	}
}

// workers are the children of the app's first process.
func (d *daemon) workers() []int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", d.pid()))
	if err != nil {
		return nil
	}
	var pids []int
	for _, word := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ask has the app do something, without waiting for it.
func (d *daemon) ask(path string, times int) {
	for n := range times {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 78, 0, byte(n+1))}}
		client := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		go func() { finish(client.Get(d.url + path)) }()
	}
}

// processesWith are those with a variable in their environment.
func processesWith(entry string) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []int
	for _, name := range dirs {
		data, err := os.ReadFile(name)
		if err == nil && bytes.Contains(data, []byte(entry)) {
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}
