package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again",
		Long: `The new configuration is checked first: a bad one leaves the old one in force
and is reported. Bans, scores and connections stay.`,
		Example: example("flask2ban reload"),
		Args:    arguments(),
	}
	dir := stateFlag(cmd)
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
