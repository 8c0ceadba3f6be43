// Package admin is the operator's side of a running flask2ban: health,
// metrics and a JSON API over HTTP, on a Unix socket for the command line and
// on TCP for everything else, and the client that the commands use.
//
// Whoever opens the Unix socket is the operator (its mode is 0600). Over TCP
// changes need the token of the state directory, and so does reading, on an
// address that others can reach.
package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/page"
	"github.com/flask2ban/flask2ban/routes"
)

// Config is what the API tells of and acts upon. Functions are called for
// each request that needs them, from many goroutines at once.
type Config struct {
	// Engine judges clients; required.
	Engine *ban.Engine
	// Table is what requests are matched against at present; nil: no routes
	// are counted in the status.
	Table func() *routes.Table
	// Project is what the source and the app told of the routes; nil: the
	// routes are not available.
	Project func() *routes.Project
	// AppState tells how the app is; nil in a sidecar, which runs no app.
	AppState func() app.State
	// AppEvents is what happened to the app, oldest first; nil: nothing is known.
	AppEvents func() []app.Event
	// Metrics serves /metrics; nil: there are none. Counters are what it serves,
	// for the overview; nil: it has no rates.
	Metrics  http.Handler
	Counters *metrics.Metrics
	// Exceptions of the app and Events of the daemon; nil: none are known.
	Exceptions *overview.Exceptions
	Events     *overview.Events
	// Queue tells how busy the app is; nil: the status doesn't say.
	Queue func() overview.Queue
	// Ready says why the proxy would not forward at present; nil: always ready.
	Ready func() error
	// Reload reads the configuration again, applies it, and returns the settings
	// whose values wait for the next start; or that the old one stays in force,
	// and why. Nil: there is nothing to reload.
	Reload func(context.Context) (waiting []string, err error)
	// Restart replaces the app's instances, each when its successor serves,
	// or returns why the old ones go on; nil where there is none of ours.
	Restart func(context.Context) error
	// Tuner changes how the daemon judges; nil: that can't be changed.
	Tuner Tuner
	// Mode is enforce or observe at present; nil: as Info has it.
	Mode func() string
	// Now is the engine's clock; nil: time.Now.
	Now func() time.Time
	// Token allows what needs permission over TCP; empty: nothing does.
	Token string
	// Hosts are further names by which browsers may reach the API over TCP,
	// without port (see hosts.go for those that always may).
	Hosts []string
	// Log gets one line for each action of an operator; nil: slog.Default.
	Log *slog.Logger
	// Audit gets the same lines to be kept; nil: nobody does.
	Audit *slog.Logger
	// Info is constant while the daemon runs and shown by the status.
	Info Info
}

// Server answers the API. It is safe for use by many goroutines.
type Server struct {
	cfg      Config
	token    [sha256.Size]byte
	hosts    hosts
	mux      *http.ServeMux
	overview *overview.Collector // nil where nobody is judged
	page     *page.Page          // nil where nobody is judged
	lines    []endpoint
}

// New makes a Server. The only error is a missing engine.
func New(c Config) (*Server, error) {
	if c.Engine == nil {
		return nil, errors.New("admin API without a ban engine")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Audit == nil {
		c.Audit = slog.New(slog.DiscardHandler)
	}
	collector, err := overview.New(overview.Config{
		Engine: c.Engine, Metrics: c.Counters, Table: c.Table, Project: c.Project, AppState: c.AppState,
		AppEvents: c.AppEvents, Queue: c.Queue, Ready: c.Ready, Mode: c.Mode, Exceptions: c.Exceptions, Events: c.Events,
		Now: c.Now, Info: c.Info,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: c, overview: collector, token: sha256.Sum256([]byte(c.Token)), hosts: newHosts(c.Hosts), mux: http.NewServeMux()}
	s.offer(s.endpoints())
	return s, s.openPage()
}

// offer makes the lines of the API what s answers.
func (s *Server) offer(lines []endpoint) {
	s.lines = append(lines, endpoint{"/", read, s.unknown})
	for _, e := range s.lines {
		s.mux.Handle(e.pattern, s.guard(e))
	}
}

// Sample notes every few seconds what goes on, for the history, until ctx ends.
func (s *Server) Sample(ctx context.Context) error { return s.overview.Serve(ctx) }

// endpoint is one line of the API.
type endpoint struct {
	pattern string
	access  access
	// serve writes the answer, or returns why there is none.
	serve func(http.ResponseWriter, *http.Request) error
}

func (s *Server) endpoints() []endpoint {
	return []endpoint{
		{"GET /healthz", open, s.health},
		{"GET /readyz", open, s.ready},
		{"GET /metrics", open, s.metrics},
		{"GET /api/v1/status", read, s.status},
		{"GET /api/v1/overview", read, s.overviewNow},
		{"GET /api/v1/history", read, s.historyOf},
		{"GET /api/v1/routes", read, s.routes},
		{"GET /api/v1/rules", read, s.rules},
		{"GET /api/v1/bans", read, s.bans},
		{"GET /api/v1/clients/{client...}", read, s.why},
		{"POST /api/v1/bans", change, s.ban},
		{"DELETE /api/v1/bans/{client...}", change, s.unban},
		{"POST /api/v1/reload", change, s.reload},
		{"POST " + restartPath, change, s.restart},
		{"POST /api/v1/ignore", change, s.ignore},
		{"POST /api/v1/mode", change, s.mode},
		{"POST /api/v1/signin", change, s.signIn},
	}
}
