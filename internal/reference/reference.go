// Package reference writes the reference documentation from what it describes:
// commands, settings and metrics. Tests of both programs hold the files under
// docs/ to it; with -update they write them.
package reference

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/flask2ban/flask2ban/internal/config"
)

// Note begins each file that is written.
const Note = "<!-- Written by make docs; do not edit. -->\n"

// Settings is the table of every flag, variable and file key, by group.
func Settings() []byte {
	var b bytes.Buffer
	b.WriteString(Note + `
# Settings

Each setting is a flag, an environment variable and a key of the file that
` + "`--config`" + ` names. A flag wins over the environment, that over the file, that over the
default; ` + "`flask2ban config`" + ` prints what is in force and where it came from. Settings
that are repeatable take several values: the flag given again, or separated by
commas, or a list in the file.
`)
	for _, group := range config.Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| flag | variable | default | what it does |\n|---|---|---|---|\n", group)
		for _, s := range config.Settings() {
			if s.Group == group {
				writeSetting(&b, s)
			}
		}
	}
	return b.Bytes()
}

func writeSetting(b *bytes.Buffer, s config.Setting) {
	flag, variable, usage := "key `"+s.Key+"`, in the file only", "", s.Usage
	switch {
	case s.Hidden:
		flag, variable = "key `"+s.Key+"`, given as an argument", code(s.Env())
	case !s.FileOnly:
		flag, variable = code(s.Flag()), code(s.Env())
	}
	if len(s.Values) > 0 && !strings.Contains(usage, s.Values[0]) {
		usage += " (" + strings.Join(s.Values, ", ") + ")"
	}
	if s.Example != "" && s.Example != "true" {
		usage += "; as in " + code(s.Example)
	}
	row(b, flag, variable, code(s.Default), usage)
}

// Metrics is the table of every metric whose name begins with prefix.
func Metrics(families []*dto.MetricFamily, prefix string) []byte {
	var b bytes.Buffer
	b.WriteString(Note + `
# Metrics

At ` + "`/metrics` of `--admin`" + ` in Prometheus' format, beside those of the Go runtime and
of the process. Routes are patterns, never raw paths; a label that clients or the app
choose is bounded, and what is beyond the bound is counted as ` + "`other`" + `.

| metric | kind | labels | what it is |
|---|---|---|---|
`)
	slices.SortFunc(families, func(x, y *dto.MetricFamily) int { return cmp.Compare(x.GetName(), y.GetName()) })
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), prefix) {
			row(&b, code(f.GetName()), strings.ToLower(f.GetType().String()), strings.Join(labels(f), ", "), f.GetHelp())
		}
	}
	return b.Bytes()
}

func labels(f *dto.MetricFamily) []string {
	var names []string
	for _, m := range f.GetMetric()[:min(1, len(f.GetMetric()))] {
		for _, l := range m.GetLabel() {
			names = append(names, code(l.GetName()))
		}
	}
	return names
}

// Commands is every command with its help, as one page.
func Commands(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# The commands of %s\n\nAs `--help` prints them; the settings are in [settings.md](settings.md).\n", Note, root.Name())
	eachCommand(root, func(c *cobra.Command) {
		text := c.Long
		if text == "" {
			text = c.Short
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n    %s\n", c.CommandPath(), text, c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", undent(c.Example))
		}
		if flags := c.NonInheritedFlags(); c != root && flags.HasAvailableFlags() {
			fmt.Fprintf(&b, "\n```\n%s```\n", flags.FlagUsages())
		}
	})
	return b.Bytes()
}

// Man are the manual pages of a program in section 1, by file name.
func Man(root *cobra.Command) (map[string][]byte, error) {
	pages := map[string][]byte{}
	var failed error
	eachCommand(root, func(c *cobra.Command) {
		var b bytes.Buffer
		// The date is the pages' own, so that they don't change by the day.
		header := &doc.GenManHeader{Section: "1", Source: root.Name(), Manual: "User Commands", Date: &date}
		c.DisableAutoGenTag = true
		if err := doc.GenMan(c, header, &b); err != nil && failed == nil {
			failed = fmt.Errorf("manual page of %s: %w", c.CommandPath(), err)
		}
		pages[strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"] = b.Bytes()
	})
	return pages, failed
}

var date = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// HoldProgram is [Hold] for the manual pages of a program, for the page of its
// commands, which has that name, and for more pages of the reference.
func HoldProgram(docs, page string, root *cobra.Command, more map[string][]byte, update bool) error {
	manual, err := Man(root)
	if err != nil {
		return err
	}
	pages := map[string][]byte{page: Commands(root)}
	maps.Copy(pages, more)
	return errors.Join(
		Hold(filepath.Join(docs, "man"), manual, update),
		Hold(filepath.Join(docs, "reference"), pages, update))
}

// Hold compares files under dir with what they should be, and returns what to
// do where they differ. With update it writes them.
func Hold(dir string, want map[string][]byte, update bool) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		path := filepath.Join(dir, name)
		if update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, want[name], 0o644); err != nil {
				return err
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want[name]) {
			return fmt.Errorf("%s is not what the commands and tables say: run make docs and commit it", path)
		}
	}
	return nil
}

func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" {
			eachCommand(sub, f)
		}
	}
}

// row writes a table's line; a pipe in a cell would end it.
func row(b *bytes.Buffer, cells ...string) {
	for _, cell := range cells {
		b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// undent takes the two spaces off that help text has before each line.
func undent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
