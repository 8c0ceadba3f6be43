package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// test is one line of the table.
type test struct {
	name string
	site site
	// before runs once the app answers, and before the load.
	before func(*daemon)
	// fault happens under load, after a few seconds of it.
	fault func(*daemon)
	// within is how soon it must be seen; 0 is no demand.
	within time.Duration
	// lasts is how long the load goes on after the fault; 0 means the flag's.
	lasts time.Duration
	// calm tests are those in which nothing may be restarted.
	calm bool
}

// The servers.
var (
	gunicorn   = []string{"gunicorn", "--workers", "4", "app:app"}
	gthread    = []string{"gunicorn", "--workers", "2", "--threads", "4", "-k", "gthread", "app:app"}
	unthreaded = []string{"FAULT_UNTHREADED=1"}
)

// hang is how soon a total hang of a route whose usual time is known must be
// seen: its threshold of 5 s and one second.
const hang = 6 * time.Second

func kill(d *daemon) { d.signal(syscall.SIGKILL) }

// warm lets the app learn what routes usually take.
func warm(paths ...string) func(*daemon) {
	return func(d *daemon) {
		for range 3 {
			for _, path := range paths {
				finish(http.Get(d.url + path))
			}
		}
	}
}

// starts makes the directory that counts the app's starts.
func starts() string {
	dir, err := os.MkdirTemp("", "faults-starts-")
	if err != nil {
		return os.DevNull
	}
	os.Chmod(dir, 0o777)
	return dir
}

var mustSurvive = []test{
	{name: "kill -9, Werkzeug", fault: kill, within: time.Second},
	{name: "kill -9, gunicorn's master", site: site{command: gunicorn}, fault: kill, within: time.Second},
	{name: "10 kills in 2 s", fault: func(d *daemon) {
		for range 10 {
			go kill(d)
			time.Sleep(200 * time.Millisecond)
		}
	}, lasts: 15 * time.Second},
	{name: "SIGSTOP, Werkzeug", fault: func(d *daemon) { d.signal(syscall.SIGSTOP) }, within: 3 * time.Second},
	{name: "SIGSTOP, a gunicorn worker", site: site{command: gunicorn}, fault: func(d *daemon) {
		d.signalTo(d.workers()[0], syscall.SIGSTOP)
	}, within: 3 * time.Second},
	{name: "spin with threaded=False", site: site{env: unthreaded}, before: warm("/spin?s=0"),
		fault: func(d *daemon) { d.ask("/spin?s=600", 1) }, within: hang},
	{name: "regex that holds the GIL", before: warm("/regex?n=1"),
		fault: func(d *daemon) { d.ask("/regex?n=60", 1) }, within: hang},
	{name: "the same, route never seen, --hang-after 10s", site: site{flags: []string{"--hang-after", "10s"}},
		fault: func(d *daemon) { d.ask("/regex?n=60", 1) }, within: 11 * time.Second, lasts: 20 * time.Second},
	{name: "all sync workers deadlocked", site: site{command: gunicorn}, before: warm("/deadlock"),
		fault: func(d *daemon) { d.ask("/deadlock?now=1", 12) }, within: hang},
	{name: "all gthread threads stuck", site: site{command: gthread}, before: warm("/sleep?s=0"),
		fault: func(d *daemon) { d.ask("/sleep?s=600", 24) }, within: hang},
	{name: "SIGTERM to the app", fault: func(d *daemon) { d.signal(syscall.SIGTERM) }, within: 2 * time.Second},
	{name: "reloader's exit 3", fault: func(d *daemon) { d.signal(syscall.SIGUSR1) }, within: time.Second},
	{name: "1 of 4 instances killed", site: site{flags: []string{"--workers", "4"}}, fault: kill, within: time.Second},
	{name: "one gunicorn worker killed", site: site{command: gunicorn}, fault: func(d *daemon) {
		d.signalTo(d.workers()[0], syscall.SIGKILL)
	}},
	{name: "accept loop dead", fault: func(d *daemon) { d.signal(syscall.SIGHUP) }, within: 2 * time.Second},
	{name: "leak beyond --memory-max", site: site{flags: []string{"--memory-max", "120MiB"}},
		fault: func(d *daemon) { d.ask("/leak?mb=100", 2) }, within: 5 * time.Second},
	{name: "setsid and double-forked children", site: site{env: []string{"FAULT_BROOD=1"}}, fault: kill, within: time.Second},
	{name: "a foreign process on the app's port", fault: kill, within: time.Second, site: site{env: []string{"FAULT_PORT=" + occupied()}}},
	{name: "20 s of import", site: site{env: []string{"FAULT_IMPORT=20", "FAULT_STARTS=" + starts()}}, fault: kill,
		within: time.Second, lasts: 27 * time.Second},
	{name: "two bad starts, then a good one", site: site{env: []string{"FAULT_BAD_STARTS=1 2", "FAULT_STARTS=" + starts()}}, fault: kill,
		within: time.Second},
	{name: "a wrapper script", site: site{command: []string{"sh", "-c", "cd . && python3 app.py"}}, fault: kill, within: time.Second},
	{name: "flask2ban reload --app", fault: func(d *daemon) { reload(d) }},
	{name: "our own restart (SIGUSR2)", fault: func(d *daemon) { d.cmd.Process.Signal(syscall.SIGUSR2) }},
	{name: "flood and crash together", fault: func(d *daemon) {
		go flood(d, 5*time.Second)
		time.Sleep(time.Second)
		kill(d)
	}, within: 2 * time.Second, lasts: 15 * time.Second},
}

var mustNotRestart = []test{
	{name: "40 SSE streams", calm: true, fault: func(d *daemon) { d.ask("/events", 40) }},
	{name: "an 8 s report, threaded=False", calm: true, site: site{env: unthreaded}, fault: func(d *daemon) { d.ask("/sleep?s=8", 1) }, lasts: 15 * time.Second},
	{name: "a slow upload", calm: true, site: site{env: unthreaded}, fault: func(d *daemon) { go slowUpload(d) }},
	{name: "a slow reader", calm: true, fault: func(d *daemon) { go slowReader(d) }},
	{name: "one stuck thread", calm: true, fault: func(d *daemon) { d.ask("/deadlock?now=1", 1) }},
}

// occupied is a port that somebody else listens on, until we end.
func occupied() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "1" // a privileged port is as closed to the app
	}
	go l.Accept() // keeps it open
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func reload(d *daemon) {
	out, err := exec.Command(d.cmd.Path, "reload", "--app", "--state", filepath.Join(d.dir, "state")).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "reload --app: %v: %s\n", err, out)
	}
}

// flood asks for more than the app can answer.
func flood(d *daemon, for_ time.Duration) {
	for end := time.Now().Add(for_); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		d.ask("/", 4)
	}
}

// slowUpload sends 20 KB at 1 KB/s.
func slowUpload(d *daemon) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n")
	for range 20 {
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// slowReader takes 20 MB at 20 KB/s.
func slowReader(d *daemon) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	part := make([]byte, 20<<10)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		if _, err := conn.Read(part); err != nil {
			return
		}
	}
}
