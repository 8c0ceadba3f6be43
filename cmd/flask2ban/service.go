package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/handover"
	"github.com/flask2ban/flask2ban/internal/kernel"
	"github.com/flask2ban/flask2ban/internal/live"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/internal/notify"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/systemd"
	"github.com/flask2ban/flask2ban/proxy"
	"github.com/flask2ban/flask2ban/routes"
)

// service is one running daemon: everything that serve wires together.
type service struct {
	cli    *cli
	config *config.Config
	load   func() (*config.Config, error) // reads config again
	log    *slog.Logger

	dir     string // state directory
	table   *live.Table
	history *live.History
	clients *clients
	names   *names
	engine  *ban.Engine
	metrics *metrics.Metrics
	app     *app.App       // nil in a sidecar
	sidecar *proxy.Sidecar // nil where we spawn
	certs   *certificates  // nil without TLS
	proxy   *proxy.Handler
	front   *proxy.Server
	admin   *admin.Server
	notify  *notify.Notifier // nil where nobody is told
	kernel  *kernel.Firewall // nil without --kernel
	adminAt net.Listener     // nil without --admin
	manager *systemd.Notifier
	given   []given       // systemd's, in place of --listen
	held    *held         // what only one process can have; nil while none of it is ours
	lost    chan struct{} // gets a word when something held has failed
	// before is the process that we take over from, after the one that takes
	// over from us; nil mostly.
	before *handover.Predecessor
	after  *handover.Successor

	exceptions overview.Exceptions // of the app
	events     *overview.Events    // of the log

	closers []func() error
	mu      sync.Mutex      // guards current and changed
	current *config.Config  // config, or what was reloaded since
	changed state.Overrides // at run time

	storeFails    atomic.Bool
	unknownRoutes sync.Map // what warnOfRoutes has told of
}

