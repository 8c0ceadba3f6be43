package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/systemd"
	"github.com/flask2ban/flask2ban/routes"
)

// service is one running supervisor.
type service struct {
	config *config.Config
	log    *slog.Logger
	dir    string
	output *lines
	app    *app.App
	admin  *admin.Server
	end    context.CancelFunc
}

// supervise keeps an app alive until ctx ends, or somebody asks for the end, or
// the app ends by itself with nothing to serve.
func (c *cli) supervise(ctx context.Context, cfg *config.Config) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	s := &service{config: cfg, log: cmdline.NewLogger(c.Stderr, cfg), output: newLines(c.Stderr), end: end}
	if err := s.open(c); err != nil {
		return err
	}
	return cmdline.ExitOf(s.run(ctx))
}

func (s *service) open(c *cli) (err error) {
	name := s.config.App
	if name == "" {
		name = s.config.Command[0]
	}
	if s.dir = s.config.State; s.dir == "" {
		if s.dir, err = state.Dir(c.Name, name, c.Root, c.Getenv); err != nil {
			return err
		}
	}
	if err := state.Create(s.dir); err != nil {
		return err
	}
	listener, err := s.listener()
	if err != nil {
		return err
	}
	ac := cmdline.AppConfig(s.config)
	ac.OwnPort, ac.Unseen, ac.Listener, ac.Log, ac.Output, ac.Observer = true, true, listener, s.log, s.output, &observer{log: s.log}
	if s.app, err = app.New(ac); err != nil {
		return cmdline.Usage(err)
	}
	s.admin = admin.NewSupervised(admin.Supervised{
		Info:  admin.Info{Version: c.Version, App: name, Mode: "supervise", PID: os.Getpid(), StateDir: s.dir, Started: time.Now()},
		State: s.app.State, Events: s.app.Events, Addr: s.app.Addr,
		Logs: s.output.show, Stop: s.end, Log: s.log,
		Restart: func(ctx context.Context) error { return s.restart(ctx, "asked by a command") },
	})
	return nil
}

// listener is the socket that systemd gives, or that --listen asks for; nil
// leaves it to the app.
func (s *service) listener() (*os.File, error) {
	given := systemd.Sockets()
	if len(given) > 1 {
		return nil, cmdline.Usagef("systemd gives %d sockets, and an app has one: leave one ListenStream= in the .socket unit", len(given))
	}
	if len(given) == 1 {
		return given[0], nil
	}
	if len(s.config.Listen) == 0 {
		return nil, nil
	}
	l, err := net.Listen("tcp", s.config.Listen[0])
	if err != nil {
		return nil, cmdline.ListenError(s.config.Listen[0], err)
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// run serves until ctx ends. The app ends last.
func (s *service) run(ctx context.Context) error {
	local, err := state.Listen(ctx, s.dir)
	if err != nil {
		s.app.Close()
		return err
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	notifier := systemd.Notifier{Log: s.log}
	parts := make(chan error, 3)
	go func() { parts <- s.admin.Serve(inner, local) }()
	go func() { parts <- notifier.Serve(inner, s.health) }()
	go func() { parts <- s.restartOnHangup(inner, &notifier) }()
	err = s.app.Serve(ctx)
	stop()
	for range cap(parts) {
		err = errors.Join(err, <-parts)
	}
	return err
}

func (s *service) health() systemd.Health { return cmdline.Health(s.app.State(), s.config.App) }

func (s *service) restart(ctx context.Context, why string) error {
	return s.app.Roll(ctx, app.Reload, why)
}

// restartOnHangup starts the app anew at each SIGHUP.
func (s *service) restartOnHangup(ctx context.Context, n *systemd.Notifier) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			if err := n.Reload(func() error { return s.restart(ctx, "SIGHUP") }); err != nil && ctx.Err() == nil {
				s.log.Error("the app was not restarted", "error", err)
			}
		}
	}
}

// observer logs what the app does.
type observer struct{ log *slog.Logger }

var _ app.Observer = (*observer)(nil)

// URLMap implements app.Observer; the routes matter to nobody here.
func (*observer) URLMap(routes.URLMap) {}

// Exception implements app.Observer. The app's own log has the traceback.
func (*observer) Exception(app.Exception) {}

// State implements app.Observer.
func (o *observer) State(st app.State) {
	o.log.Info("app", "state", st.Name, "pid", st.PID, "reason", st.Reason)
}

// Event implements app.Observer; "status" lists them.
func (*observer) Event(app.Event) {}
