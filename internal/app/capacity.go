package app

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// Learn is what Slots says of a server that begins on as many requests as it
// is sent, each in a thread of one process: how many are good for it must be
// found out.
const Learn = -1

// Slots is [App.Concurrency], or [Learn] where the one instance is Werkzeug's
// threaded server. 0 means that there is no bound that matters, or none is
// known.
func (a *App) Slots() int {
	if n := a.Concurrency(); n > 0 {
		return n
	}
	places := a.history.accepting()
	if len(places) != 1 {
		return 0
	}
	if b := places[0].binding.Load(); b != nil && launcherOf(b.server).learns {
		return Learn
	}
	return 0
}

// Work measures the processor time of the app's processes. It is safe for
// concurrent use.
type Work struct {
	app  *App
	mu   sync.Mutex
	pids []int
	at   time.Time // when pids were looked up
}

// Work returns a new measurement.
func (a *App) Work() *Work { return &Work{app: a} }

// pidsKept is how long the list of the app's processes is believed.
const pidsKept = 2 * time.Second

// tick is a clock tick of /proc: USER_HZ is 100 on every Linux that Go has.
const tick = 10 * time.Millisecond

// Used is the processor time that the app's present processes have used so
// far; ok is false where there is none. It shrinks where a process has ended.
func (w *Work) Used() (used time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.at) > pidsKept {
		w.pids, w.at = w.app.pids(), now
	}
	for _, pid := range w.pids {
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
			used += parseUsed(stat)
			ok = true
		}
	}
	return used, ok
}

// pids are the processes of all instances.
func (a *App) pids() []int {
	var all []int
	table := processes()
	for _, p := range a.history.accepting() {
		if i := p.current.Load(); i != nil {
			all = append(append(all, i.pid), descendants(table, i.pid)...)
		}
	}
	return all
}

// parseUsed reads user and system time of a line of /proc/PID/stat (proc(5)),
// all threads counted.
func parseUsed(stat []byte) time.Duration {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}
