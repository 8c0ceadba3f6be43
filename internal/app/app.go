// Package app runs the Flask program that flask2ban fronts: it chooses the
// interpreter and the user, hands our listening socket over, keeps the program
// running and reads what it tells, through a hook inside its process and
// through its output.
package app

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// Defaults of [Config].
const (
	DefaultStartTimeout = 90 * time.Second // as Passenger's
	DefaultStopTimeout  = 30 * time.Second // as gunicorn's graceful timeout
	// DefaultAnswerTimeout is four times gunicorn's timeout.
	DefaultAnswerTimeout = 2 * time.Minute
)

// Errors of [App.Wait].
var (
	// ErrCrashLoop means that the app failed five times within a minute.
	// [App.Serve] goes on trying, every 30 s.
	ErrCrashLoop = errors.New("the app keeps failing")
	// ErrStopped means that Serve has ended, or that the app ended by
	// itself with nothing to serve.
	ErrStopped = errors.New("the app is stopped")
)

// Config says what to run and how.
type Config struct {
	// App is what to run: a .py file, a directory, or "module:object" as
	// flask --app takes it. It may be empty where Command is given.
	App string
	// Command is run instead of what App implies, unmodified.
	Command []string
	// Dir is the working directory; empty means ours.
	Dir string
	// Python is the interpreter for App; empty means the first of
	// [FindPython] that can import Flask.
	Python string
	// Env is added to our own environment, which is cleaned first of what
	// is not the app's business. Each is "NAME=value"; the last of a name
	// counts.
	Env []string
	// User and Group are names or numbers to run the app as. Both are
	// refused unless we are root. Empty means $SUDO_UID, else the owner of App, else root
	// with a warning.
	User, Group string
	// AllowDebugger leaves Werkzeug's interactive debugger on where the app
	// turns it on: anyone who reaches it can run code.
	AllowDebugger bool
	// NoProxyFix lets the app see 127.0.0.1 as every client, as without the
	// hook.
	NoProxyFix bool
	// Program is our name where people read of us; empty means "flask2ban".
	Program string
	// HideRequests keeps the server's own line for each request out of
	// Output, and Werkzeug's "Running on" with the address of our private
	// socket, where nobody should go.
	HideRequests bool
	// OwnPort lets the app keep the port that it names itself, for clients to
	// come straight to it. The first instance opens it; we keep it open, so
	// that nobody is refused while the app restarts. False: the app gets a
	// port of 127.0.0.1, for a proxy.
	OwnPort bool
	// Listener is the TCP socket that the app gets in place of one that we or
	// it would open: from systemd, from a predecessor, or bound for it to an
	// address. New makes it its own. Nil: there is none.
	Listener *os.File
	// TakesOver says that another process's instance still accepts from
	// Listener, so that only the hook's word can say that ours does.
	TakesOver bool
	// Log is for what the operator should know; nil discards it.
	Log *slog.Logger
	// Output gets the app's standard output and error, line by line, each
	// marked with its process; nil discards it.
	Output io.Writer
	// StartTimeout is how long an instance may take until it serves;
	// 0 means DefaultStartTimeout.
	StartTimeout time.Duration
	// StopTimeout is what the app gets between SIGTERM and SIGKILL; 0 means
	// DefaultStopTimeout.
	StopTimeout time.Duration
	// Workers is how many instances run beside each other; 0 means one. More
	// than one runs the app's background jobs as often. MaxWorkers above that
	// lets more run while they are needed.
	Workers, MaxWorkers int
	// NoOverlap ends an instance before its successor starts.
	NoOverlap bool
	// Watch replaces the app when its source has changed.
	Watch bool
	// Umask is the app's file mode mask in octal digits; empty means ours.
	Umask string
	// NoFile bounds the open files of each of the app's processes; 0 means
	// our own bound.
	NoFile int
	// NoNetAdmin takes CAP_NET_ADMIN from the app, which it would inherit
	// where a service manager has given us that (AmbientCapabilities=).
	NoNetAdmin bool
	// AnswerTimeout is how long the app may take until it begins to answer a
	// request, which then is given up; streams, uploads and slow clients
	// aside. 0 means DefaultAnswerTimeout, less than 0 is for ever.
	AnswerTimeout time.Duration
	// HangAfter, MemoryMax: see [health.Limits]. Unseen says that requests
	// do not pass through us, see there too.
	HangAfter time.Duration
	MemoryMax int64
	Unseen    bool
	// MaxAge and MaxRequests end an instance after that time and that many
	// requests, without a loss; 0 is never.
	MaxAge      time.Duration
	MaxRequests uint64
	// HealthPath is what the app is asked where it may hang, as "/healthz";
	// empty asks the hook, which needs a free thread of the app and runs
	// nothing of it.
	HealthPath string
	// Waiting counts requests that wait for the app before they enter it;
	// nil is none. It is called from other goroutines.
	Waiting func() int
	// Observer is told what happens; nil is no one.
	Observer Observer
	// SelfExe is the program that runs [Guard] when its first argument is
	// [GuardArg]; empty means this program.
	SelfExe string
}

