package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/app/health"
)

// hanging is an app that can be made to do nothing at all.
const hanging = hello + `
import re, threading
@app.route("/regex/<int:n>")
def regex(n):
    re.match(r"(a|aa)+$", "a" * n + "b")
    return "matched"
lock = threading.Lock()
@app.route("/deadlock/<int:times>")
def deadlock(times):
    for _ in range(times):
        lock.acquire()
    if times:
        lock.release()
    return "free"
`

// send asks for a path and waits for no answer.
func (r *running) send(path, route, id string) {
	r.t.Helper()
	f := &Flight{ID: id, Method: "GET", Route: route}
	r.Enter(f)
	r.t.Cleanup(func() { r.Leave(f) })
	(&posted{flight: f}).get(r, path)
}

// event waits for one of a kind.
func (r *running) event(kind EventKind) Event {
	r.t.Helper()
	var found Event
	eventually(r.t, "an event "+string(kind), func() bool {
		events := r.Events()
		n := slices.IndexFunc(events, func(e Event) bool { return e.Kind == kind })
		if n >= 0 {
			found = events[n]
		}
		return n >= 0
	})
	return found
}

func TestAHangIsSeenExplainedAndEnded(t *testing.T) {
	r := start(t, Config{App: "app.py", Dir: write(t, map[string]string{"app.py": hanging + "app.run(port=18801)\n"}), HangAfter: 3 * time.Second})
	r.send("/regex/80", "/regex/<int:n>", "h-1")
	r.send("/2020", "/<int:year>", "h-2")
	e := r.event(Hung)
	for _, want := range []string{"hung: accept queue ", "no byte for ", "oldest request GET /regex/<int:n> ", "usual time not known"} {
		if !strings.Contains(e.Seen, want) {
			t.Errorf("seen: %s, want %q", e.Seen, want)
		}
	}
	if !strings.Contains(strings.Join(e.Stacks, "\n"), "in regex") {
		t.Errorf("the stacks do not show the view: %q", e.Stacks)
	}
	if !e.Restart || !strings.HasPrefix(e.Done, "killed it") {
		t.Errorf("got %+v", e)
	}
	eventually(t, "another serves", func() bool { return r.State().Name == Ready && r.State().Restarts > 0 })
	if got := r.get("/2020").body; got != "year 2020" {
		t.Errorf("got %s", got)
	}
}

func TestOnlyTheStuckWorkersAreKilled(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hanging})
	r := start(t, Config{Command: []string{"/usr/bin/gunicorn", "-w", "2", "app:app"}, Dir: dir, HangAfter: 3 * time.Second})
	master := r.State().PID
	for _, id := range []string{"w-1", "w-2", "w-3"} {
		r.send("/deadlock/2", "/deadlock/<int:times>", id)
	}
	e := r.event(Hung)
	if !strings.Contains(e.Done, "killed the worker ") {
		t.Errorf("done: %s", e.Done)
	}
	if s := r.State(); s.PID != master || s.Restarts != 0 {
		t.Errorf("the whole instance was restarted: %+v", s)
	}
}

func TestAStoppedAppIsWoken(t *testing.T) {
	r := start(t, Config{App: "app.py", Dir: write(t, map[string]string{"app.py": helloMain})})
	pid := r.State().PID
	syscall.Kill(pid, syscall.SIGSTOP)
	if got := r.get("/2020").body; got != "year 2020" {
		t.Errorf("got %s", got)
	}
	if e := r.event(Dead); e.Done != "woke it (SIGCONT)" || e.Restart {
		t.Errorf("got %+v", e)
	}
	if got := r.State().PID; got != pid {
		t.Errorf("process %d serves instead of %d", got, pid)
	}
	// One that is stopped again is beyond that.
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "another serves", func() bool { s := r.State(); return s.Name == Ready && s.PID != pid })
}

func TestRoll(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir})
	pid := r.State().PID
	if err := r.Roll(t.Context(), Reload, "a test"); err != nil {
		t.Fatal(err)
	}
	if s := r.State(); s.PID == pid || s.Name != Ready || s.Restarts != 1 {
		t.Errorf("got %+v", s)
	}
	eventually(t, "the old one is gone", func() bool { _, err := processOf(pid); return err != nil })
	if got := r.get("/2020").body; got != "year 2020" {
		t.Errorf("got %s", got)
	}
	if e := r.event(Reload); !e.Restart || e.Seen != "a test" {
		t.Errorf("got %+v", e)
	}
}

func TestARollToWhatDoesNotStartIsRefused(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir})
	pid := r.State().PID
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("import nothing_like_this\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := r.Roll(t.Context(), Reload, "a test")
	if err == nil || !strings.Contains(err.Error(), "the old one goes on") || !strings.Contains(err.Error(), "No module named 'nothing_like_this'") {
		t.Errorf("got %v", err)
	}
	if s := r.State(); s.PID != pid || s.Name != Ready || s.Restarts != 0 {
		t.Errorf("got %+v", s)
	}
	if got := r.get("/2020").body; got != "year 2020" {
		t.Errorf("got %s", got)
	}
}

