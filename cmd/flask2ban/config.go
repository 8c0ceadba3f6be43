package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check CONFIG",
		Short:   "Say whether a configuration file is valid, or where it is not",
		Long:    "Every mistake is reported with file, line and column, and the nearest valid key.\nThe exit code is 2 where there is one.",
		Example: cmdline.Example("flask2ban check flask2ban.yaml"),
		Args:    cmdline.Arguments("CONFIG"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := config.Check(args[0]); err != nil {
				// One mistake a line and nothing before it: editors jump there.
				fmt.Fprintln(c.stderr, err)
				return &cmdline.ExitError{Code: cmdline.BadlyCalled}
			}
			_, err := fmt.Fprintf(c.stdout, "%s is valid\n", args[0])
			return err
		},
	}
}

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config [APP] [flags] [-- COMMAND ...]",
		Short: "Print the effective configuration and where each value came from",
		Long: `Flags override the environment, which overrides the file, which overrides a
preset, which overrides the defaults. What is printed is itself a valid
configuration file.`,
		Example: cmdline.Example(
			"flask2ban config",
			"flask2ban config app.py --preset strict --config flask2ban.yaml"),
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := config.SetApp(cmd.Flags(), args, cmd.ArgsLenAtDash()); err != nil {
				return cmdline.Usage(err)
			}
			effective, err := config.Load(cmd.Flags(), c.getenv, "")
			if err != nil {
				return cmdline.Usage(err)
			}
			return effective.WriteEffective(c.stdout)
		},
	}
	serveFlags(cmd)
	return cmd
}
