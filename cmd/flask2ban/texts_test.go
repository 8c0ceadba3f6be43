package main

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

func TestDescribeQueue(t *testing.T) {
	for _, tt := range []struct {
		queue overview.Queue
		want  string
	}{
		{overview.Queue{}, "0 with the app, none waits"},
		{overview.Queue{InFlight: 3, Limit: 4, Waiting: map[string]int{"high": 0}}, "3 with the app of 4 at a time, none waits"},
		{overview.Queue{Held: 7}, "0 with the app, 7 wait until it is there"},
		{overview.Queue{InFlight: 4, Limit: 4, Waiting: map[string]int{"suspect": 9, "high": 1, "normal": 2}, LongestWaitSeconds: 1.26},
			"4 with the app of 4 at a time, waiting: 1 high, 2 normal, 9 suspect, for 1.3s at most"},
	} {
		if got := describeQueue(tt.queue); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestWhyTellsOfRules and of all else that is held against a client, with nothing of its words
// that moves a terminal's cursor.
func TestWhyTellsAll(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	e := admin.Explanation{Explanation: ban.Explanation{Client: "192.0.2.1", Summary: "blocked by \x1b[2J"}}
	e.Rules = []ban.RuleLine{
		{Name: "probers", Measure: "block", Mode: "enforce", MaxRetry: 3, Matches: 2},
		{Name: "office", Measure: "priority high", Mode: "observe", Named: true, Until: at},
	}
	e.Evidence = []ban.Line{
		{Piece: ban.Piece{Time: at, Kind: ban.UnexpectedPath, Weight: 1, Method: "GET", Path: "/\x1b]0;x\x07", Soft: true}, Counts: true, Until: at},
	}
	e.MoreWeight, e.Grace, e.Shared = 2.5, at, true
	e.InsideCount = 2
	for _, inside := range []string{"192.0.2.7/32", "192.0.2.8/32"} {
		e.Inside = append(e.Inside, ban.Ban{Client: netip.MustParsePrefix(inside)})
	}
	var out strings.Builder
	if err := writeWhy(&out, e, func(_ cmdline.Colour, s string) string { return s }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"probers, block, mode enforce: 2 of 3 matches\n", "office, priority high, mode observe: names this client: in force until 2026-01-02 03:04:05\n",
		"many sessions share this address\n", "2 banned: 192.0.2.7, 192.0.2.8\n", "not banned before 2026-01-02 03:04:05 but by a person\n",
		"soft, counts until 2026-01-02 03:04:05\n", "and more",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("why lacks %q:\n%s", want, out.String())
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("a client's words reach the terminal: %q", out.String())
	}
}

// TestEventsWithStacks: the threads' stacks are lines of their own, escaped.
func TestEventsWithStacks(t *testing.T) {
	events := []app.Event{{At: time.Now(), Seen: "hung", Done: "killed it", Stacks: []string{`File "app.py", line 3`, "\x1b[2J"}}}
	for stacks, lines := range map[bool]int{false: 1, true: 3} {
		var out strings.Builder
		if err := writeEvents(&out, events, stacks); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n != lines || strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "hung") {
			t.Errorf("stacks %v: %d lines, want %d: %q", stacks, n, lines, out.String())
		}
	}
}

// TestDiffering: what a reload applies is told from what waits for the next start.
func TestDiffering(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flask2ban.yaml")
	load := func(text string) *config.Config {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(nil, func(string) string { return "" }, file)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old, next := load("maxretry: 5\nlisten: ':80'\n"), load("maxretry: 6\nlisten: ':81'\nmode: observe\n")
	got := strings.Join(differing(old, next, true), " ") + "; " + strings.Join(differing(old, next, false), " ")
	if want := "mode maxretry; listen"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, applied := range []bool{true, false} {
		if keys := differing(load("maxretry: 5\n"), load(""), applied); len(keys) != 0 {
			t.Errorf("a default that is written down is a change: %v", keys)
		}
	}
}

// TestPolicyMatch keeps every part of a rule's match.
func TestPolicyMatch(t *testing.T) {
	got := policyMatch(config.Match{
		Peers:    []config.Peer{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}, {Host: ".example.org"}},
		Evidence: []string{"honeypath"}, Routes: []string{"/login"}, Methods: []string{"POST"},
		Status: []config.StatusRange{{From: 400, To: 499}},
	})
	if len(got.Peers) != 1 || len(got.Hosts) != 1 || got.Hosts[0] != ".example.org" || got.Evidence[0] != ban.Honeypath ||
		got.Routes[0] != "/login" || got.Methods[0] != "POST" || got.Status[0] != (ban.StatusRange{From: 400, To: 499}) {
		t.Errorf("%+v", got)
	}
}

// TestPositionInTheLog: it comes back as it was written; what can't be read, or lies in the
// future, is told of and counts as none.
func TestPositionInTheLog(t *testing.T) {
	var log testbed.Log
	g := &guard{dir: t.TempDir(), log: slog.New(slog.NewTextHandler(&log, nil))}
	if at, err := g.position(); err != nil || !at.IsZero() || log.String() != "" {
		t.Errorf("at first: %v, %v, said %q", at, err, log.String())
	}
	want := time.Now().Add(-time.Hour)
	if err := g.writePosition(want); err != nil {
		t.Fatal(err)
	}
	if at, err := g.position(); err != nil || !at.Equal(want) {
		t.Errorf("got %v, %v; want %v", at, err, want)
	}
	for _, text := range []string{"", "yesterday", time.Now().Add(time.Hour).Format(time.RFC3339Nano)} {
		before := len(log.String())
		if err := os.WriteFile(filepath.Join(g.dir, positionFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if at, err := g.position(); err != nil || !at.IsZero() || !strings.Contains(log.String()[before:], "it is judged from its beginning") {
			t.Errorf("%q: %v, %v, said %q", text, at, err, log.String())
		}
	}
	g.dir = filepath.Join(g.dir, "gone")
	if err := g.writePosition(want); err == nil {
		t.Error("written to nowhere")
	}
}
