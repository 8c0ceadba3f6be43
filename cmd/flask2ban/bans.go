package main

import (
	"bufio"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
)

func (c *cli) bansCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bans",
		Short:   "List, add, remove, export and import bans",
		Example: cmdline.Example("flask2ban bans list", "flask2ban bans add 192.0.2.1 --for 1h --reason 'fills our forms'", "flask2ban bans remove 192.0.2.1"),
		Args:    cobra.ArbitraryArgs,
		RunE:    cmdline.Group,

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(c.bansListCommand(), c.bansAddCommand(), c.bansRemoveCommand(), c.bansExportCommand(), c.bansImportCommand())
	return cmd
}

func (c *cli) bansAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add CLIENT",
		Short: "Ban an address or a range",
		Example: cmdline.Example(
			"flask2ban bans add 192.0.2.1",
			"flask2ban bans add 2001:db8::/48 --for 7d --reason 'scrapes the shop'"),
		Args: cmdline.Arguments("CLIENT"),
	}
	dir := c.program().StateFlag(cmd)
	long := cmd.Flags().String("for", "", "how `long`, such as 30m, 12h or 7d; default: 1h")
	reason := cmd.Flags().String("reason", "", "why; the client is shown it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		order, err := newOrder(args[0], *long, *reason)
		if err != nil {
			return err
		}
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		b, err := client.Ban(cmd.Context(), order)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.stdout, "%s is banned for %s, until %s\n",
			ban.FormatClient(b.Client), cmdline.Span(b.Until.Sub(b.Since)), cmdline.Clock(b.Until))
		return err
	}
	return cmd
}

// newOrder checks what can be checked without the daemon: those are mistakes
// of the command line.
func newOrder(client, long, reason string) (admin.Order, error) {
	if _, err := ban.ParseClient(client); err != nil {
		return admin.Order{}, cmdline.Usage(err)
	}
	if long != "" {
		if _, err := config.ParseDuration(long); err != nil {
			return admin.Order{}, cmdline.Usagef("--for: %w", err)
		}
	}
	return admin.Order{Client: client, Duration: long, Reason: reason}, nil
}

func (c *cli) bansRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove CLIENT",
		Short: "End a ban and forget what led to it",
		Long: `Ends the ban of an address or CIDR and sets its score, its count of bans and what
rules have counted of it to zero. For a findtime (10m) it is then not banned
again, whatever it does, but by "flask2ban bans add".`,
		Example:           cmdline.Example("flask2ban bans remove 192.0.2.1", "flask2ban bans remove 2001:db8::/48 --inside"),
		Args:              cmdline.Arguments("CLIENT"),
		ValidArgsFunction: c.completeBans,
	}
	dir := c.program().StateFlag(cmd)
	inside := cmd.Flags().Bool("inside", false, "end the bans of all that lies inside CLIENT, too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := ban.ParseClient(args[0]); err != nil {
			return cmdline.Usage(err)
		}
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		removed, err := client.Unban(cmd.Context(), args[0], *inside)
		if err != nil {
			return err
		}
		return writeRemoval(c.stdout, args[0], removed, cmdline.StateHint(*dir))
	}
	return cmd
}

// writeRemoval says what was done, and what was not. hint is what the commands
// that it names need besides.
func writeRemoval(w io.Writer, client string, r admin.Removal, hint string) error {
	out := bufio.NewWriter(w)
	if b := r.Removed; b != nil {
		client = ban.FormatClient(b.Client)
		fmt.Fprintf(out, "%s is no longer banned: it was since %s and would have been until %s, by rule %s (%s); its score is 0\n",
			client, cmdline.Clock(b.Since), cmdline.Clock(b.Until), b.Rule, cmdline.Printable(b.Reason))
	} else if r.Forgiven {
		fmt.Fprintf(out, "%s was not banned; what was held against it is forgotten, its score is 0\n", client)
	}
	if !r.Grace.IsZero() {
		fmt.Fprintf(out, "it is not banned again before %s, whatever it does: flask2ban why %s%s\n", cmdline.Clock(r.Grace), client, hint)
	}
	switch names := admin.Names(r.Inside, r.InsideCount); {
	case r.InsideEnded:
		fmt.Fprintf(out, "%d bans inside it are ended: %s\n", r.InsideCount, names)
	case r.InsideCount > 0:
		fmt.Fprintf(out, "%d bans inside it go on: %s\nto end them: flask2ban bans remove %s --inside%s\n", r.InsideCount, names, client, hint)
	}
	if b := r.Still; b != nil {
		still := ban.FormatClient(b.Client)
		fmt.Fprintf(out, "but it is part of %s, which is still banned until %s: flask2ban bans remove %s%s\n", still, cmdline.Clock(b.Until), still, hint)
	}
	return out.Flush()
}
