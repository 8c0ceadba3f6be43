package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/overview"
)

func (c *cli) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Print how the running daemon is",
		Long:    "The exit code is 0 where it is ready to forward, else 1.",
		Example: cmdline.Example("flask2ban status", "flask2ban status --json | jq .instance.pid", "flask2ban status --stacks"),
		Args:    cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	stacks := cmd.Flags().Bool("stacks", false, "print the stacks of the app's threads before each kill")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		st, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			err = cmdline.WriteJSON(c.stdout, st)
		} else {
			err = errors.Join(writeStatus(c.stdout, st, c.program().Painter(c.stdout)), writeEvents(c.stdout, st.Events, *stacks))
		}
		if err == nil && !st.Ready {
			err = &cmdline.ExitError{Code: cmdline.Failed}
		}
		return err
	}
	return cmd
}

// writeStatus is the status for people: one line a matter.
func writeStatus(w io.Writer, st admin.Status, paint func(cmdline.Colour, string) string) error {
	up := cmdline.Span(time.Duration(st.UptimeSeconds * float64(time.Second)))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "flask2ban\t%s, pid %d, up %s, mode %s\n", st.Version, st.PID, up, st.Mode)
	fmt.Fprintf(tw, "ready\t%s\n", readiness(st, paint))
	fmt.Fprintf(tw, "app\t%s\n", describeApp(st))
	if st.Instance != nil {
		fmt.Fprintf(tw, "socket\t%s\n", cmdline.DescribeSocket(*st.Instance))
	}
	fmt.Fprintf(tw, "listening\t%s\n", strings.Join(st.Listen, ", "))
	if st.Queue != nil {
		fmt.Fprintf(tw, "requests\t%s\n", describeQueue(*st.Queue))
	}
	fmt.Fprintf(tw, "routes\t%s\n", describeRoutes(st.Routes))
	j := st.Judging
	fmt.Fprintf(tw, "clients\t%d tracked, %d suspects, %d requests held back now\n", j.Clients, j.Suspects, j.Waiting)
	fmt.Fprintf(tw, "bans\t%d in force\n", j.Banned)
	if st.Page != "" {
		fmt.Fprintf(tw, "page\t%s (flask2ban page signs a browser in)\n", st.Page)
	}
	fmt.Fprintf(tw, "state\t%s\n", st.StateDir)
	return tw.Flush()
}

// writeEvents lists what happened to the app: when, what was seen, what was
// done about it, and what it cost.
func writeEvents(w io.Writer, events []app.Event, stacks bool) error {
	var all error
	for _, e := range events {
		_, err := fmt.Fprintln(w, "  "+cmdline.DescribeEvent(e))
		all = errors.Join(all, err)
		for _, frame := range e.Stacks {
			if stacks {
				_, err := fmt.Fprintln(w, "    "+cmdline.Printable(frame))
				all = errors.Join(all, err)
			}
		}
	}
	return all
}

func readiness(st admin.Status, paint func(cmdline.Colour, string) string) string {
	if st.Ready {
		return paint(cmdline.Green, "yes")
	}
	return paint(cmdline.Red, "no") + ": " + cmdline.Printable(st.NotReady)
}

// describeApp says how the app runs, or who runs it.
func describeApp(st admin.Status) string {
	if st.Instance == nil {
		return fmt.Sprintf("%s, run by someone else at %s", st.App, st.Upstream)
	}
	return st.App + ", " + cmdline.DescribeInstance(*st.Instance)
}

// describeQueue says how busy the app is.
func describeQueue(q overview.Queue) string {
	text := fmt.Sprintf("%d with the app", q.InFlight)
	if q.Limit > 0 {
		text += fmt.Sprintf(" of %d at a time", q.Limit)
	}
	if q.Held > 0 {
		text += fmt.Sprintf(", %d wait until it is there", q.Held)
	}
	var waiting []string
	for _, class := range ban.Classes() {
		if n := q.Waiting[class.String()]; n > 0 {
			waiting = append(waiting, fmt.Sprintf("%d %s", n, class))
		}
	}
	switch {
	case len(waiting) == 0 && q.Held > 0:
		return text
	case len(waiting) == 0:
		return text + ", none waits"
	}
	longest := time.Duration(q.LongestWaitSeconds * float64(time.Second)).Round(100 * time.Millisecond)
	return text + ", waiting: " + strings.Join(waiting, ", ") + ", for " + longest.String() + " at most"
}

func describeRoutes(r admin.RouteCounts) string {
	text := fmt.Sprintf("%d from the source, %d more from the running app, %d learned", r.Static, r.Runtime, r.Learned)
	switch {
	case r.CatchAll != "":
		text += fmt.Sprintf("; %s makes every path valid: paths are no evidence", r.CatchAll)
	case r.Unresolved > 0:
		text += fmt.Sprintf("; %d places unresolved", r.Unresolved)
	case r.Complete:
		text += "; complete"
	}
	return text
}
