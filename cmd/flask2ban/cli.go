package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // at run time
	exitUsage  = 2 // usage or configuration
)

// cli is one run of the command line.
type cli struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	// root looks for state where a daemon of root keeps it.
	root bool
}

// exitError ends the program with a code. Without an error the command has
// said everything already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage makes an error of how the program was called or configured.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

func (c *cli) run(ctx context.Context, args []string) int {
	root := c.rootCommand()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	return c.report(root.ExecuteContext(ctx))
}

// report prints the error that a command ended with and returns its code.
func (c *cli) report(err error) int {
	if err == nil {
		return exitDone
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitFailed, err}
	}
	if exit.err != nil {
		paint := c.painter(c.stderr)
		fmt.Fprintf(c.stderr, "%s %v\n", paint(red, "flask2ban:"), err)
	}
	return exit.code
}

// arguments checks the number of positional arguments and names what is
// missing, or the first that is too many.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s: %s missing; write %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return usagef("%s: unexpected argument %q; write %s", cmd.CommandPath(), args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// group is the behaviour of a command that only holds others: help when
// alone, an error with suggestions else.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var hint string
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("unknown command %q for %s%s (%s --help lists all)", name, cmd.CommandPath(), hint, cmd.CommandPath())
}

// example indents the lines of a command's examples as cobra expects.
func example(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// isTerminal says whether w is one: then there are colours and a screen to
// clear.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// colour is an ANSI code.
type colour string

const (
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// painter colours text for w: only on a terminal, and not where NO_COLOR asks
// for none (no-color.org).
func (c *cli) painter(w io.Writer) func(colour, string) string {
	if !isTerminal(w) || c.getenv("NO_COLOR") != "" || c.getenv("TERM") == "dumb" {
		return func(_ colour, s string) string { return s }
	}
	return func(code colour, s string) string { return "\x1b[" + string(code) + "m" + s + "\x1b[0m" }
}
