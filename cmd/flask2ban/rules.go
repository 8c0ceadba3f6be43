package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
)

func (c *cli) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "List the rules, and how often each applied",
		Long: `The rules stand in the order in which they are judged: who is ignored is not
blocked, who is blocked is not throttled. HITS are the requests and connections
that a rule ignored, blocked, delayed or refused, or gave a class; WOULD those
that it would have, were it not in mode observe.`,
		Example: cmdline.Example("flask2ban rules", "flask2ban rules --json | jq '.[] | select(.hits > 0)'"),
		Args:    cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print a JSON list")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		rules, err := client.Rules(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return cmdline.WriteJSON(c.stdout, rules)
		}
		return writeRules(c.stdout, rules)
	}
	return cmd
}

func writeRules(w io.Writer, rules []ban.RuleReport) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "RULE\tACTION\tMODE\tHITS\tWOULD\tBANS\tCLIENTS")
	for _, r := range rules {
		name := r.Name
		if r.Builtin {
			name += " (built in)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", name, r.Measure, r.Mode, r.Hits, r.WouldHits, r.Bans, r.Clients)
	}
	return tw.Flush()
}

// hosts knows the clients by name; nil where nobody is asked, as in a replay.
func (s *service) hosts() ban.Hosts {
	if s.names == nil {
		return nil
	}
	return s.names.resolver
}

// classes are the configuration's words for them.
var classes = map[string]ban.Class{"high": ban.High, "normal": ban.Normal, "low": ban.Low}

// policyRules are the configuration's rules as the engine takes them.
func policyRules(rules []config.Rule) []ban.Rule {
	out := make([]ban.Rule, 0, len(rules))
	for _, r := range rules {
		out = append(out, ban.Rule{
			Name: r.Name, Match: policyMatch(r.Match), MaxRetry: r.MaxRetry, FindTime: r.FindTime,
			Measure: ban.Measure(r.Action), BanTime: r.BanTime, Penalty: ban.Penalty(r.Penalty),
			Limits: ban.Limits{
				Rate: r.Rate, Burst: r.Burst, InFlight: r.InFlight,
				Connections: r.Connections, ConnectionRate: r.ConnectionRate, Per: ban.Scope(r.Per),
			},
			Class: classes[r.Class], Observe: r.Observe,
		})
	}
	return out
}

func policyMatch(m config.Match) ban.Match {
	match := ban.Match{Routes: m.Routes, Methods: m.Methods}
	for _, p := range m.Peers {
		if p.Host != "" {
			match.Hosts = append(match.Hosts, p.Host)
		} else {
			match.Peers = append(match.Peers, p.Prefix)
		}
	}
	for _, kind := range m.Evidence {
		match.Evidence = append(match.Evidence, ban.Kind(kind))
	}
	for _, s := range m.Status {
		match.Status = append(match.Status, ban.StatusRange{From: s.From, To: s.To})
	}
	return match
}

// warnOfRoutes tells of rules that name a route which the app doesn't have,
// once each: they would never apply.
func (s *service) warnOfRoutes(rules []config.Rule) {
	table, _ := s.table.Current()
	if table == nil {
		return
	}
	var known []string
	for _, r := range table.Routes() {
		known = append(known, r.Rule)
	}
	for _, r := range rules {
		for _, route := range r.Match.Routes {
			if slices.Contains(known, route) {
				continue
			}
			if _, told := s.unknownRoutes.LoadOrStore(r.Name+" "+route, true); !told {
				s.log.Warn("a rule names a route that the app does not have; flask2ban routes lists those it has",
					"rule", r.Name, "route", route, "place", r.Place)
			}
		}
	}
}
