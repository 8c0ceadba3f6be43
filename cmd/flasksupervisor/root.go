package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
)

// rootCommand is the whole command line.
func (c *cli) rootCommand() *cobra.Command {
	settings := supervisorSettings()
	root := &cobra.Command{
		Use:   "flasksupervisor APP [flags] [-- COMMAND ...]",
		Short: "Keep a Flask app alive, on its own port",
		Long: `flasksupervisor runs a Flask app and starts it again when it crashes or hangs.
The app stays on the port that it names; that port stays open while the app
restarts, so that clients wait and nobody is refused.

APP is a .py file, a directory, or module:object as "flask --app" takes it.
An APP that is called like a command is written as a path: ./status`,
		Example: cmdline.Example(
			"flasksupervisor app.py                       # on the port of app.run(port=...)",
			"flasksupervisor shop:create_app --listen :8080",
			"flasksupervisor app.py -- gunicorn -w 4 -b :8000 app:app",
			"flasksupervisor status"),
		Args: cobra.ArbitraryArgs,

		ValidArgsFunction: cmdline.CompleteApp,
	}
	root.Flags().AddFlagSet(settings)
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if cmdline.Mistyped(cmd, args) {
			return cmdline.UnknownCommand(cmd, args[0])
		}
		name, command, err := cmdline.AppAndCommand(cmd, args)
		if err != nil {
			return err
		}
		cfg, err := c.load(settings)
		if err != nil {
			return cmdline.Usage(err)
		}
		if name != "" {
			cfg.App = name
		}
		if command != nil {
			cfg.Command = command
		}
		if cfg.App == "" && len(cfg.Command) == 0 {
			return cmdline.Usagef("no app: write flasksupervisor app.py, or flasksupervisor --help for everything else")
		}
		return c.supervise(cmd.Context(), cfg)
	}
	unit := supervisorSettings()
	root.AddCommand(c.statusCommand(), c.logsCommand(), c.restartCommand(), c.stopCommand(),
		c.UnitCommand(unit, c.load), c.VersionCommand())
	return root
}

// notOurs are flask2ban's settings of its group "App" that mean nothing without
// a proxy.
var notOurs = map[string]bool{"upstream": true, "no-proxy-fix": true}

// alsoOurs are settings of other groups.
var alsoOurs = []string{"listen", "state", "log-format", "log-level"}

// supervisorSettings are the flags: what flask2ban's settings say of an app, and
// a few others.
func supervisorSettings() *pflag.FlagSet {
	chosen := pflag.NewFlagSet("", pflag.ContinueOnError)
	var apps, all pflag.FlagSet
	config.AddFlags(&apps, config.GroupApp)
	apps.VisitAll(func(f *pflag.Flag) {
		if !notOurs[f.Name] {
			chosen.AddFlag(f)
		}
	})
	config.AddFlags(&all)
	for _, key := range alsoOurs {
		f := all.Lookup(key)
		switch key {
		case "listen":
			f.Usage, f.DefValue = "address to listen on (default: the one that the app names, else 127.0.0.1:5000)", ""
		case "state":
			f.Usage = strings.ReplaceAll(f.Usage, "flask2ban", "flasksupervisor")
		}
		chosen.AddFlag(f)
	}
	return chosen
}

// load reads the settings; the environment's are FLASKSUPERVISOR_...
func (c *cli) load(flags *pflag.FlagSet) (*config.Config, error) {
	const prefix = "FLASKSUPERVISOR_"
	cfg, err := config.Load(flags, func(name string) string {
		key, ours := strings.CutPrefix(name, config.EnvPrefix)
		if !ours || flags.Lookup(strings.ToLower(strings.ReplaceAll(key, "_", "-"))) == nil {
			return ""
		}
		return c.Getenv(prefix + key)
	}, "")
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), config.EnvPrefix, prefix))
	}
	if cfg.Origin("listen").Layer == config.FromDefault {
		cfg.Listen = nil
	}
	if len(cfg.Listen) > 1 {
		return nil, errors.New("--listen: one address; the app has one socket")
	}
	return cfg, nil
}
