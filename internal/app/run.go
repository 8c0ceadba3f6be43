package app

import (
	"context"
	"net/http"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// GuardArg as a program's first argument means that [Guard] is wanted.
const GuardArg = "flask2ban-guard"

// App is one app that is kept running.
type App struct{}

// New checks c, chooses interpreter and user and opens the socket.
func New(c Config) (*App, error) { return &App{}, nil }

// Serve starts the app, keeps it alive and ends all of it when ctx ends.
func (a *App) Serve(ctx context.Context) error { return nil }

// Wait returns nil as soon as an instance is ready.
func (a *App) Wait(ctx context.Context) error { return nil }

// Addr is the address of our socket, as "127.0.0.1:port".
func (a *App) Addr() string { return "" }

// URL is where the app answers.
func (a *App) URL() string { return "http://" + a.Addr() }

// Prepare writes the secret header that tells the app who asks.
func (a *App) Prepare(out *http.Request, f Forwarded) {}

// Witness takes the hook's header off h and returns what it says.
func (a *App) Witness(h http.Header) Witness { return Witness{} }

// Begun says whether the app may have begun to read the request id, sent at or
// after since. Only false is proof.
func (a *App) Begun(id string, since time.Time) bool { return true }

// State is how the app is now.
func (a *App) State() State { return State{} }

// Events are the last 100, oldest first.
func (a *App) Events() []Event { return nil }

// Guard is the process between us and the app; see guard_linux.go.
func Guard(args []string) int { return 0 }

func inspect(ctx context.Context, c Config) (routes.URLMap, error) { return routes.URLMap{}, nil }

// Search says where [FindPython] looks.
type Search struct {
	// Python is the only candidate where it is not empty.
	Python string
	// Dir is the app's directory, where .venv and venv are looked for.
	Dir string
	// Env is the environment for VIRTUAL_ENV and PATH; nil means ours.
	Env []string
}

// Python is an interpreter that can import Flask.
type Python struct {
	Path, Version, Flask, Werkzeug string
	// SysPath is its sys.path, without the script's directory.
	SysPath []string
}

// FindPython returns the first interpreter that can import Flask.
func FindPython(ctx context.Context, s Search) (Python, error) { return Python{}, nil }