// Observer is told what the app does. All calls come from one goroutine and
// must not block.
type Observer interface {
	// URLMap is called when an instance starts to serve, and again when its
	// url_map has changed.
	URLMap(routes.URLMap)
	Exception(Exception)
	State(State)
	// Event is called with each new line of the history.
	Event(Event)
}

// Forwarded is what the app must see of a request that we forward.
type Forwarded struct {
	// ID names the request in [Exception] and [Flight]; printable ASCII, at
	// most 30 bytes.
	ID string
	// Client is the address that the app sees as REMOTE_ADDR.
	Client netip.Addr
	// Scheme is "http" or "https", Host the request's Host as the client
	// wrote it.
	Scheme, Host string
}

// Routing is what the app's own routing said of one request.
type Routing uint8

// The answers of the app's routing.
const (
	// Unrouted means that something before Flask's routing answered, such
	// as a middleware or Socket.IO: no evidence either way.
	Unrouted Routing = iota
	Found
	NotFound
	MethodNotAllowed
	Redirect
)

// Witness is what the hook in the app's process says of one request.
type Witness struct {
	// Present is false where the app answered without our hook.
	Present bool
	Routing Routing
	// Rule and Endpoint are of the rule that matched; empty where none did.
	Rule, Endpoint string
	// Exception is the type of what the view raised; empty mostly.
	Exception string
}

// Exception is one unhandled exception of the app.
type Exception struct {
	// Type is the class as Python prints it, module included unless
	// builtin.
	Type string
	// Message and Traceback are cut to about 1 and 3 KiB.
	Message, Traceback string
	// RequestID is the [Forwarded.ID]; empty where only the log told.
	RequestID           string
	Method, Path, Route string
	At                  time.Time
}

// The names of a [State].
const (
	Starting   = "starting"
	Ready      = "ready"
	Restarting = "restarting"
	CrashLoop  = "crash_loop"
	Stopping   = "stopping"
	Stopped    = "stopped"
)

// How an app gets the socket that it serves on, in the order of preference.
const (
	// ByHook: the hook in its process makes its bind ours.
	ByHook = "hook"
	// ByVariables: its server took our socket from the environment.
	ByVariables = "variables"
	// ByPort: it listens by itself on a private port that we have named to it.
	ByPort = "private port"
	// ByDiscovery: it listens by itself on a port that we have found.
	ByDiscovery = "discovery"
)

// State is how the app is.
type State struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// PID is the app's first process; 0 while there is none.
	PID int `json:"pid,omitempty"`
	// Restarts counts instances after the first.
	Restarts int `json:"restarts"`
	// LastExit says how the previous instance ended, as "exit status 1" or
	// "signal: killed".
	LastExit string `json:"last_exit,omitempty"`
	// Reason says why the app is in this state, for a person.
	Reason string `json:"reason,omitempty"`
	// Launcher says how the app got its socket: ByHook to ByDiscovery, or
	// empty until that is known.
	Launcher string `json:"launcher,omitempty"`
	// Address is where the app listens by itself, as "127.0.0.1:port"; empty
	// where it has our socket.
	Address string `json:"address,omitempty"`
	// User is who the app runs as.
	User string `json:"user,omitempty"`
	// Command is what was run.
	Command []string `json:"command,omitempty"`
	// Output is the end of a failed instance's standard error.
	Output []string `json:"output,omitempty"`
	// Instances are all that there are, where there is more than one.
	Instances []InstanceState `json:"instances,omitempty"`
}

// InstanceState is how one of several instances is.
type InstanceState struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	PID   int       `json:"pid,omitempty"`
}

// Event is one line of the app's history.
type Event struct {
	At time.Time `json:"at"`
	// Kind is one word for it.
	Kind EventKind `json:"kind"`
	// Restart says that an instance ended for it.
	Restart bool `json:"restart,omitempty"`
	// Seen is what happened, Done what was done about it, Cost what users
	// noticed of it so far: how many requests waited, were sent again and lost.
	Seen string `json:"seen"`
	Done string `json:"done"`
	Cost string `json:"cost,omitempty"`
	// Stacks are those of all Python threads before a kill; at most
	// 200 lines.
	Stacks []string `json:"stacks,omitempty"`

	toll *toll // what Cost is made of; nil leaves it
}

// EventKind is the word for an event, and the reason of
// flask2ban_app_restarts_total.
type EventKind string

// The kinds of events.
const (
	Noted       EventKind = "note"
	Served      EventKind = "ready"
	Crashed     EventKind = "crash"
	StartFailed EventKind = "start_failed"
	Killed      EventKind = "killed" // from outside
	OutOfMemory EventKind = "out_of_memory"
	Reloaded    EventKind = "source_changed"
	Dead        EventKind = "dead"
	Hung        EventKind = "hung"
	Stuck       EventKind = "stuck"
	Slow        EventKind = "slow"
	Memory      EventKind = "memory"
	MaxAge      EventKind = "max_age"
	MaxRequests EventKind = "max_requests"
	Reload      EventKind = "reload"
	Scaled      EventKind = "scaled"
)

// ExitError is the end of [App.Serve] where the app ended by itself, with
// nothing left to serve.
type ExitError struct {
	// Code is the app's exit code, 128+n where signal n ended it.
	Code   int
	Reason string
}

func (e *ExitError) Error() string { return e.Reason }
