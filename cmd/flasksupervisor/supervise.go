package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/handover"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/systemd"
	"github.com/flask2ban/flask2ban/routes"
)

// service is one running supervisor.
type service struct {
	config *config.Config
	log    *slog.Logger
	name   string // the app's, for people
	dir    string
	output *lines
	app    *app.App
	admin  *admin.Server
	end    context.CancelFunc
	// before is the process that we take over from, after the one that takes
	// over from us; nil mostly.
	before *handover.Predecessor
	after  *handover.Successor
}

// supervise keeps an app alive until ctx ends, or somebody asks for the end, or
// the app ends by itself with nothing to serve.
func (c *cli) supervise(ctx context.Context, cfg *config.Config) error {
	defer cmdline.Survive()()
	asked := ctx
	ctx, end := context.WithCancel(ctx)
	defer end()
	s := &service{config: cfg, log: cmdline.NewLogger(c.Stderr, cfg), output: newLines(c.Stderr), end: end}
	var err error
	if s.before, err = handover.FromPredecessor(); err != nil {
		return err
	}
	if err = s.open(c); err == nil {
		err = s.run(ctx)
	}
	if err != nil && s.before != nil {
		s.before.Fail(err)
	}
	return errors.Join(cmdline.ExitOf(err), cmdline.WaitFor(asked, s.before, s.after))
}

