package app

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// explain says why an instance ended, with the last thing that it said.
func (a *App) explain(end ending) string {
	text := "it ended (" + end.exit.String() + ")"
	if end.oom {
		text += ", killed for want of memory"
	}
	if !end.ready {
		text += " before it served"
	}
	if end.exit.status.Signaled() || end.exit.code() == 0 {
		return text
	}
	said := lastLine(end.lastSaid)
	if said != "" {
		text += ": " + said
	}
	if strings.HasPrefix(said, "ImportError:") || strings.HasPrefix(said, "ModuleNotFoundError:") {
		text += " (it ran with " + a.python.Path + "; name another interpreter with --python)"
	}
	return text
}

// lastLine is the last one that isn't blank.
func lastLine(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if strings.TrimSpace(line) != "" {
			return line
		}
	}
	return ""
}

// wrongName is the runner's exit code where APP names no app.
const wrongName = 78

// reloaderExit is Werkzeug's exit code where a source file has changed
// (werkzeug/_reloader.py).
const reloaderExit = 3

// isFinal is an error where starting the app again makes no sense.
func (a *App) isFinal(end ending) error {
	code, target := end.exit.code(), a.target.Load()
	switch {
	case end.err != nil || end.ready || end.bound || end.exit.status.Signaled():
		return nil
	case code == wrongName && target.launch == asObject:
		return &ExitError{Code: 2, Reason: strings.TrimPrefix(strings.Join(end.lastSaid, "\n"), "flask2ban: ")}
	case code == 0 && end.exit.left > 0:
		return &ExitError{Code: 1, Reason: "the app went into the background, where it can't be kept alive: leave its --daemon option out"}
	case code == 0 && target.launch != asScript:
		return &ExitError{Code: 0, Reason: "the app ended by itself (exit status 0) without serving anything"}
	}
	return nil
}

// servesItself changes to importing a script that has defined an app and
// ended, as scripts for flask run do.
func (a *App) servesItself(end ending) bool {
	target := a.target.Load()
	if target.launch != asScript || end.ready || end.bound || end.err != nil ||
		end.exit.status.Signaled() || end.exit.code() != 0 {
		return false
	}
	a.note(Event{Kind: Noted, Seen: target.path + " ended without serving", Done: "imported it and serve its app, as flask run does"})
	imported := target.asImported()
	a.target.Store(&imported)
	return true
}

// fatalSignals are those by which a process ends that has broken something
// itself.
var fatalSignals = map[syscall.Signal]bool{
	syscall.SIGSEGV: true, syscall.SIGABRT: true, syscall.SIGBUS: true, syscall.SIGILL: true, syscall.SIGFPE: true,
}

// blames says whether a request may have been the end's cause: not where
// somebody killed or stopped the app.
func (e ending) blames() bool {
	switch {
	case e.event.Kind == Hung, e.oom:
		return true
	case e.event.Kind != "":
		return false
	case e.exit.status.Signaled():
		return fatalSignals[e.exit.status.Signal()]
	}
	return e.exit.code() != 0 && e.exit.code() != reloaderExit
}

// killedFromOutside says that somebody ended an instance that worked: no sign
// that the next one will not.
func (e ending) killedFromOutside() bool {
	if e.event.Kind == Reload || e.event.Kind == Memory {
		return true // by us, on purpose
	}
	return e.ready && !e.oom && e.event.Kind == "" && e.exit.status.Signaled() && !fatalSignals[e.exit.status.Signal()]
}

// kind is the event's word for an end.
func (e ending) kind() EventKind {
	switch {
	case e.event.Kind != "":
		return e.event.Kind
	case e.oom:
		return OutOfMemory
	case !e.ready:
		return StartFailed
	case e.exit.status.Signaled() && !fatalSignals[e.exit.status.Signal()]:
		return Killed
	case e.exit.code() == reloaderExit:
		return Reloaded
	}
	return Crashed
}

// afterFailure records a failure and says how long to wait.
func (p *place) afterFailure(end ending, back *backoff) time.Duration {
	wait, loop := back.failed(time.Now(), end.healthy, end.killedFromOutside())
	p.change(func(s *State) {
		s.Name, s.PID, s.Restarts = Restarting, 0, s.Restarts+1
		if loop {
			s.Name = CrashLoop
		}
		s.LastExit, s.Reason, s.Output = end.exit.String(), end.reason, end.lastSaid
		if end.err != nil {
			s.LastExit = ""
		}
	})
	done := "start it again at once"
	if wait > 0 {
		done = "start it again in " + wait.Round(time.Millisecond).String()
	}
	event := end.event
	event.Kind, event.Seen, event.Restart = end.kind(), end.reason, true
	event.Done = strings.TrimPrefix(event.Done+", "+done, ", ")
	if p.tollNow().serves() { // else it is the same trouble still
		event.toll = p.trouble(true)
	}
	p.app.note(event)
	p.app.log.Error("the app ended", "reason", end.reason, "next", done, "crash_loop", loop)
	return wait
}

// oomKills counts what the kernel has killed for want of memory (proc(5),
// /proc/vmstat; Linux 4.13).
func oomKills() uint64 {
	data, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "\noom_kill ")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
