package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
)

// rootCommand is the whole command line.
func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "flask2ban APP [flags] [-- COMMAND ...]",
		Short: "Put a Flask app on the Internet, and keep out those who ask for what it doesn't have",
		Long: `flask2ban runs a Flask app, fronts it with a reverse proxy, and bans clients
that ask for URLs which the app does not have. It knows them from the app's
source code; the app stays as it is.

APP is a .py file, a directory, or module:object as "flask --app" takes it.
An APP that is called like a command is written as a path: ./status`,
		Example: cmdline.Example(
			"flask2ban app.py                           # on port 8080",
			"flask2ban app.py --listen :80 --mode observe",
			"flask2ban 'shop:create_app()' -- gunicorn -w 4 'shop:create_app()'",
			"flask2ban app.py --upstream http://127.0.0.1:5000   # don't start the app",
			"flask2ban why 192.0.2.1                    # what is held against a client"),
		Args: cobra.ArbitraryArgs,
		RunE: c.serveRoot,

		ValidArgsFunction: cmdline.CompleteApp,
	}
	serveFlags(root)
	root.SetUsageFunc(usageByGroup(root.UsageFunc()))
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	for _, g := range c.commands() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	return root
}

// commandGroup is a heading of the help text and what stands below it.
type commandGroup struct {
	id, title string
	commands  []*cobra.Command
}

func (c *cli) commands() []commandGroup {
	return []commandGroup{
		{"run", "Run and protect:", []*cobra.Command{c.serveCommand(), c.checkCommand(), c.configCommand()}},
		{"know", "What the app has:", []*cobra.Command{c.routesCommand(), c.explainCommand(), c.replayCommand()}},
		{"judge", "The running daemon:", []*cobra.Command{
			c.statusCommand(), c.topCommand(), c.pageCommand(), c.rulesCommand(), c.bansCommand(), c.whyCommand(), c.reloadCommand(),
		}},
		{"other", "Other:", []*cobra.Command{c.unitCommand(), c.probeCommand(), c.program().VersionCommand()}},
	}
}

func (c *cli) unitCommand() *cobra.Command {
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(settings)
	return c.program().UnitCommand(settings, func(flags *pflag.FlagSet) (*config.Config, error) {
		return config.Load(flags, c.getenv, "")
	})
}

func (c *cli) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve APP [flags] [-- COMMAND ...]",
		Short: "Run, front and protect an app (as does APP alone)",
		Example: cmdline.Example(
			"flask2ban serve app.py --listen :80",
			"flask2ban serve hello:app --config flask2ban.yaml",
			"flask2ban serve app.py -- gunicorn -w 4 app:app"),
		Args: cobra.ArbitraryArgs,
		RunE: c.serveArgs,
	}
	serveFlags(cmd)
	return cmd
}

// serveRoot is the command line without a command: an APP, or a mistake.
func (c *cli) serveRoot(cmd *cobra.Command, args []string) error {
	if cmdline.Mistyped(cmd, args) {
		return cmdline.UnknownCommand(cmd, args[0])
	}
	return c.serveArgs(cmd, args)
}

// serveArgs splits "APP -- COMMAND ..." and serves.
func (c *cli) serveArgs(cmd *cobra.Command, args []string) error {
	name, command, err := cmdline.AppAndCommand(cmd, args)
	switch {
	case err != nil:
		return err
	case name != "":
		return c.serve(cmd.Context(), name, command, cmd.Flags())
	case cmd.Flags().NFlag() == 0 && c.getenv("FLASK2BAN_APP") == "" && c.getenv("FLASK2BAN_CONFIG") == "" && c.getenv("FLASK2BAN_UPSTREAM") == "":
		return cmdline.Usagef("no app: write flask2ban app.py, or flask2ban --help for everything else")
	}
	// The app may be named by the configuration.
	return c.serve(cmd.Context(), "", command, cmd.Flags())
}
