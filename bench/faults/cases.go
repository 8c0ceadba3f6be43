package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// fault is what happens to a running app, and says what went another way than it
// must. One of a calm case goes on until ctx ends with the case.
type fault func(ctx context.Context, d *daemon) error

// test is one case, a line of the table.
type test struct {
	name string
	site site
	// before runs once the app serves, and before the load.
	before fault
	// fault happens beside the load, after a few seconds of it.
	fault fault
	// within is how soon it must be seen; 0 is no demand.
	within time.Duration
	// lasts is how long the load goes on once the fault has happened; 0 means the flag's.
	lasts time.Duration
	// calm tests are those in which nothing may be restarted.
	calm bool
	// busy apps have no worker left for the load, which may go unanswered.
	busy bool
}

// The servers.
var (
	gunicorn   = site{command: []string{"gunicorn", "--workers", "4", "app:app"}}
	gthread    = site{command: []string{"gunicorn", "--workers", "2", "--threads", "4", "-k", "gthread", "app:app"}}
	unthreaded = site{env: []string{"FAULT_UNTHREADED=1"}}
)

// hang is how soon a total hang of a route whose usual time is known must be
// seen: its threshold of 5 s and one second.
const hang = 6 * time.Second

var mustSurvive = []test{
	{name: "kill -9, Werkzeug", fault: kill, within: time.Second},
	{name: "kill -9, gunicorn's master", site: gunicorn, fault: kill, within: time.Second},
	{name: "10 kills in 2 s", fault: kills, within: time.Second},
	{name: "SIGSTOP, Werkzeug", fault: send(syscall.SIGSTOP), within: 3 * time.Second},
	{name: "SIGSTOP, a gunicorn worker", site: gunicorn, fault: toWorker(syscall.SIGSTOP), within: 3 * time.Second},
	{name: "spin with threaded=False", site: unthreaded, before: warm("/spin?s=0"), fault: ask("/spin?s=600", 1), within: hang},
	{name: "regex that holds the GIL", before: warm("/regex?n=1"), fault: ask("/regex?n=60", 1), within: hang},
	{name: "the same, route never seen, --hang-after 10s", site: site{flags: []string{"--hang-after", "10s"}},
		fault: ask("/regex?n=60", 1), within: 11 * time.Second, lasts: 20 * time.Second},
	{name: "all sync workers deadlocked", site: gunicorn, before: warm("/deadlock"), fault: ask("/deadlock?now=1", 12), within: hang},
	{name: "all gthread threads stuck", site: gthread, before: warm("/sleep?s=0"), fault: ask("/sleep?s=600", 24), within: hang},
	{name: "SIGTERM to the app", fault: send(syscall.SIGTERM), within: 2 * time.Second},
	{name: "reloader's exit 3", fault: send(syscall.SIGUSR1), within: time.Second},
	{name: "1 of 4 instances killed", site: site{flags: []string{"--workers", "4"}}, fault: kill, within: time.Second},
	{name: "one gunicorn worker killed", site: gunicorn, fault: toWorker(syscall.SIGKILL)},
	{name: "accept loop dead", fault: send(syscall.SIGHUP), within: 2 * time.Second},
	{name: "out of memory: killed by the kernel", fault: outOfMemory, within: 2 * time.Second},
	{name: "leak beyond --memory-max", site: site{flags: []string{"--memory-max", "120MiB"}}, fault: ask("/leak?mb=100", 2), within: 5 * time.Second},
	{name: "setsid and double-forked children", site: site{env: []string{"FAULT_BROOD=1"}}, fault: kill, within: time.Second},
	{name: "a foreign process on the app's port", site: site{portTaken: true}, fault: kill, within: time.Second},
	{name: "20 s of import", site: site{env: []string{"FAULT_IMPORT=20"}, starts: true}, fault: kill, within: time.Second, lasts: 27 * time.Second},
	{name: "two bad starts, then a good one", site: site{env: []string{"FAULT_BAD_STARTS=1 2"}, starts: true}, fault: kill, within: time.Second},
	{name: "a wrapper script", site: site{command: []string{"sh", "-c", "cd . && python3 app.py"}}, fault: kill, within: time.Second},
	{name: "flask2ban reload --app", fault: reload},
	{name: "our own restart (SIGUSR2)", before: banSomebody, fault: upgrade},
	{name: "flood and crash together", fault: floodAndCrash, within: 2 * time.Second, lasts: 15 * time.Second},
}

func kill(ctx context.Context, d *daemon) error { return d.signal(ctx, syscall.SIGKILL) }

// send sends a signal to the app.
func send(sig syscall.Signal) fault {
	return func(ctx context.Context, d *daemon) error { return d.signal(ctx, sig) }
}

// toWorker sends one to a worker of gunicorn's.
func toWorker(sig syscall.Signal) fault {
	return func(ctx context.Context, d *daemon) error {
		pid, err := d.worker(ctx)
		if err != nil {
			return err
		}
		return syscall.Kill(pid, sig)
	}
}

