package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/state"
)

// stateFlag adds the flag by which a command finds its daemon.
func stateFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("state", "", "state `directory` of the daemon to ask; default: the only one running ($FLASK2BAN_STATE)")
}

// stateHint is what a command needs besides to reach the same daemon as this one,
// which was given the directory.
func stateHint(dir string) string {
	switch {
	case dir == "":
		return ""
	case strings.ContainsFunc(dir, func(r rune) bool {
		return !strings.ContainsRune("/._-+,@%:", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}):
		return " --state '" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return " --state " + dir
}

// daemon returns a client of the daemon with state directory dir, else of the
// only one that runs.
func (c *cli) daemon(ctx context.Context, dir string) (*admin.Client, error) {
	if dir == "" {
		dir = c.getenv("FLASK2BAN_STATE")
	}
	if dir != "" {
		return admin.NewClient(dir), nil
	}
	base, err := state.Base(c.root, c.getenv)
	if err != nil {
		return nil, usage(err)
	}
	live, err := state.Find(ctx, base)
	if err != nil {
		return nil, err
	}
	switch len(live) {
	case 0:
		return nil, fmt.Errorf("%w (looked in %s): start one with flask2ban app.py, or name its state directory with --state DIR%s",
			admin.ErrNotRunning, base, c.rootHint(ctx))
	case 1:
		return admin.NewClient(live[0]), nil
	}
	return nil, usagef("%d daemons run; say which:\n  --state %s", len(live), strings.Join(live, "\n  --state "))
}

// rootHint tells a user whose daemon may run as root how to ask it.
func (c *cli) rootHint(ctx context.Context) string {
	if c.root {
		return ""
	}
	base, err := state.Base(true, c.getenv)
	if err != nil {
		return ""
	}
	live, err := state.Find(ctx, base)
	if len(live) > 0 || errors.Is(err, fs.ErrPermission) {
		return "; if it runs as root, ask with sudo"
	}
	return ""
}