// open makes every part, in the order in which they need each other. What it
// opened is closed by close, also after an error.
func (s *service) open(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.takeSockets, s.openState, s.openNotify, s.openClients, s.openApp, s.openRoutes,
		s.openEngine, s.openMetrics, s.openCerts, s.openFront, s.openAdmin,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close undoes open, last first.
func (s *service) close() error {
	var first error
	for _, c := range slices.Backward(s.closers) {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *service) openState(context.Context) error {
	s.dir = s.config.State
	if s.dir == "" {
		dir, err := state.Dir("flask2ban", s.config.App, s.cli.root, s.cli.getenv)
		if err != nil {
			return err
		}
		s.dir = dir
	}
	err := state.Create(s.dir)
	if err == nil {
		s.changed, err = state.ReadOverrides(s.dir)
	}
	return err
}

func (s *service) openClients(context.Context) error {
	r, err := newResolver(s.overridden(s.config))
	if err != nil {
		return err
	}
	if s.names, err = newNames(s); err != nil {
		return err
	}
	s.clients = &clients{names: s.names}
	s.clients.now.Store(r)
	return nil
}

func (s *service) openRoutes(ctx context.Context) error {
	began := time.Now()
	var python app.Python
	if s.app != nil {
		python = s.app.Python()
	}
	project, err := s.cli.readProject(ctx, s.config, python)
	if err != nil {
		return err
	}
	if project.NoApp != "" {
		s.log.Warn("the source shows no app: until the app itself tells its routes, nothing is held against clients", "reason", project.NoApp)
	}
	if len(s.config.Command) > 0 && strings.Contains(filepath.Base(s.config.Command[0]), "gunicorn") {
		project.Options.Server = "gunicorn"
	}
	s.history, err = live.OpenHistory(filepath.Join(s.dir, "routes.json"))
	if err != nil {
		s.log.Warn("route history", "error", err)
	}
	s.table, err = live.New(live.Config{
		Project: project,
		Lists:   lists(s.config),
		Retired: s.retired,
		Log:     s.log,
	})
	if err != nil {
		return err
	}
	s.log.Info("read the app's routes", "app", s.config.App,
		"routes", len(project.Routes), "unresolved", len(project.Unresolved), "took", time.Since(began).Round(time.Millisecond))
	for _, u := range project.Unresolved {
		s.log.Debug("unresolved", "file", u.File, "line", u.Line, "prefix", u.Prefix, "reason", u.Reason)
	}
	return nil
}

// retired are the routes in their grace, given those that the app has now.
func (s *service) retired(project *routes.Project) []routes.Route {
	return s.history.Retired(project, time.Now(), s.config.RouteGrace)
}

func (s *service) openEngine(context.Context) error {
	var err error
	s.engine, err = ban.New(s.judging(s.overridden(s.config)))
	return err
}

func (s *service) storeError(err error) {
	s.notifyStore(err)
	if err != nil {
		s.log.Error("bans can't be saved; they hold until this process ends", "state", s.dir, "error", err)
		return
	}
	s.log.Info("bans are saved again", "state", s.dir)
}

func (s *service) openApp(ctx context.Context) error {
	if s.config.Upstream != "" {
		u, err := url.Parse(s.config.Upstream)
		if err != nil {
			return cmdline.Usage(fmt.Errorf("--upstream: %w", err))
		}
		s.sidecar = proxy.NewSidecar(u, s.log, s.notifySidecar)
		return nil
	}
	c := cmdline.AppConfig(s.config)
	c.HideRequests, c.Log, c.Output, c.Observer = true, s.log, s.cli.stderr, &observer{service: s, states: cmdline.StateLog{Log: s.log}}
	var err error
	c.Waiting = s.waiting
	s.app, err = app.New(c)
	return cmdline.Usage(err)
}

// waiting counts the requests that wait for a slot of the app.
func (s *service) waiting() int {
	if s.proxy == nil {
		return 0
	}
	return s.proxy.Waiting()
}

// upstream is the app as the proxy sees it, and where it listens.
func (s *service) upstream() (proxy.App, *url.URL, error) {
	if s.sidecar != nil {
		u, err := url.Parse(s.config.Upstream)
		return s.sidecar, u, err
	}
	u, err := url.Parse(s.app.URL())
	return proxy.Hooked{App: s.app}, u, err
}

func (s *service) openFront(context.Context) error {
	behind, at, err := s.upstream()
	if err != nil {
		return err
	}
	logTo, err := s.openAccessLog()
	if err != nil {
		return err
	}
	var access *proxy.AccessLog
	if logTo != nil {
		access = proxy.NewAccessLog(logTo, s.log)
	}
	handler, err := proxy.New(proxy.Config{
		Clients:       s.clients,
		Crawler:       s.names.crawler,
		Tables:        s.table,
		Engine:        s.engine,
		App:           behind,
		Upstream:      at,
		Metrics:       s.metrics,
		Log:           s.log,
		AccessLog:     access,
		Hosts:         s.config.Hosts,
		MaxBody:       int64(s.config.MaxBody),
		Hold:          s.config.Hold,
		Queue:         s.queue(),
		AllowDebugger: s.config.AllowDebugger,
		HSTS:          s.config.HSTS,
		MinRate:       int64(s.config.MinRate),
		BodyDir:       filepath.Join(s.dir, "bodies"),
		HoldBodies:    s.config.BufferBodies,
	})
	if err != nil {
		return err
	}
	s.proxy = handler
	return s.listen(handler)
}

// shared says whether an address may stand for many clients.
func (s *service) shared(a netip.Addr) bool {
	standing, _ := s.clients.now.Load().Standing(a)
	return standing != clientip.Bannable
}

// listen opens the public addresses.
func (s *service) listen(handler *proxy.Handler) error {
	c := proxy.ServerConfig{
		H2C:               s.config.H2C,
		MaxConnections:    s.config.MaxConnections,
		MinRate:           int64(s.config.MinRate),
		Shared:            s.shared,
		Shed:              func(reason string) { s.metrics.Refused("close", "("+reason+")") },
		MaxHeaderBytes:    int(s.config.MaxHeaderBytes),
		ReadHeaderTimeout: s.config.ReadHeaderTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		StopTimeout:       s.config.StopTimeout,
		RefusePeer:        handler.RefusePeer,
		Connect:           handler.Connect,
		ProxyProtocol:     s.announcers(),
		Log:               s.log,
	}
	c.Listen, c.ListenTLS = listenOn(s.listening())
	c.Inherited = s.openPublicSocket
	var serve http.Handler = handler
	if s.certs != nil {
		c.TLS = s.certs.tls
		serve = s.certs.before(handler)
	}
	var err error
	if s.front, err = proxy.Listen(c, serve); err != nil {
		return err
	}
	if !s.config.NoHTTPSRedirect {
		handler.SecurePort = s.front.SecurePort()
	}
	return nil
}

func (s *service) openMetrics(context.Context) error {
	s.metrics = metrics.New(version())
	s.metrics.Watch(metrics.Gauges{
		Bans:    func() int { return len(s.engine.Bans(time.Now())) },
		Clients: func() int { return s.engine.Stats(time.Now()).Clients },
		Routes: func() map[string]int {
			count := map[string]int{}
			for _, r := range s.table.Project().Routes {
				count[string(r.Source)]++
			}
			return count
		},
		Unresolved: func() int { return len(s.table.Project().Unresolved) },
		AppUp:      func() bool { return s.ready() == nil },
	})
	return nil
}

// ready says why requests can't be forwarded now; nil where they can.
func (s *service) ready() error {
	if s.sidecar != nil {
		return s.sidecar.Ready(context.Background()) // bounds itself
	}
	if state := s.app.State(); state.Name != app.Ready {
		return fmt.Errorf("the app is %s: %s", state.Name, orText(state.Reason, "no reason known"))
	}
	return nil
}

func (s *service) openAdmin(context.Context) error {
	if err := s.listenAdmin(); err != nil {
		return err
	}
	token, err := state.Token(s.dir)
	if err != nil {
		return err
	}
	audit, err := state.OpenAudit(s.dir)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, audit.Close)
	c := admin.Config{
		Engine:  s.engine,
		Table:   func() *routes.Table { t, _ := s.table.Current(); return t },
		Project: s.table.Project,
		Metrics: s.metrics.Handler(), Counters: s.metrics,
		Exceptions: &s.exceptions, Events: s.events,
		Queue:  s.busy,
		Ready:  s.ready,
		Token:  token,
		Hosts:  []string{s.config.Admin},
		Reload: s.reloadAll,
		Tuner:  s,
		Mode:   s.modeNow,
		Log:    s.log,
		Audit:  slog.New(slog.NewJSONHandler(audit, nil)),
		Info: admin.Info{
			Version: version(), App: s.config.App, Mode: mode(s.config), PID: os.Getpid(),
			StateDir: s.dir, Upstream: s.config.Upstream, Started: time.Now(),
		},
	}
	for _, a := range s.front.Addrs() {
		c.Info.Listen = append(c.Info.Listen, a.String())
	}
	c.Info.Page = s.pageURL()
	if s.app != nil {
		c.AppState, c.AppEvents = s.app.State, s.app.Events
		c.Restart = func(ctx context.Context) error { return s.app.Roll(ctx, app.Reload, "asked for by reload --app") }
	}
	s.admin, err = admin.New(c)
	return err
}

func mode(c *config.Config) string {
	if c.Observe {
		return "observe"
	}
	return "enforce"
}
