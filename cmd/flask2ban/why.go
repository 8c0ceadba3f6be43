package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
)

func (c *cli) whyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "why CLIENT",
		Short:             "Explain what is held against a client, and how to undo it",
		Example:           cmdline.Example("flask2ban why 192.0.2.1", "flask2ban why 2001:db8::1 --json"),
		Args:              cmdline.Arguments("CLIENT"),
		ValidArgsFunction: c.completeBans,
	}
	dir := c.program().StateFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := ban.ParseClient(args[0]); err != nil {
			return cmdline.Usage(err)
		}
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		e, err := client.Why(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if e.Undo != "" {
			e.Undo += cmdline.StateHint(*dir)
		}
		if *asJSON {
			return cmdline.WriteJSON(c.stdout, e)
		}
		return writeWhy(c.stdout, e, c.program().Painter(c.stdout))
	}
	return cmd
}

// stateColours are the colours of the states of a client.
func stateColours() map[string]cmdline.Colour {
	return map[string]cmdline.Colour{"blocked": cmdline.Red, "suspect": cmdline.Yellow, "known_good": cmdline.Green}
}

func writeWhy(w io.Writer, e admin.Explanation, paint func(cmdline.Colour, string) string) error {
	state := strings.ReplaceAll(e.State, "_", " ")
	if code, ok := stateColours()[e.State]; ok {
		state = paint(code, state)
	}
	fmt.Fprintf(w, "%s is %s: %s\n", paint(cmdline.Bold, e.Client), state, cmdline.Printable(e.Summary))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "score\t%.4g, suspect from %.4g, blocked from %.4g within %s\n", e.Score, e.SuspectAt, e.MaxRetry, shortDuration(e.FindTime))
	if e.Soft > 0 {
		fmt.Fprintf(tw, "soft\t%.4g of the score, on %d paths: a page could have made the client ask these\n", e.Soft, e.SoftPaths)
	}
	writeBan(tw, e)
	fmt.Fprintf(tw, "record\t%d seconds of use of the app's own routes, %d offences%s\n", e.Good, e.Bad, shared(e))
	writeRuleLines(tw, e.Rules)
	if e.InsideCount > 0 {
		fmt.Fprintf(tw, "inside\t%d banned: %s\n", e.InsideCount, admin.Names(e.Inside, e.InsideCount))
	}
	if !e.Grace.IsZero() {
		fmt.Fprintf(tw, "grace\tnot banned before %s but by a person\n", cmdline.Clock(e.Grace))
	}
	if !e.Expires.IsZero() {
		fmt.Fprintf(tw, "normal again\t%s if it does nothing more\n", cmdline.Clock(e.Expires))
	}
	if e.Undo != "" {
		fmt.Fprintf(tw, "undo\t%s\n", e.Undo)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return writeEvidence(w, e)
}

func writeBan(w io.Writer, e admin.Explanation) {
	if b := e.Ban; b != nil {
		fmt.Fprintf(w, "ban\t%s from %s until %s by rule %s: %s, %d refused so far\n",
			ban.FormatClient(b.Client), cmdline.Clock(b.Since), cmdline.Clock(b.Until), b.Rule, b.Penalty, b.Refusals)
	}
	if e.Bans > 0 {
		fmt.Fprintf(w, "bans so far\t%d, forgotten %s\n", e.Bans, cmdline.Clock(e.Forgotten))
	}
}

// writeRuleLines says what policy rules have to do with the client.
func writeRuleLines(w io.Writer, rules []ban.RuleLine) {
	for _, r := range rules {
		fmt.Fprintf(w, "rule\t%s, %s, mode %s", r.Name, r.Measure, r.Mode)
		if r.Named {
			fmt.Fprint(w, ": names this client")
		}
		if r.MaxRetry > 0 {
			fmt.Fprintf(w, ": %d of %d matches", r.Matches, r.MaxRetry)
		}
		if !r.Until.IsZero() {
			fmt.Fprintf(w, ": in force until %s", cmdline.Clock(r.Until))
		}
		fmt.Fprintln(w)
	}
}

func shared(e admin.Explanation) string {
	if e.Shared {
		return "; many sessions share this address"
	}
	return ""
}

// writeEvidence is the table of what was seen. Paths are a client's words:
// they are escaped.
func writeEvidence(w io.Writer, e admin.Explanation) error {
	if len(e.Evidence) == 0 {
		_, err := fmt.Fprintln(w, "\nno evidence remembered")
		return err
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TIME\tEVIDENCE\tWEIGHT\tREQUEST\tNOTE")
	for _, line := range e.Evidence {
		fmt.Fprintf(tw, "%s\t%s\t%.4g\t%s %s\t%s\n", cmdline.Clock(line.Time), line.Kind, line.Weight,
			cmdline.Printable(line.Method), cmdline.Printable(line.Path), note(line))
	}
	if e.MoreWeight > 0 {
		fmt.Fprintf(tw, "\t\t%.4g\tand more\t\n", e.MoreWeight)
	}
	return tw.Flush()
}

// note says what is special about a piece of evidence.
func note(l ban.Line) string {
	var notes []string
	if l.Route != "" {
		notes = append(notes, "near "+l.Route)
	}
	if l.Soft {
		notes = append(notes, "soft")
	}
	if l.Local {
		notes = append(notes, "answered without asking the app")
	}
	if l.Counts {
		notes = append(notes, "counts until "+cmdline.Clock(l.Until))
	} else {
		notes = append(notes, "led to the ban")
	}
	return strings.Join(notes, ", ")
}

// shortDuration rewrites "10m0s" as people write it.
func shortDuration(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return cmdline.Span(d)
}
