package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/state"
)

// asking makes a command that asks the running daemon.
func (c *cli) asking(cmd *cobra.Command, ask func(context.Context, *admin.Client) error) *cobra.Command {
	cmd.Args = cmdline.Arguments()
	dir := c.StateFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.Daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		return ask(cmd.Context(), client)
	}
	return cmd
}

func (c *cli) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Print how the app is, and what happened to it",
		Long:    "The exit code is 0 where the app is ready, else 1.",
		Example: cmdline.Example("flasksupervisor status", "flasksupervisor status --json | jq .instance.pid"),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	return c.asking(cmd, func(ctx context.Context, client *admin.Client) error {
		st, err := client.Supervised(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			err = cmdline.WriteJSON(c.Stdout, st)
		} else {
			err = writeStatus(c.Stdout, st, c.Painter(c.Stdout))
		}
		if err == nil && !st.Ready {
			err = &cmdline.ExitError{Code: cmdline.Failed}
		}
		return err
	})
}

// shownEvents is how many events the status lists, the latest first.
const shownEvents = 10

func writeStatus(w io.Writer, st admin.SupervisedStatus, paint func(cmdline.Colour, string) string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "flasksupervisor\t%s, pid %d, up %s\n", st.Version, st.PID, cmdline.Span(time.Duration(st.UptimeSeconds*float64(time.Second))))
	ready := paint(cmdline.Green, "yes")
	if !st.Ready {
		ready = paint(cmdline.Red, "no")
	}
	fmt.Fprintf(tw, "ready\t%s\n", ready)
	fmt.Fprintf(tw, "app\t%s, %s\n", st.App, cmdline.DescribeInstance(st.Instance))
	fmt.Fprintf(tw, "socket\t%s\n", cmdline.DescribeSocket(st.Instance))
	fmt.Fprintf(tw, "listening\t%s\n", cmp.Or(strings.Join(st.Listen, ", "), "not yet"))
	fmt.Fprintf(tw, "state\t%s\n", st.StateDir)
	if err := tw.Flush(); err != nil {
		return err
	}
	events := st.Events[:min(shownEvents, len(st.Events))]
	if len(events) > 0 {
		fmt.Fprintln(w)
	}
	for _, e := range events {
		if _, err := fmt.Fprintln(w, cmdline.DescribeEvent(e)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) logsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "logs",
		Short:   "Print the end of the app's output",
		Example: cmdline.Example("flasksupervisor logs", "flasksupervisor logs -f -n 20"),
	}
	lines := cmd.Flags().IntP("lines", "n", 100, "how many lines, at most "+fmt.Sprint(keptLines))
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what comes, until Ctrl-C")
	return c.asking(cmd, func(ctx context.Context, client *admin.Client) error {
		if *lines < 0 {
			return cmdline.Usagef("--lines %d: must be 0 or more", *lines)
		}
		return client.Logs(ctx, c.Stdout, *lines, *follow)
	})
}

func (c *cli) restartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Start the app anew, with nobody refused",
		Long: `The new instance serves before the old one is ended, which finishes its requests
first. Where the new one does not start, the old one goes on, and the error says
why.`,
		Example: cmdline.Example("flasksupervisor restart"),
	}
	return c.asking(cmd, func(ctx context.Context, client *admin.Client) error {
		if err := client.Restart(ctx); err != nil {
			return fmt.Errorf("restart: %w", err)
		}
		_, err := fmt.Fprintln(c.Stdout, "restarted")
		return err
	})
}

func (c *cli) stopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stop",
		Short:   "End the app, when its requests are done, and its supervisor",
		Example: cmdline.Example("flasksupervisor stop"),
	}
	return c.asking(cmd, func(ctx context.Context, client *admin.Client) error {
		st, err := client.Supervised(ctx)
		if err != nil {
			return err
		}
		if err := client.Stop(ctx); err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		if err := awaitEnd(ctx, st.StateDir); err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.Stdout, "stopped")
		return err
	})
}

// awaitEnd returns when nobody answers in a state directory any more.
func awaitEnd(ctx context.Context, dir string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := state.Dial(ctx, dir)
		if err != nil {
			return ctx.Err()
		}
		conn.Close()
		select {
		case <-ctx.Done():
			return errors.New("it is still ending")
		case <-tick.C:
		}
	}
}
