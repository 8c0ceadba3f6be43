package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/config"
)

// usageByGroup prints the flags of the settings below their headings, where a
// command has them all; one list of forty is no help.
func usageByGroup(plain func(*cobra.Command) error) func(*cobra.Command) error {
	return func(cmd *cobra.Command) error {
		groups := settingFlags(cmd.Flags())
		if len(groups) < len(config.Groups()) {
			return plain(cmd)
		}
		hide(groups, true)
		err := plain(cmd)
		hide(groups, false)
		out := cmd.OutOrStderr()
		for _, g := range config.Groups() {
			fmt.Fprintf(out, "\n%s:\n%s", g, groups[g].FlagUsagesWrapped(terminalWidth(out)))
		}
		return err
	}
}

// settingFlags are the flags shown that set a setting, by its group.
func settingFlags(flags *pflag.FlagSet) map[config.Group]*pflag.FlagSet {
	groups := map[config.Group]*pflag.FlagSet{}
	for _, s := range config.Settings() {
		f := flags.Lookup(s.Key)
		if f == nil || s.FileOnly || s.Hidden {
			continue
		}
		if groups[s.Group] == nil {
			groups[s.Group] = pflag.NewFlagSet(string(s.Group), pflag.ContinueOnError)
			groups[s.Group].SortFlags = false
		}
		groups[s.Group].AddFlag(f)
	}
	return groups
}

// hide takes the flags out of cobra's own list, or puts them back.
func hide(groups map[config.Group]*pflag.FlagSet, hidden bool) {
	for _, flags := range groups {
		flags.VisitAll(func(f *pflag.Flag) { f.Hidden = hidden })
	}
}
