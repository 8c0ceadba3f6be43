package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/replay"
)

// watched is an output that a test waits for words in.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	word string
	seen func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if strings.Contains(w.text.String(), w.word) {
		w.seen()
	}
	return len(p), nil
}

func scanLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	var b strings.Builder
	for i := range 8 {
		fmt.Fprintf(&b, "192.0.2.1 - - [02/Jan/2026:03:04:0%d +0000] \"GET /x%d HTTP/1.1\" 404 5 \"-\" \"\x1b[2Jtest\"\n", i, i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplayFollows: bans are printed as they come, and the report when the
// person ends it, which is no failure.
func TestReplayFollows(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out := &watched{word: "ban 192.0.2.1", seen: stop}
	var errs bytes.Buffer
	c := &cli{getenv: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: out, stderr: &errs}
	if code := c.run(ctx, []string{"replay", "--learn", "-f", scanLog(t)}); code != cmdline.Done {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	for _, want := range []string{
		`2026-01-02T03:04:04Z ban 192.0.2.1 for 10m0s after /x4 "\x1b[2Jtest"` + "\n",
		"\n1 client would have been banned",
	} {
		if !strings.Contains(out.text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out.text)
		}
	}
}

// TestReplayProgress: a person at a terminal sees how far it is, and nothing of
// that stays.
func TestReplayProgress(t *testing.T) {
	terminal := openTerminal(t)
	c := &cli{getenv: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: terminal}
	var r replay.Config
	p := c.watchReplay(&r, replayView{})
	var drawn bytes.Buffer
	p.out = &drawn
	r.Progress(replay.Progress{Pass: 1, Passes: 2, Lines: 500, Read: 50, Size: 100, Took: time.Second})
	r.Progress(replay.Progress{Pass: 1, Passes: 1, Lines: 2000, Took: time.Second})
	p.end()
	want := "\r\x1b[K[#####...............]  25%  pass 1 of 2: 500 lines, 500/s, 3s left\r\x1b[K2000 lines, 2000/s\r\x1b[K"
	if got := drawn.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.stderr = &drawn
	if c.watchReplay(&r, replayView{}).out != nil {
		t.Error("a file is told of the progress")
	}
}

func TestSweepValues(t *testing.T) {
	for text, want := range map[string][]string{
		"maxretry=3..5": {"3", "4", "5"}, "maxretry=7..7": {"7"}, "maxretry=2.5,5": {"2.5", "5"}, "findtime=5m,1h": {"5m", "1h"},
	} {
		if _, got, err := sweepValues(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "maxretry", "maxretry=", "max-clients=5", "maxretry=1..99", "maxretry=a..b", "maxretry=1..", "mode=observe"} {
		if _, got, err := sweepValues(text); err == nil {
			t.Errorf("%s: got %q", text, got)
		}
	}
	if _, err := sweeps(nil, nil, []string{"maxretry=x..y"}); err == nil {
		t.Error("a bad sweep is taken")
	}
}