// kills kills ten times in two seconds what runs of the app just then, whether it
// serves, starts or is already ending.
func kills(ctx context.Context, d *daemon) error {
	beat := time.NewTicker(200 * time.Millisecond)
	defer beat.Stop()
	killed := map[int]bool{}
	for range 10 {
		s, err := d.status(ctx)
		if err != nil {
			return err
		}
		if s.Instance != nil && s.Instance.PID > 1 && syscall.Kill(s.Instance.PID, syscall.SIGKILL) == nil {
			killed[s.Instance.PID] = true
		}
		<-beat.C
	}
	d.tell("%d processes killed", len(killed))
	if len(killed) < 2 {
		return errors.New("no second process was killed")
	}
	return nil
}

// warm lets the app learn what routes usually take.
func warm(path string) fault {
	return func(_ context.Context, d *daemon) error {
		for range 3 {
			if status, err := finish(http.Get("http://" + d.Addr + path)); err != nil || status != http.StatusOK {
				return fmt.Errorf("GET %s: %d %v", path, status, err)
			}
		}
		return nil
	}
}

// ask has n clients ask the app for something that breaks it.
func ask(path string, n int) fault {
	return func(ctx context.Context, d *daemon) error {
		d.ask(ctx, path, n)
		return nil
	}
}

// ask doesn't wait for answers, and what they are is no matter: they end with
// ctx at the latest.
func (d *daemon) ask(ctx context.Context, path string, n int) {
	for i := range n {
		d.beside.Go(func() { _ = d.get(ctx, path, i) })
	}
}

// get asks as the i-th client, and returns nil where the answer is whole and 200.
func (d *daemon) get(ctx context.Context, path string, i int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Addr+path, nil)
	if err != nil {
		return err
	}
	status, err := finish(from(net.IPv4(127, 78, 0, byte(i+1)), 0).Do(req))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", path, status)
	}
	return err
}

// outOfMemory gives the app less memory than it asks for, and sees that the
// kernel has killed it.
func outOfMemory(ctx context.Context, d *daemon) error {
	pid, err := d.pid(ctx)
	if err != nil {
		return err
	}
	group, err := newMemoryGroup(hierarchies, 64<<20)
	if err != nil {
		return err
	}
	defer group.close(ctx)
	if err := group.add(pid); err != nil {
		return err
	}
	d.ask(ctx, "/leak?mb=100", 1)
	err = testbed.Poll(ctx, serveTime, func() (bool, error) {
		n, err := group.kills()
		return n > 0 && !testbed.Alive(pid), err
	})
	if err != nil {
		return fmt.Errorf("waiting until the kernel kills process %d: %w", pid, err)
	}
	d.tell("the kernel killed process %d in a control group of 64 MiB", pid)
	return nil
}

func reload(ctx context.Context, d *daemon) error {
	old, err := d.pid(ctx)
	if err != nil {
		return err
	}
	if _, err := d.command(ctx, "reload", "--app"); err != nil {
		return err
	}
	_, err = d.pid(ctx, old)
	return err
}

// offender is banned before our own restart.
var offender = net.IPv4(127, 79, 0, 1)

func (d *daemon) offend(path string) (int, error) {
	return finish(from(offender, 0).Get("http://" + d.Addr + path))
}

// banSomebody has the offender ask for what only scanners ask for.
func banSomebody(_ context.Context, d *daemon) error {
	if status, err := d.offend("/.env"); err != nil || status != http.StatusNotFound {
		return fmt.Errorf("GET /.env: %d %v", status, err)
	}
	if status, err := d.offend("/"); err != nil || status != http.StatusForbidden {
		return fmt.Errorf("%s asked for /.env and is not banned: %d %v", offender, status, err)
	}
	return nil
}

// upgrade has flask2ban give way to a new process, and sees that another one is
// there, knows who is banned, and goes on refusing them.
func upgrade(ctx context.Context, d *daemon) error {
	before, err := d.status(ctx)
	if err != nil {
		return err
	}
	if err := d.Cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return err
	}
	after := before
	if err := d.Await(ctx, serveTime, "another flask2ban answers", func() bool {
		s, err := d.status(ctx)
		after = s
		return err == nil && s.PID != before.PID
	}); err != nil {
		return err
	}
	if status, err := d.offend("/"); err != nil || status != http.StatusForbidden {
		return fmt.Errorf("process %d answers the banned %s with %d, %v", after.PID, offender, status, err)
	}
	bans, err := d.command(ctx, "bans", "list", "--json")
	if err != nil {
		return err
	}
	if !strings.Contains(bans, offender.String()) {
		return fmt.Errorf("process %d does not list the ban of %s: %s", after.PID, offender, bans)
	}
	d.tell("process %d took over from %d; the ban of %s is in force and listed", after.PID, before.PID, offender)
	return nil
}

// floodAndCrash asks for more than the app can answer, and kills it meanwhile.
func floodAndCrash(ctx context.Context, d *daemon) error {
	d.beside.Go(func() {
		flooding, stop := context.WithTimeout(ctx, 5*time.Second)
		defer stop()
		for beat := time.NewTicker(10 * time.Millisecond); flooding.Err() == nil; <-beat.C {
			d.ask(ctx, "/", 4)
		}
	})
	testbed.Pause(ctx, time.Second)
	return kill(ctx, d)
}

// occupy has somebody listen on a port, as a foreign process would.
func occupy() (port string, free func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	return port, func() { l.Close() }, err
}
