package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/replay"
)

// replayView is what "replay" reads and prints besides the settings.
type replayView struct {
	learn, follow, json, kernel bool
	html                        string
	sweep                       []string
	rows                        int
	ports                       []uint
}

func (c *cli) replayCommand() *cobra.Command {
	var v replayView
	cmd := &cobra.Command{
		Use:   "replay APP LOG... | --learn LOG...",
		Short: "Tell from access logs who would have been banned, and after what",
		Long: `Every request of the logs goes through the same route table and the same
judgement as in the daemon, at the log's own time and as if mode were enforce.
The logs' format is found out: combined (nginx, Apache, gunicorn), common,
Werkzeug's, nginx's with escape=json, Caddy's; plain, gzip or zstd; - is the
standard input. Their order doesn't matter. The app's word is taken from the
status: 404 means that it lacks the URL.

With --learn there is no app: what the logs say was answered with 2xx or 3xx
is the table, path by path.

Clients that mostly used the app's own routes come first: those bans are likely
wrong.

With -f --kernel the bans are real: the kernel's packet filter drops the clients,
for an app that somebody else serves. Bans are kept over a restart, and the
commands bans, why and status work as with a daemon; SIGTERM ends it and lifts
them.`,
		Example: cmdline.Example(
			"flask2ban replay app.py /var/log/nginx/access.log*",
			"flask2ban replay --learn access.log --html report.html",
			"flask2ban replay app.py access.log --maxretry 8 --sweep maxretry=3..10",
			"flask2ban replay app.py -f /var/log/nginx/access.log",
			"sudo flask2ban replay app.py -f --kernel --port 443 /var/log/nginx/access.log"),
		Args: func(cmd *cobra.Command, args []string) error { return v.arguments(cmd, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&v.learn, "learn", false, "take what was answered in the logs as the table, instead of an app's")
	f.BoolVarP(&v.follow, "follow", "f", false, "go on with the last LOG as it grows, and print bans as they would happen")
	f.BoolVar(&v.json, "json", false, "print one JSON object instead of tables")
	f.StringVar(&v.html, "html", "", "write the report to this `file`, as one page that needs no other")
	f.StringArrayVar(&v.sweep, "sweep", nil, "compare with other settings, as in maxretry=3..10 or findtime=5m,1h; repeatable")
	f.BoolVar(&v.kernel, "kernel", false, "with -f: drop banned clients in the kernel's packet filter (nf_tables); needs CAP_NET_ADMIN")
	f.UintSliceVar(&v.ports, "port", []uint{80, 443}, "with --kernel: TCP `port` of this machine that banned clients don't reach; repeatable")
	f.IntVar(&v.rows, "rows", 0, "how many rows of each table to print (20)")
	replayFlags(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return c.replay(cmd.Context(), f, args, v) }
	return cmd
}

// replayFlags are the settings that judging depends on.
func replayFlags(f *pflag.FlagSet) {
	var all pflag.FlagSet
	config.AddFlags(&all, config.GroupApp, config.GroupClient, config.GroupJudge, config.GroupRoutes, config.GroupDaemon)
	for _, key := range []string{
		"python", "prefix", "werkzeug", "config", "trusted-proxy", "client-header", "ipv4-prefix", "ipv6-prefix", "ipv6-widest", "ban-private",
		"ignore", "preset", "maxretry", "findtime", "bantime", "bantime-max", "max-clients", "benign", "honeypath", "no-default-lists",
		"state", "store",
	} {
		f.AddFlag(all.Lookup(key))
	}
}

func (v *replayView) arguments(cmd *cobra.Command, args []string) error {
	logs := args
	if !v.learn {
		if len(args) < 2 {
			return cmdline.Usagef("%s: want an APP and a LOG, or --learn and a LOG; write %s", cmdline.Path(cmd), cmd.UseLine())
		}
		logs = args[1:]
	}
	stdins := 0
	for _, name := range logs {
		if name == "-" {
			stdins++
		}
	}
	switch {
	case len(logs) == 0:
		return cmdline.Usagef("%s: LOG missing; write %s", cmdline.Path(cmd), cmd.UseLine())
	case stdins > 1:
		return cmdline.Usagef("- stands twice: there is one standard input")
	case v.follow && logs[len(logs)-1] == "-":
		return cmdline.Usagef("-f: the standard input is read to its end anyway; leave -f out")
	case v.kernel && !v.follow:
		return cmdline.Usagef("--kernel needs -f: the bans of a log that has ended are over")
	case v.kernel && len(v.sweep) > 0:
		return cmdline.Usagef("--kernel and --sweep exclude each other: one setting can be enforced")
	case v.rows < 0:
		return cmdline.Usagef("--rows %d: must be 0 or more", v.rows)
	}
	return nil
}

func (c *cli) replay(ctx context.Context, f *pflag.FlagSet, args []string, v replayView) error {
	cfg, err := config.Load(f, c.getenv, "")
	if err != nil {
		return cmdline.Usage(err)
	}
	r := replay.Config{Stdin: c.stdin, Follow: v.follow, Logs: args, Lists: lists(cfg)}
	if !v.learn {
		cfg.App, r.Logs = args[0], args[1:]
		if r.Table, err = c.readTable(ctx, cfg); err != nil {
			return err
		}
	}
	if r.Clients, err = newResolver(cfg); err != nil {
		return cmdline.Usage(err)
	}
	if len(cfg.TrustedProxies) > 0 {
		r.Header = cfg.ClientHeader
	}
	r.Setting = replay.Setting{Name: "as configured", Engine: rehearsed(cfg)}
	if r.Sweep, err = sweeps(f, c.getenv, v.sweep); err != nil {
		return err
	}
	show := c.watchReplay(&r, v)
	report, err := c.runReplay(ctx, r, cfg, v)
	show.end()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return cmdline.Usage(err)
	case err != nil:
		return err
	}
	return c.printReplay(report, v)
}

// runReplay runs it, with --kernel under a guard.
func (c *cli) runReplay(ctx context.Context, r replay.Config, cfg *config.Config, v replayView) (report *replay.Report, err error) {
	if !v.kernel {
		return replay.Run(ctx, r)
	}
	g, err := c.newGuard(ctx, cfg, r.Clients, v.ports)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if r.Live, err = g.live(ctx); err != nil {
		return nil, err
	}
	return replay.Run(ctx, r)
}

func (c *cli) printReplay(r *replay.Report, v replayView) error {
	if v.html != "" {
		if err := writeTo(v.html, c.stdout, r.WriteHTML); err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	switch {
	case v.json:
		return r.WriteJSON(c.stdout)
	case v.html == "-", v.kernel:
		return nil
	}
	paint := c.program().Painter(c.stdout)
	return r.WriteText(c.stdout, replay.TextStyle{
		Width: terminalWidth(c.stdout), Rows: v.rows,
		Warn: func(s string) string { return paint(cmdline.Yellow, s) },
		Head: func(s string) string { return paint(cmdline.Bold, s) },
	})
}

// writeTo writes a file, or the standard output for "-".
func writeTo(name string, stdout io.Writer, write func(io.Writer) error) error {
	if name == "-" {
		return write(stdout)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// rehearsed is what the daemon would give its engine; replay brings its own
// standing and has no store.
func rehearsed(cfg *config.Config) ban.Config { return new(service).judging(cfg) }

// sweepKeys are the settings that a sweep can change.
var sweepKeys = []string{"maxretry", "findtime", "bantime", "bantime-max", "preset"}

func sweepable(key string) bool { return slices.Contains(sweepKeys, key) }
