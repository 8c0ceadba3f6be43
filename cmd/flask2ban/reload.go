package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

func (c *cli) reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again",
		Long: `The new configuration is checked first: a bad one leaves the old one in force
and is reported. Bans, scores and connections stay.`,
		Example: cmdline.Example("flask2ban reload"),
		Args:    cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.Reload(cmd.Context()); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		_, err = fmt.Fprintln(c.stdout, "reloaded")
		return err
	}
	return cmd
}
