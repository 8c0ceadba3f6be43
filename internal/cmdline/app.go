package cmdline

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

// AppConfig is what the configuration says of the app.
func AppConfig(c *config.Config) app.Config {
	return app.Config{
		App:           c.App,
		Command:       c.Command,
		Python:        c.Python,
		User:          c.User,
		Group:         c.Group,
		AllowDebugger: c.AllowDebugger,
		NoProxyFix:    c.NoProxyFix,
		StartTimeout:  c.StartTimeout,
		StopTimeout:   c.StopTimeout,
		Dir:           c.Chdir,
		Env:           c.Env,
		Umask:         c.Umask,
		NoFile:        c.NoFile,
		Workers:       c.Workers.Min,
		MaxWorkers:    c.Workers.Max,
		NoOverlap:     c.NoOverlap,
		Watch:         c.Watch,
		HealthPath:    c.HealthPath,
		HangAfter:     c.HangAfter,
		AnswerTimeout: orNever(c.AnswerTimeout),
		MemoryMax:     int64(c.MemoryMax),
		MaxAge:        c.MaxAge,
		MaxRequests:   uint64(c.MaxRequests),
		NoNetAdmin:    c.Kernel,
	}
}

// orNever is d, or for ever where it is 0, which means the default to the app.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// ExitOf gives an app's own end its exit code.
func ExitOf(err error) error {
	var exit *app.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Code: exit.Code, Err: exit}
	}
	return err
}

// NewLogger is the log as the configuration wants it. To the journal, lines have
// priorities, and text no time: it notes that itself.
func NewLogger(w io.Writer, c *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // config has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	handler := func(w io.Writer) slog.Handler {
		if c.LogJSON {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	if !systemd.IsJournal(w) {
		return slog.New(handler(w))
	}
	if !c.LogJSON {
		options.ReplaceAttr = withoutTime
	}
	return slog.New(systemd.JournalHandler(w, handler))
}

// withoutTime leaves a record's own time out.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// StateLog logs how the app is, each time that it differs. It is for one goroutine.
type StateLog struct {
	Log  *slog.Logger
	last app.State
}

// Tell logs st unless its state, process and reason are those of the last one.
func (l *StateLog) Tell(st app.State) {
	if st.Name == l.last.Name && st.PID == l.last.PID && st.Reason == l.last.Reason {
		return
	}
	l.last = st
	log := l.Log.With("state", st.Name, "pid", st.PID)
	// Why an app is started again stands in the line of what ended it.
	if st.Reason != "" && st.Name != app.Restarting && st.Name != app.CrashLoop {
		log = log.With("reason", st.Reason)
	}
	log.Info("app")
}

// DescribeInstance says how the app runs, in a line.
func DescribeInstance(in app.State) string {
	text := strings.ReplaceAll(in.Name, "_", " ")
	if !in.Since.IsZero() {
		text += " since " + Clock(in.Since)
	}
	if len(in.Instances) > 1 {
		text += describeInstances(in.Instances)
	} else if in.PID != 0 {
		text += fmt.Sprintf(", pid %d", in.PID)
	}
	if in.User != "" {
		text += " as " + in.User
	}
	if in.Restarts > 0 {
		text += fmt.Sprintf(", %d restarts", in.Restarts)
		if in.LastExit != "" {
			text += ", last exit: " + in.LastExit
		}
	}
	if in.Name != app.Ready && in.Reason != "" {
		text += "; " + Printable(in.Reason)
	}
	return text
}

// describeInstances lists the processes of several, and how those are that do
// not serve.
func describeInstances(all []app.InstanceState) string {
	text := fmt.Sprintf(", %d instances:", len(all))
	for n, in := range all {
		if n > 0 {
			text += ","
		}
		if in.PID != 0 {
			text += fmt.Sprintf(" pid %d", in.PID)
		}
		if in.Name != app.Ready {
			text += " " + strings.ReplaceAll(in.Name, "_", " ")
		}
	}
	return text
}

// DescribeSocket says how the app got the socket that it serves on.
func DescribeSocket(in app.State) string {
	switch in.Launcher {
	case app.ByHook:
		return "ours, by the hook in its process"
	case app.ByVariables:
		return "ours, by its server's variables"
	case app.ByPort:
		return "its own, " + in.Address + ", on the private port that PORT named"
	case app.ByDiscovery:
		return "its own, " + in.Address + ", discovered"
	}
	return "not known yet"
}

// Health is how the service manager sees an app. A watchdog that starves gets
// us killed, and our clients refused; so it goes hungry only where a new process
// would help: what keeps the app alive hangs itself. An app that is down, in a
// crash loop even, is being handled: we answer for it, and try again.
func Health(a *app.App, name string) systemd.Health {
	st := a.State()
	h := systemd.Health{Status: name + " is " + DescribeInstance(app.State{Name: st.Name, PID: st.PID, Restarts: st.Restarts, LastExit: st.LastExit, Reason: st.Reason})}
	alive := a.Alive()
	h.Ready = alive && st.Name == app.Ready
	h.Handled = alive && st.Name != app.Stopped
	return h
}

// ListenError says why an address can't be listened on, and what to do.
func ListenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: another program already listens there; stop it (ss -ltnp shows which) or choose another --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: a port below 1024 needs root or CAP_NET_BIND_SERVICE; use sudo, or a port such as --listen :8080", addr)
	}
	return fmt.Errorf("listen on %s: %w", addr, err)
}

// DescribeEvent says of an app's history when, what was seen, what was done
// about it, and what it cost, safe for a terminal. What the app wrote about its
// end stands in lines of its own, indented.
func DescribeEvent(e app.Event) string {
	line := fmt.Sprintf("%s  %s: %s", Clock(e.At), e.Seen, e.Done)
	if e.Cost != "" {
		line += " (" + e.Cost + ")"
	}
	lines := strings.Split(line, "\n")
	for n := range lines {
		lines[n] = Printable(lines[n])
	}
	return strings.Join(lines, "\n    ")
}
