package main

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/state"
)

// someBans are in no order.
func someBans() []ban.Ban {
	at := func(hour int) time.Time { return time.Date(2026, 1, 2, hour, 0, 0, 0, time.UTC) }
	prefix := netip.MustParsePrefix
	return []ban.Ban{
		{Client: prefix("198.51.100.0/24"), Since: at(3), Until: at(9), Rule: "operator", Penalty: ban.Reject, Count: 1},
		{Client: prefix("192.0.2.9/32"), Since: at(1), Until: at(8), Rule: "unexpected", Penalty: ban.Drop, Count: 3},
		{Client: prefix("198.51.100.7/32"), Since: at(2), Until: at(9), Rule: "unexpected", Penalty: ban.Reject, Count: 2},
		{Client: prefix("2001:db8::/64"), Since: at(0), Until: at(7), Rule: "operator", Penalty: ban.Reject, Count: 1},
	}
}

func TestBanListChooses(t *testing.T) {
	for _, tt := range []struct {
		name string
		list banList
		want string
	}{
		{"until", banList{sort: "until"}, "2001:db8::/64 192.0.2.9 198.51.100.0/24 198.51.100.7"},
		{"client", banList{sort: "client"}, "192.0.2.9 198.51.100.0/24 198.51.100.7 2001:db8::/64"},
		{"since, reversed", banList{sort: "since", reverse: true}, "198.51.100.0/24 198.51.100.7 192.0.2.9 2001:db8::/64"},
		{"count", banList{sort: "count"}, "198.51.100.0/24 2001:db8::/64 198.51.100.7 192.0.2.9"},
		{"rule", banList{sort: "rule"}, "198.51.100.0/24 2001:db8::/64 192.0.2.9 198.51.100.7"},
		{"by rule", banList{sort: "client", rule: "operator"}, "198.51.100.0/24 2001:db8::/64"},
		{"within its own network", banList{sort: "client", within: "198.51.100.0/24"}, "198.51.100.0/24 198.51.100.7"},
		{"within a narrower one", banList{sort: "client", within: "198.51.100.0/25"}, "198.51.100.7"},
		{"within another family", banList{sort: "client", within: "::/1"}, "2001:db8::/64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.list.every = time.Second
			if err := tt.list.check(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range tt.list.choose(someBans()) {
				got = append(got, ban.FormatClient(b.Client))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// TestBanListShowsWhatIsNotApplied: in observe mode nobody is refused.
func TestBanListShowsWhatIsNotApplied(t *testing.T) {
	bans := someBans()[1:3]
	bans[0].Observed = true
	bans[1].Reason = "a\tb"
	var got strings.Builder
	if err := writeBans(&got, bans, bans[0].Since, 0); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(got.String(), "\n")
	if !strings.Contains(lines[1], "observed  3") || !strings.HasSuffix(lines[2], `reject    2      "a\tb"`) {
		t.Errorf("got\n%s", got.String())
	}
}

// TestExportedBansAreImported holds that each format is read back.
func TestExportedBansAreImported(t *testing.T) {
	for name, write := range exportFormats() {
		var file strings.Builder
		if err := export(&file, someBans(), write); err != nil {
			t.Fatal(err)
		}
		engine, client := liveDaemon(t)
		i := importer{client: client, file: name, stderr: io.Discard}
		for line := range strings.Lines(strings.ReplaceAll(file.String(), "2026-01-02", "2030-01-02")) {
			if err := i.line(t.Context(), strings.TrimSpace(line)); err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			}
		}
		if got := len(engine.Bans(time.Now())); got != len(someBans()) {
			t.Errorf("%s: %d bans, want %d", name, got, len(someBans()))
		}
	}
}

// liveDaemon is a real engine behind a real API in this process.
func liveDaemon(t *testing.T) (*ban.Engine, *admin.Client) {
	t.Helper()
	engine, err := ban.New(ban.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := admin.New(admin.Config{Engine: engine, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := state.Listen(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	client := admin.NewClient(dir)
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return engine, client
}

// screen takes what is printed and wakes who waits for it.
type screen struct {
	mu      sync.Mutex
	text    string
	printed chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.text += string(p)
	s.mu.Unlock()
	s.printed <- struct{}{}
	return len(p), nil
}

// TestWatchPrintsEachChange wants one list at the start, one for each change
// and none between.
func TestWatchPrintsEachChange(t *testing.T) {
	engine, client := liveDaemon(t)
	out := &screen{printed: make(chan struct{})}
	c := &cli{stdout: out, getenv: func(string) string { return "" }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.watchBans(ctx, client, banList{sort: "client", every: time.Millisecond})
	}()
	<-out.printed
	add := func(client string) {
		p, _ := ban.ParseClient(client)
		if err := engine.Add(time.Now(), ban.Ban{Client: p, Until: time.Now().Add(time.Hour), Reason: "watched"}); err != nil {
			t.Error(err)
		}
		<-out.printed
	}
	add("192.0.2.1")
	add("192.0.2.2")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end of watching: %v", err)
	}
	if got := strings.Count(out.text, "CLIENT"); got != 2 || !strings.HasPrefix(out.text, "no bans\n") {
		t.Errorf("%d lists:\n%s", got, out.text)
	}
	if strings.Contains(out.text, "\x1b") {
		t.Error("a screen that is none was cleared")
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]string{
		"-1s": "0s", "400ms": "0s", "59.6s": "1m", "90m": "1h30m", "25h10m": "1d1h", "255h": "1w4d", "168h": "1w",
	} {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		got := cmdline.Span(d)
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		if _, err := config.ParseDuration(got); err != nil {
			t.Errorf("%s can't be given back: %v", got, err)
		}
	}
}

func TestColours(t *testing.T) {
	c := &cli{getenv: func(string) string { return "" }}
	if got := c.program().Painter(io.Discard)(cmdline.Red, "x"); got != "x" {
		t.Errorf("not on a terminal: %q", got)
	}
	tty := openTerminal(t)
	if got := c.program().Painter(tty)(cmdline.Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("on a terminal: %q", got)
	}
	for _, name := range []string{"NO_COLOR=1", "TERM=dumb"} {
		key, value, _ := strings.Cut(name, "=")
		c.getenv = func(k string) string {
			if k == key {
				return value
			}
			return ""
		}
		if got := c.program().Painter(tty)(cmdline.Red, "x"); got != "x" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
