package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/systemd"
	"github.com/flask2ban/flask2ban/routes"
)

// part is one long-lived goroutine of the daemon.
type part struct {
	name  string
	serve func(context.Context) error
}

// run serves until ctx ends or a part fails. The public side ends first and
// lets its requests finish; only then the app, the API and the engine end.
func (s *service) run(ctx context.Context) error {
	innerCtx, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	if s.before == nil {
		if err := s.hold(ctx); err != nil {
			return err
		}
	}
	runs := part{"app", s.runApp}.begin(innerCtx)
	err := s.takeOver(ctx)
	var inner []part
	if err == nil {
		inner, err = s.innerParts(ctx)
	}
	if err != nil {
		stopInner()
		return errors.Join(err, <-runs, s.letGo())
	}
	ended := make(chan error, len(inner)+2)
	go func() { ended <- <-runs }()
	frontCtx, stopFront := context.WithCancel(ctx)
	defer stopFront()
	inner = append(inner, part{"upgrade", func(ctx context.Context) error { return s.upgradeOnSignal(ctx, stopFront) }})
	for _, p := range inner {
		go func() { ended <- p.run(innerCtx) }()
	}
	frontEnded := part{"proxy", s.front.Serve}.begin(frontCtx)
	s.announce()
	return errors.Join(orderlyEnd(frontEnded, ended, stopFront, stopInner), s.letGo())
}

// orderlyEnd waits until the public side or one of the inner parts, as many as
// ended holds, has ended; then for the public side, and then for the others.
func orderlyEnd(front <-chan error, ended chan error, stopFront, stopInner func()) error {
	running := cap(ended)
	var failed error
	select {
	case failed = <-front:
	case failed = <-ended:
		running--
		stopFront()
		failed = errors.Join(failed, <-front)
	}
	stopInner()
	for range running {
		failed = errors.Join(failed, <-ended)
	}
	return failed
}

// begin runs the part, and returns where its end is told.
func (p part) begin(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	return ended
}

// runApp runs the app, or watches the one that someone else runs.
func (s *service) runApp(ctx context.Context) error {
	if s.app != nil {
		return s.app.Serve(ctx)
	}
	return s.sidecar.Serve(ctx)
}

// health is how systemd sees us: as well as the app.
func (s *service) health() systemd.Health {
	if s.app == nil {
		status := "forwarding to " + s.config.Upstream
		if err := s.sidecar.Away(); err != nil {
			status = err.Error()
		}
		return systemd.Health{Ready: true, Status: status} // the app's unit may wait for ours
	}
	return cmdline.Health(s.app, s.config.App)
}

func (p part) run(ctx context.Context) error {
	if err := p.serve(ctx); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// innerParts are all but the public side. Their listeners are open when it
// returns, so that a taken port is an error before anything runs.
func (s *service) innerParts(ctx context.Context) ([]part, error) {
	parts := []part{
		{"upkeep", s.upkeep},
		{"reload", s.reloadOnHangup},
		{"host names", s.names.resolver.Serve},
		{"history", s.admin.Sample},
		{"memory", giveBack},
		{"store and command socket", s.awaitLoss},
	}
	if s.before != nil {
		parts = append(parts, part{"predecessor", s.hearPredecessor})
	}
	parts = append(parts, part{"systemd", func(ctx context.Context) error {
		s.before.AwaitKnown(ctx)
		return s.manager.Serve(ctx, s.health)
	}})
	if s.notify != nil {
		parts = append(parts, part{"notifications", s.notify.Serve}, part{"notifications of bans", s.watchBans})
	}
	if s.config.Kernel {
		f, err := s.openKernel()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{"kernel", f.Serve})
	}
	if s.config.File != "" {
		parts = append(parts, part{"configuration file", s.configFile().watch})
	}
	if s.certs != nil {
		parts = append(parts, part{"certificate", s.certs.serve})
	}
	if s.adminAt != nil {
		parts = append(parts, part{"admin", func(ctx context.Context) error { return s.admin.Serve(ctx, s.adminAt) }})
	}
	return parts, nil
}

// Upkeep's times.
const (
	expireEvery     = 5 * time.Second
	interfacesEvery = time.Minute
	historyEvery    = time.Hour
)

// upkeep does what must be done now and then.
func (s *service) upkeep(ctx context.Context) error {
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	interfaces := time.NewTicker(interfacesEvery)
	defer interfaces.Stop()
	history := time.NewTicker(historyEvery)
	defer history.Stop()
	s.remember()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-expire.C:
			s.engine.Expire(now)
		case <-interfaces.C:
			if err := s.clients.now.Load().Refresh(); err != nil {
				s.log.Warn("own addresses", "error", err)
			}
		case <-history.C:
			s.remember()
		}
	}
}

// remember notes which routes the app has now, for the grace of those that a
// later version lacks.
func (s *service) remember() {
	if err := s.history.Note(s.table.Project(), time.Now(), s.config.RouteGrace); err != nil {
		s.log.Warn("route history", "error", err)
	}
}

// announce tells a person where everything is.
func (s *service) announce() {
	for _, url := range s.front.URLs() {
		s.log.Info("listening", "url", url, "mode", mode(s.config), "pid", os.Getpid())
	}
	if s.adminAt != nil {
		s.log.Info("status page, metrics and API; flask2ban page signs a browser in", "url", s.pageURL(), "state", s.dir)
	}
}

// observer hears what the app does.
type observer struct {
	service *service
	teller  appTeller
	states  cmdline.StateLog
}

var _ app.Observer = (*observer)(nil)

// URLMap implements app.Observer.
func (o *observer) URLMap(m routes.URLMap) {
	o.service.table.SetURLMap(m)
	o.service.mu.Lock()
	o.service.warnOfRoutes(o.service.current.Rules)
	o.service.mu.Unlock()
	o.service.remember()
}

// Exception implements app.Observer.
func (o *observer) Exception(e app.Exception) {
	o.service.metrics.Exception(e.Type)
	o.service.exceptions.Add(e)
	o.service.log.Warn("the app raised an exception",
		"type", e.Type, "message", e.Message, "method", e.Method, "path", e.Path, "route", e.Route, "id", e.RequestID)
}

// Event implements app.Observer.
func (o *observer) Event(e app.Event) {
	if e.Restart {
		o.service.metrics.Restarted(string(e.Kind))
	}
}

// State implements app.Observer.
func (o *observer) State(st app.State) {
	o.teller.tell(o.service.notify, st)
	o.states.Tell(st)
}