func TestWatchReplacesTheAppAndRefusesABrokenOne(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir, Watch: true})
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Until the watcher has begun, a change may be missed: it is made again.
	eventually(t, "the new version serves", func() bool {
		change(strings.Replace(helloMain, "year %d", "anno %d", 1))
		time.Sleep(2 * watchPause)
		return r.get("/2020").body == "anno 2020"
	})
	change("raise RuntimeError('broken on purpose')\n")
	eventually(t, "the broken version is refused", func() bool {
		return slices.ContainsFunc(r.Events(), func(e Event) bool {
			return e.Kind == Reloaded && !e.Restart && strings.Contains(e.Done, "broken on purpose")
		})
	})
	if got := r.get("/2020").body; got != "anno 2020" {
		t.Errorf("got %s", got)
	}
}

func TestNoOverlap(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	r := start(t, Config{App: "app.py", Dir: dir, NoOverlap: true})
	pid := r.State().PID
	if err := r.Roll(t.Context(), Reload, "a test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another serves", func() bool { s := r.State(); return s.Name == Ready && s.PID != pid })
	if got := r.get("/2020").body; got != "year 2020" {
		t.Errorf("got %s", got)
	}
}

func TestWorkersShareTheRequests(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hello + "\n@app.route('/pid')\ndef pid():\n    import os\n    return str(os.getpid())\napp.run(port=18802)\n"})
	r := start(t, Config{App: "app.py", Dir: dir, Workers: 3})
	eventually(t, "all three serve", func() bool {
		ready := 0
		for _, i := range r.State().Instances {
			if i.Name == Ready {
				ready++
			}
		}
		return ready == 3
	})
	seen := map[string]bool{}
	var flights []*Flight
	for n := range 3 { // as many at one time, so that each instance gets one
		f := &Flight{ID: "s-" + string(rune('a'+n)), Method: "GET", Route: "/pid"}
		r.Enter(f)
		flights = append(flights, f)
		seen[f.Addr()] = true
	}
	for _, f := range flights {
		r.Leave(f)
	}
	if len(seen) != 3 {
		t.Errorf("the requests went to %v", seen)
	}
}

func TestAnswersThatTakeTooLongAreGivenUp(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hanging + "app.run(port=18803)\n"})
	r := start(t, Config{App: "app.py", Dir: dir, AnswerTimeout: time.Second})
	f := &Flight{ID: "g-1", Method: "GET", Route: "/deadlock/<int:times>"}
	r.Enter(f)
	defer r.Leave(f)
	p := (&posted{flight: f}).get(r, "/deadlock/2")
	f.On(p.conn)
	if got := p.status(); got != "" || !f.GivenUp() {
		t.Errorf("got %q, given up: %v", got, f.GivenUp())
	}
	if err := r.Again(t.Context(), f, true, false); err == nil {
		t.Error("what was given up may be sent again")
	}
	if got := r.get("/2020").body; got != "year 2020" {
		t.Errorf("the app was harmed by it: got %s", got)
	}
}

func TestPacing(t *testing.T) {
	var p pacing
	for range 60 {
		p.add(10 * time.Millisecond)
	}
	for range 40 {
		p.add(time.Second)
	}
	got := p.take(health.PaceInterval)
	if got.Answers != 100 || got.Median < 10*time.Millisecond || got.Median > 13*time.Millisecond {
		t.Errorf("got %+v", got)
	}
	if got := p.take(health.PaceInterval); got.Answers != 0 || got.Median != 0 {
		t.Errorf("counted twice: %+v", got)
	}
	for d := time.Microsecond; d < time.Hour; d = d*5/4 + 1 {
		if upper := bucketTime(paceBucket(d)); d > paceUnit*4 && paceBucket(d) < paceBuckets-1 && (upper < d || upper > d*3/2) {
			t.Errorf("%s is counted as up to %s", d, upper)
		}
	}
}

// The watchdog's food is a sign of life of what keeps the app alive, not of the
// app.
func TestAliveIsTheKeeperNotTheApp(t *testing.T) {
	dir := write(t, map[string]string{"app.py": "raise SystemExit('broken')\n"})
	r := begin(t, Config{App: "app.py", Dir: dir})
	eventually(t, "it is in a crash loop", func() bool { return r.State().Name == CrashLoop })
	for range 10 {
		before := r.ticked.Load()
		eventually(t, "the keeper ticks", func() bool { return r.ticked.Load() != before })
		if !r.Alive() {
			t.Fatal("a crash loop counts as a keeper that hangs")
		}
	}
	r.end()
	r.ticked.Store(time.Now().Add(-2 * aliveWithin).UnixNano())
	if r.Alive() {
		t.Error("a keeper that has not ticked for long counts as alive")
	}
}