func (s *service) open(c *cli) (err error) {
	if s.name = s.config.App; s.name == "" {
		s.name = s.config.Command[0]
	}
	if s.dir = s.config.State; s.dir == "" {
		if s.dir, err = state.Dir(c.Name, s.name, c.Root, c.Getenv); err != nil {
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
	ac.Program, ac.OwnPort, ac.Unseen, ac.Listener, ac.Log, ac.Output, ac.Observer = "flasksupervisor", true, true, listener, s.log, s.output, &observer{service: s, states: cmdline.StateLog{Log: s.log}}
	ac.TakesOver = s.before != nil
	if s.app, err = app.New(ac); err != nil {
		return cmdline.Usage(err)
	}
	s.admin = admin.NewSupervised(admin.Supervised{
		Info:  admin.Info{Version: c.Version, App: s.name, Mode: "supervise", PID: os.Getpid(), StateDir: s.dir, Started: time.Now()},
		State: s.app.State, Events: s.app.Events, Addr: s.app.Addr,
		Logs: s.output.show, Stop: s.end, Log: s.log,
		Restart: func(ctx context.Context) error { return s.restart(ctx, "asked by a command") },
	})
	return nil
}

// appSocket is the app's socket among those handed over.
const appSocket = "app"

// listener is the socket that a predecessor or systemd gives, or that --listen asks for; nil
// leaves it to the app.
func (s *service) listener() (*os.File, error) {
	if f := s.before.Socket(appSocket); f != nil {
		return f, nil
	}
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	local, err := s.own(ctx)
	if err != nil {
		s.app.Close()
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.app.Serve(ctx) }()
	if s.before != nil {
		local, err = s.takeOver(ctx)
	}
	if err != nil {
		cancel()
		return errors.Join(err, <-served)
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	notifier := systemd.Notifier{Log: s.log}
	commands := s.serveCommands(inner, local)
	parts := make(chan error, 4)
	go func() { parts <- s.hearPredecessor(inner) }()
	go func() {
		s.before.AwaitKnown(inner)
		parts <- notifier.Serve(inner, s.health)
	}()
	go func() { parts <- s.restartOnHangup(inner, &notifier) }()
	go func() { parts <- s.upgradeOnSignal(inner, &notifier, commands) }()
	err = <-served
	stop()
	for range cap(parts) {
		err = errors.Join(err, <-parts)
	}
	return errors.Join(err, commands.close())
}

// hearPredecessor returns when a predecessor's last requests are done.
func (s *service) hearPredecessor(ctx context.Context) error {
	if s.before != nil {
		s.before.Heard(ctx, cmdline.Patience(s.config), func(json.RawMessage) {})
	}
	return nil
}

// own opens the command socket before anything of the app runs: of a state
// directory that another supervisor has, there must be no second app. A
// predecessor has it until we are ready.
func (s *service) own(ctx context.Context) (net.Listener, error) {
	if s.before != nil {
		return nil, nil
	}
	return state.Listen(ctx, s.dir)
}

// takeOver opens the command socket when the app is ready.
func (s *service) takeOver(ctx context.Context) (net.Listener, error) {
	if err := s.app.Wait(ctx); err != nil {
		return nil, err
	}
	if err := s.before.Ready(ctx); err != nil {
		return nil, err
	}
	local, err := state.Listen(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	return local, s.before.Serving()
}

// commands is the command socket, which goes to a successor first.
type commands struct {
	stop  context.CancelFunc
	ended chan error
}

func (s *service) serveCommands(ctx context.Context, l net.Listener) *commands {
	ctx, stop := context.WithCancel(ctx)
	c := &commands{stop: stop, ended: make(chan error, 1)}
	go func() { c.ended <- s.admin.Serve(ctx, l) }()
	return c
}

func (c *commands) close() error {
	c.stop()
	err := <-c.ended
	c.ended <- nil // it may be closed again
	return err
}

// upgradeOnSignal gives way to a new process at SIGUSR2.
func (s *service) upgradeOnSignal(ctx context.Context, n *systemd.Notifier, c *commands) error {
	return cmdline.OnSignal(ctx, syscall.SIGUSR2, func() {
		if s.after != nil {
			s.after.Signal(syscall.SIGUSR2) // for our last requests we are still here
			return
		}
		s.log.Info("starting a successor")
		err := s.upgrade(ctx, c)
		if err != nil {
			s.log.Error("the successor did not take over; this process goes on", "error", err)
			return
		}
		s.log.Info("a successor has taken over", "pid", s.after.PID())
		cmdline.Name(n, s.after, s.log)
		s.end()
	})
}

func (s *service) upgrade(ctx context.Context, c *commands) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.StartTimeout+cmdline.TakeOverTime)
	defer cancel()
	socket, err := s.app.Socket()
	if err != nil {
		return err
	}
	defer socket.Close()
	next, err := handover.Start(ctx, handover.Sockets{appSocket: socket}, systemd.Watched())
	if err != nil {
		return err
	}
	if err := c.close(); err != nil {
		s.log.Warn("command socket", "error", err)
	}
	if err := next.Go(ctx); err != nil {
		local, listenErr := state.Listen(ctx, s.dir)
		if listenErr == nil {
			*c = *s.serveCommands(context.WithoutCancel(ctx), local)
		}
		return errors.Join(err, listenErr)
	}
	s.after = next
	return nil
}

func (s *service) health() systemd.Health { return cmdline.Health(s.app, s.name) }

func (s *service) restart(ctx context.Context, why string) error {
	return s.app.Roll(ctx, app.Reload, why)
}

// restartOnHangup starts the app anew at each SIGHUP.
func (s *service) restartOnHangup(ctx context.Context, n *systemd.Notifier) error {
	return cmdline.OnSignal(ctx, syscall.SIGHUP, func() {
		if err := n.Reload(func() error { return s.restart(ctx, "SIGHUP") }); err != nil && ctx.Err() == nil {
			s.log.Error("the app was not restarted", "error", err)
		}
	})
}

// observer logs what the app does.
type observer struct {
	service *service
	states  cmdline.StateLog
	told    bool // where clients reach the app
}

var _ app.Observer = (*observer)(nil)

// URLMap implements app.Observer; the routes matter to nobody here.
func (*observer) URLMap(routes.URLMap) {}

// Exception implements app.Observer. The app's own log has the traceback.
func (*observer) Exception(app.Exception) {}

// State implements app.Observer.
func (o *observer) State(st app.State) {
	o.states.Tell(st)
	if s := o.service; st.Name == app.Ready && !o.told {
		o.told = true
		s.log.Info("listening", "url", s.app.URL(), "pid", os.Getpid(), "state", s.dir)
	}
}

// Event implements app.Observer; "status" lists them.
func (*observer) Event(app.Event) {}
