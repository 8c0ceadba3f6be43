package cmdline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/state"
)

// StateFlag adds the flag by which a command finds its daemon.
func (p Program) StateFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("state", "", "state `directory` of the daemon to ask; default: the only one running ($"+p.stateVariable()+")")
}

func (p Program) stateVariable() string { return strings.ToUpper(p.Name) + "_STATE" }

// Daemon returns a client of the daemon with state directory dir, else of the
// only one that runs.
func (p Program) Daemon(ctx context.Context, dir string) (*admin.Client, error) {
	if dir == "" {
		dir = p.Getenv(p.stateVariable())
	}
	if dir != "" {
		return admin.NewClient(dir), nil
	}
	base, err := state.Base(p.Name, p.Root, p.Getenv)
	if err != nil {
		return nil, Usage(err)
	}
	live, err := state.Find(ctx, base)
	if err != nil {
		return nil, err
	}
	switch len(live) {
	case 0:
		return nil, fmt.Errorf("no %s runs%w (looked in %s): start one with %s app.py, or name its state directory with --state DIR%s",
			p.Name, errNone, base, p.Name, p.rootHint())
	case 1:
		return admin.NewClient(live[0]), nil
	}
	return nil, Usagef("%d daemons run; say which:\n  --state %s", len(live), strings.Join(live, "\n  --state "))
}

// errNone lets callers tell that nothing runs; it adds no text.
var errNone error = silent{admin.ErrNotRunning}

type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// rootHint tells a user whose daemon may run as root how to ask it.
func (p Program) rootHint() string {
	if p.Root {
		return ""
	}
	base, err := state.Base(p.Name, true, p.Getenv)
	if err != nil {
		return ""
	}
	entries, err := os.ReadDir(base)
	if len(entries) > 0 || errors.Is(err, fs.ErrPermission) {
		return "; if it runs as root or as a service, ask with sudo"
	}
	return ""
}

// StateHint is what a command needs besides to reach the same daemon as this
// one, which was given the directory.
func StateHint(dir string) string {
	if dir == "" {
		return ""
	}
	return " --state " + Quoted(dir)
}

// Quoted is a word as a shell takes it.
func Quoted(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-+,@%:", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
