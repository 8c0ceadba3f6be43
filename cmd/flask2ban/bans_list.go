package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
)

// banList is what "bans list" shows of the bans.
type banList struct {
	json    bool
	wide    bool
	watch   bool
	every   time.Duration
	sort    string
	reverse bool
	within  string
	rule    string

	network netip.Prefix
}

// banOrders are the orders of "bans list", by their name.
func banOrders() map[string]func(a, b ban.Ban) int {
	return map[string]func(a, b ban.Ban) int{
		"client": compareClients,
		"since":  func(a, b ban.Ban) int { return a.Since.Compare(b.Since) },
		"until":  func(a, b ban.Ban) int { return a.Until.Compare(b.Until) },
		"count":  func(a, b ban.Ban) int { return cmp.Compare(a.Count, b.Count) },
		"rule":   func(a, b ban.Ban) int { return cmp.Compare(a.Rule, b.Rule) },
	}
}

func compareClients(a, b ban.Ban) int {
	return cmp.Or(a.Client.Addr().Compare(b.Client.Addr()), cmp.Compare(a.Client.Bits(), b.Client.Bits()))
}

func (c *cli) bansListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the bans in force",
		Example: cmdline.Example(
			"flask2ban bans list",
			"flask2ban bans list --sort since --reverse --within 192.0.2.0/24",
			"flask2ban bans list --json | jq -r '.[].client'",
			"flask2ban bans list --watch"),
		Args: cmdline.Arguments(),
	}
	var l banList
	dir := c.program().StateFlag(cmd)
	orders := strings.Join(slices.Sorted(maps.Keys(banOrders())), ", ")
	f := cmd.Flags()
	f.BoolVar(&l.json, "json", false, "print a JSON list")
	f.BoolVar(&l.wide, "wide", false, "don't cut reasons to fit the terminal")
	f.BoolVarP(&l.watch, "watch", "w", false, "go on, and show each change")
	f.DurationVar(&l.every, "every", time.Second, "how often --watch looks")
	f.StringVar(&l.sort, "sort", "until", "`order`: "+orders)
	f.BoolVarP(&l.reverse, "reverse", "r", false, "the other way round")
	f.StringVar(&l.within, "within", "", "only clients in this `CIDR`")
	f.StringVar(&l.rule, "rule", "", "only bans by this `rule`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		if l.watch {
			return c.watchBans(cmd.Context(), client, l)
		}
		return c.listBans(cmd.Context(), client, l, c.stdout)
	}
	return cmd
}

// check finds what is wrong with the flags.
func (l *banList) check() (err error) {
	if banOrders()[l.sort] == nil {
		return cmdline.Usagef("--sort %s: want one of %s", l.sort, strings.Join(slices.Sorted(maps.Keys(banOrders())), ", "))
	}
	if l.every <= 0 {
		return cmdline.Usagef("--every %v: must be above zero", l.every)
	}
	if l.within != "" {
		if l.network, err = ban.ParseClient(l.within); err != nil {
			return cmdline.Usagef("--within: %w", err)
		}
	}
	return nil
}

// choose filters and sorts.
func (l *banList) choose(bans []ban.Ban) []ban.Ban {
	bans = slices.DeleteFunc(bans, func(b ban.Ban) bool {
		return l.rule != "" && b.Rule != l.rule ||
			l.network.IsValid() && !(l.network.Bits() <= b.Client.Bits() && l.network.Contains(b.Client.Addr()))
	})
	order := banOrders()[l.sort]
	slices.SortStableFunc(bans, func(a, b ban.Ban) int {
		n := cmp.Or(order(a, b), compareClients(a, b))
		if l.reverse {
			return -n
		}
		return n
	})
	return bans
}

func (c *cli) listBans(ctx context.Context, client *admin.Client, l banList, w io.Writer) error {
	bans, err := client.Bans(ctx)
	if err != nil {
		return err
	}
	bans = l.choose(bans)
	if l.json {
		return cmdline.WriteJSON(w, bans)
	}
	if len(bans) == 0 {
		_, err := fmt.Fprintln(w, "no bans")
		return err
	}
	width := 0
	if !l.wide {
		width = c.columns()
	}
	return writeBans(w, bans, time.Now(), width)
}

// writeBans writes a table whose lines are cut to the width; 0 cuts nothing.
func writeBans(w io.Writer, bans []ban.Ban, now time.Time, width int) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CLIENT\tSINCE\tLEFT\tRULE\tPENALTY\tCOUNT\tREASON")
	for _, b := range bans {
		// The reason can hold what a client sent.
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", ban.FormatClient(b.Client), b.Since.Local().Format("01-02 15:04"),
			cmdline.Span(b.Until.Sub(now)), b.Rule, penaltyWord(b), b.Count, cmdline.Printable(b.Reason))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	for line := range strings.Lines(table.String()) {
		fmt.Fprintln(out, cutLine(strings.TrimRight(line, " \n"), width))
	}
	return out.Flush()
}

// cutLine cuts a line that is wider, and shows that.
func cutLine(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}

// columns is the width for tables: $COLUMNS, the terminal's, or else 80.
func (c *cli) columns() int {
	if n, err := strconv.Atoi(c.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if n := terminalWidth(c.stdout); n > 0 {
		return n
	}
	return 80
}

// penaltyWord says what a banned client gets: nothing yet in observe mode.
func penaltyWord(b ban.Ban) string {
	if b.Observed {
		return "observed"
	}
	return string(b.Penalty)
}

// watchBans lists the bans again whenever the list has changed, until ctx
// ends.
func (c *cli) watchBans(ctx context.Context, client *admin.Client, l banList) error {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	last := ""
	for {
		var b strings.Builder
		if err := c.listBans(ctx, client, l, &b); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if b.String() != last {
			last = b.String()
			if err := c.show(last); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// show prints over what stood on a terminal, and below it elsewhere.
func (c *cli) show(text string) error {
	if cmdline.IsTerminal(c.stdout) {
		text = "\x1b[H\x1b[2J" + text
	}
	_, err := io.WriteString(c.stdout, text)
	return err
}

// completeBans offers the banned clients to the shell.
func (c *cli) completeBans(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	dir, _ := cmd.Flags().GetString("state")
	client, err := c.daemon(ctx, dir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer client.Close()
	bans, err := client.Bans(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, b := range bans {
		words = append(words, cobra.CompletionWithDesc(ban.FormatClient(b.Client), b.Rule+" until "+cmdline.Clock(b.Until)))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completionTimeout is how long a person's Tab may take.
const completionTimeout = time.Second
