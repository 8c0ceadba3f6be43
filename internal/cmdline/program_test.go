package cmdline

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/admin"
)

// TestRun: how each kind of end becomes an exit code and a text.
func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"done", nil, Done, ""},
		{"failed", errors.New("no luck"), Failed, "prog: no luck\n"},
		{"usage", Usagef("no %s", "app"), BadlyCalled, "prog: no app\n"},
		{"said already", &ExitError{Code: 7}, 7, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr strings.Builder
			p := Program{Name: "prog", Getenv: func(string) string { return "" }, Stderr: &stderr}
			root := &cobra.Command{Use: "prog", RunE: func(*cobra.Command, []string) error { return tt.err }}
			if code := p.Run(t.Context(), root, []string{}); code != tt.code || stderr.String() != tt.text {
				t.Errorf("got %d %q, want %d %q", code, stderr.String(), tt.code, tt.text)
			}
		})
	}
	if Usage(nil) != nil {
		t.Error("no error became one")
	}
}

func TestDaemonIsNotThere(t *testing.T) {
	home := t.TempDir()
	p := Program{Name: "prog", Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }}
	_, err := p.Daemon(t.Context(), "")
	want := "no prog runs (looked in " + home + "/.local/state/prog): start one with prog app.py, or name its state directory with --state DIR"
	if !errors.Is(err, admin.ErrNotRunning) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestSpan(t *testing.T) {
	for give, want := range map[time.Duration]string{
		-time.Second: "0s", 1500 * time.Millisecond: "2s", 61 * time.Second: "1m1s", 90*time.Minute + time.Second: "1h30m", 25 * time.Hour: "1d1h",
	} {
		if got := Span(give); got != want {
			t.Errorf("%v: got %s, want %s", give, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for give, want := range map[string]string{
		"":            "",
		"/a b":        "/a b",
		"/größe":      "/größe",
		"/nbsp\u00a0": "/nbsp\u00a0",
		`say "x"`:     `say "x"`,
		`C:\x`:        `C:\x`,
		"/\x1b[2J":    `"/\x1b[2J"`,
		"a\nb":        `"a\nb"`,
		"\xff":        `"\xff"`,
		"\u202etxt":   `"\u202etxt"`,
		"\u009bx":     `"\u009bx"`,
		"\ufffd":      "\ufffd",
		"\n\"":        `"\n\""`,
	} {
		if got := Printable(give); got != want {
			t.Errorf("%q: got %s, want %s", give, got, want)
		}
	}
}
