package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

func (c *cli) reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again, or replace the app",
		Long: `The new configuration is checked first: a bad one leaves the old one in force
and is reported. Bans, scores and connections stay. Settings that only a restart
changes are named.

With --app the app is replaced instead, as after a deployment: the new instance
serves before the old one gets no more requests, and the old one ends when its
requests are done. A version that does not start is reported; the old one goes on.
SIGHUP does both.`,
		Example: cmdline.Example("flask2ban reload", "flask2ban reload --app"),
		Args:    cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	theApp := cmd.Flags().Bool("app", false, "replace the app's instances, without a loss")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		if *theApp {
			if err := client.Restart(cmd.Context()); err != nil {
				return fmt.Errorf("reload: %w", err)
			}
			_, err = fmt.Fprintln(c.stdout, "the app was replaced")
			return err
		}
		reloaded, err := client.Reload(cmd.Context())
		if err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		said := "reloaded"
		if len(reloaded.NeedRestart) > 0 {
			said += ", but for what only a restart of flask2ban changes: " + strings.Join(reloaded.NeedRestart, ", ")
		}
		_, err = fmt.Fprintln(c.stdout, said)
		return err
	}
	return cmd
}
