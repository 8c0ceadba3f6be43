// Package cmdline is what the command lines of flask2ban and flasksupervisor
// have in common: exit codes, errors of usage, colours, how a command finds the
// running daemon, and the commands that both have.
package cmdline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

// The exit codes.
const (
	Done        = 0
	Failed      = 1 // at run time
	BadlyCalled = 2 // usage or configuration
)

// Program is one run of a command line.
type Program struct {
	// Name is the command's, such as "flask2ban"; it begins error messages
	// and names the directory of its state.
	Name string
	// Version is what --version prints.
	Version string
	// Getenv looks a variable of the environment up.
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Root looks for state where a daemon of root keeps it.
	Root bool
}

// Run executes root with args, prints the error that it ended with, if any, and
// returns the exit code.
func (p Program) Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.Version = p.Version
	root.SetVersionTemplate(p.Name + " {{.Version}}\n")
	root.SilenceErrors, root.SilenceUsage = true, true
	// cobra's own default is only set while it looks for a command.
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Usagef("%w%s (%s --help lists the flags)", err, meantFlag(cmd, err), cmd.CommandPath())
	})
	if completing(args) {
		completeFlags(root)
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return Done
	}
	var exit *ExitError
	if !errors.As(err, &exit) {
		exit = &ExitError{Failed, err}
	}
	if exit.Err != nil {
		text := fmt.Sprintf("%s %v", p.Painter(p.Stderr)(Red, p.Name+":"), err)
		if systemd.IsJournal(p.Stderr) {
			text = systemd.Prioritized(systemd.ErrorPriority, text)
		}
		fmt.Fprintln(p.Stderr, text)
	}
	return exit.Code
}

// ExitError ends the program with a code. Without an error the command has
// said everything already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Usage makes an error of how the program was called or configured; nil stays.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &ExitError{BadlyCalled, err}
}

// Usagef is Usage of a new error.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Arguments checks the number of positional arguments and names what is
// missing, or the first that is too many.
func Arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return Usagef("%s: %s missing; write %s", Path(cmd), names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return Usagef("%s: unexpected argument %q; write %s", Path(cmd), args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// Path names a command in an error, before which the program's name stands
// already: "bans add".
func Path(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// Group is the behaviour of a command that only holds others: help when
// alone, an error with suggestions else.
func Group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return UnknownCommand(cmd, args[0])
}

// meantFlag suggests the flag that was likely meant by an unknown one.
func meantFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := config.Nearest(unknown.GetSpecifiedName(), names); near != "" {
		return "; did you mean --" + near + "?"
	}
	return ""
}

// UnknownCommand is the error for a word that names no command of cmd.
func UnknownCommand(cmd *cobra.Command, name string) error {
	var hint string
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return Usagef("unknown command %q for %s%s (%s --help lists all)", name, cmd.CommandPath(), hint, cmd.CommandPath())
}

// plainWord is what our commands are called like.
var plainWord = regexp.MustCompile(`^[a-z]+$`)

// Mistyped says whether the first of args is likelier one of cmd's commands
// with a mistake in it than an app: there is no such file.
func Mistyped(cmd *cobra.Command, args []string) bool {
	if len(args) == 0 || cmd.ArgsLenAtDash() == 0 || !plainWord.MatchString(args[0]) || len(cmd.SuggestionsFor(args[0])) == 0 {
		return false
	}
	for _, name := range []string{args[0], args[0] + ".py"} {
		if _, err := os.Stat(name); err == nil {
			return false
		}
	}
	return true
}

// Example indents the lines of a command's examples as cobra expects.
func Example(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// AppAndCommand splits "APP -- COMMAND ...", where app may be empty.
func AppAndCommand(cmd *cobra.Command, args []string) (app string, command []string, err error) {
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		args, command = args[:dash], args[dash:]
		if len(command) == 0 {
			return "", nil, Usagef("no command after --: write the server's, such as -- gunicorn app:app, or leave -- out")
		}
	}
	if len(args) > 1 {
		return "", nil, Usagef("unexpected argument %q after app %q: there is one app, and a server's command stands after --", args[1], args[0])
	}
	if len(args) == 1 {
		app = args[0]
	}
	return app, command, nil
}
