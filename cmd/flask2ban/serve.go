package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/handover"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

func serveFlags(cmd interface{ Flags() *pflag.FlagSet }) { config.AddFlags(cmd.Flags()) }

// serve runs, fronts and protects an app until ctx ends.
func (c *cli) serve(ctx context.Context, appName string, command []string, flags *pflag.FlagSet) error {
	load := func() (*config.Config, error) {
		cfg, err := config.Load(flags, c.getenv, "")
		if err != nil {
			return nil, err
		}
		cfg.App = orText(appName, cfg.App)
		if command != nil {
			cfg.Command = command
		}
		return cfg, nil
	}
	cfg, err := load()
	if err != nil {
		return cmdline.Usage(err)
	}
	if cfg.App == "" {
		return cmdline.Usagef("no app: write flask2ban app.py; in front of an app that runs already, its source is still where its routes stand: flask2ban app.py --upstream %s",
			orText(cfg.Upstream, "http://127.0.0.1:5000"))
	}
	c.tuneMemory()
	events := &overview.Events{}
	log := slog.New(events.Tee(cmdline.NewLogger(c.stderr, cfg).Handler()))
	s := &service{cli: c, config: cfg, current: cfg, load: load, log: log, events: events, manager: &systemd.Notifier{Log: log}, lost: make(chan struct{}, 1)}
	defer cmdline.Survive()()
	if s.before, err = handover.FromPredecessor(); err != nil {
		return err
	}
	err = s.open(ctx)
	if err == nil {
		err = s.run(ctx)
	}
	if err != nil && s.before != nil {
		s.before.Fail(err)
	}
	return errors.Join(cmdline.ExitOf(err), s.close(), cmdline.WaitFor(ctx, s.before, s.after))
}

func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// openAccessLog opens the file that an access log goes to; nil for none.
func (s *service) openAccessLog() (io.Writer, error) {
	switch path := s.config.AccessLog; path {
	case "":
		return nil, nil
	case "-":
		return s.cli.stdout, nil
	default:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
		s.closers = append(s.closers, f.Close)
		return f, nil
	}
}
