package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/kernel"
	"github.com/flask2ban/flask2ban/internal/replay"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/store"
)

// guard enforces what a followed log leads to, in the packet filter, for an
// app that somebody else serves: what fail2ban does. Its bans are kept in a
// state directory, and commands reach it there as they do a daemon.
type guard struct {
	config  *config.Config
	clients *clientip.Resolver
	ports   []uint16
	log     *slog.Logger

	dir    string
	engine *ban.Engine
	store  ban.Store
	judged atomic.Int64 // up to when, in nanoseconds since 1970

	stop  context.CancelFunc
	ended []chan error
	// closers undo what was opened, last first.
	closers []func() error
}

// newGuard opens what must be there before the log is read. Close it whatever
// comes.
func (c *cli) newGuard(ctx context.Context, cfg *config.Config, clients *clientip.Resolver, ports []uint) (*guard, error) {
	g := &guard{config: cfg, clients: clients, log: cmdline.NewLogger(c.stderr, cfg)}
	for _, p := range ports {
		if p == 0 || p > 65535 {
			return nil, cmdline.Usagef("--port %d: want 1 to 65535", p)
		}
		g.ports = append(g.ports, uint16(p))
	}
	if names := namesIn(cfg); len(names) > 0 {
		return nil, cmdline.Usagef("--kernel: host names can't be told from a log: write %s as addresses", strings.Join(names, ", "))
	}
	if cfg.Observe {
		return nil, cmdline.Usagef("--kernel drops clients, and the configuration says observe: take that out, or leave --kernel")
	}
	var err error
	if g.dir = cfg.State; g.dir == "" {
		if g.dir, err = state.Dir("flask2ban", cmp.Or(cfg.App, "replay"), c.root, c.getenv); err != nil {
			return nil, cmdline.Usage(err)
		}
	}
	if err := state.Create(g.dir); err != nil {
		return nil, err
	}
	g.store, err = store.Open(ctx, cfg.Store, g.dir, store.WithLog(g.log))
	if err != nil {
		return nil, err
	}
	g.closers = append(g.closers, g.store.Close)
	return g, nil
}

// namesIn are the host names of ignore lists and rules.
func namesIn(cfg *config.Config) []string {
	names := hosts(cfg.Ignore)
	for _, r := range cfg.Rules {
		names = append(names, hosts(r.Match.Peers)...)
	}
	return names
}

// live is the guard's part of a replay.
func (g *guard) live(ctx context.Context) (*replay.Live, error) {
	after, err := g.position()
	if err != nil {
		return nil, err
	}
	return &replay.Live{
		After:  after,
		Begin:  func(e *ban.Engine) error { return g.begin(ctx, e) },
		Judged: func(t time.Time) { g.judged.Store(t.UnixNano()) },
	}, nil
}

// begin starts to enforce. The parts outlive ctx until close, so that what was
// decided last is saved.
func (g *guard) begin(ctx context.Context, e *ban.Engine) error {
	g.engine = e
	if err := e.Restore(ctx, g.store); err != nil {
		return err
	}
	l, err := state.Listen(ctx, g.dir)
	if err != nil {
		return err
	}
	g.closers = append(g.closers, l.Close)
	api, err := admin.New(admin.Config{Engine: e, Log: g.log, Info: admin.Info{
		Version: version(), App: cmp.Or(g.config.App, "replay --learn"), Mode: "enforce", PID: os.Getpid(),
		StateDir: g.dir, Started: time.Now(),
	}})
	if err != nil {
		return err
	}
	f, err := kernel.Open(kernel.Config{Bans: g.bans, Ports: g.ports, Log: g.log})
	if err != nil {
		return err
	}
	g.closers = append(g.closers, f.Close)
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.stop = stop
	for _, p := range []part{
		{"engine", func(ctx context.Context) error { return e.Serve(ctx, g.store) }},
		{"kernel", f.Serve},
		{"command socket", func(ctx context.Context) error { return api.Serve(ctx, l) }},
		{"position", g.keepPosition},
	} {
		ended := make(chan error, 1)
		g.ended = append(g.ended, ended)
		go func() { ended <- p.run(inner) }()
	}
	return nil
}

// close ends the parts in order.
func (g *guard) close() error {
	if g.stop != nil {
		g.stop()
	}
	var all error
	for _, ended := range g.ended {
		all = errors.Join(all, <-ended)
	}
	for _, c := range slices.Backward(g.closers) {
		if err := c(); !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// bans are those for the packet filter. There is nobody to tell the client, as
// with fail2ban.
func (g *guard) bans(now time.Time) []kernel.Ban {
	return kernelBans(g.engine.Bans(now), g.config, g.clients, func(ban.Ban) bool { return true })
}

// positionFile holds up to when the log was judged.
const positionFile = "replay.position"

// position is up to when an earlier run has judged; zero where there was none.
// One in the future, by a clock that was wrong, doesn't count.
func (g *guard) position() (time.Time, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, positionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil || at.After(time.Now()) {
		g.log.Warn("the place in the log is not known; it is judged from its beginning", "file", filepath.Join(g.dir, positionFile), "error", err)
		return time.Time{}, nil
	}
	return at, nil
}

// keepPosition writes the position now and then, and at the end, so that a
// restart doesn't hold the same requests against clients again: what an
// operator has forgiven stays so. It also has the engine forget.
func (g *guard) keepPosition(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var written int64
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case now := <-tick.C:
			g.engine.Expire(now)
		}
		if at := g.judged.Load(); at != written {
			if err := g.writePosition(time.Unix(0, at)); err != nil {
				g.log.Error("the place in the log can't be saved; after a restart requests may be judged again", "error", err)
			}
			written = at
		}
		if last {
			return nil
		}
	}
}

func (g *guard) writePosition(at time.Time) error {
	name := filepath.Join(g.dir, positionFile)
	if err := os.WriteFile(name+".new", []byte(at.UTC().Format(time.RFC3339Nano)+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}
