package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// tmux is a terminal with "flask2ban top" in it.
type tmux struct {
	t      *testing.T
	socket string
}

func startTmux(t *testing.T, columns, lines int, command string) *tmux {
	t.Helper()
	need(t, "tmux")
	x := &tmux{t, t.TempDir() + "/tmux"}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", x.socket, "kill-server").Run() }) // it may have ended
	x.do("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines), command)
	x.do("set", "-g", "remain-on-exit", "on")
	return x
}

func (x *tmux) do(args ...string) string {
	x.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (x *tmux) keys(keys ...string) { x.do(append([]string{"send-keys"}, keys...)...) }

// shows waits until the screen has all words, and returns it.
func (x *tmux) shows(words ...string) (screen string) {
	x.t.Helper()
	missing := ""
	defer func() {
		if x.t.Failed() {
			x.t.Logf("%q is missing on\n%s", missing, screen)
		}
	}()
	within(x.t, patience, "the screen is right", func() bool {
		screen = x.do("capture-pane", "-p")
		for _, w := range words {
			if missing = w; !strings.Contains(screen, w) {
				return false
			}
		}
		return true
	})
	return screen
}

// ends waits for the program's end, which must be a good one where tmux knows:
// it misses how a program ended whose terminal was closed a moment before.
func (x *tmux) ends() {
	x.t.Helper()
	var status string
	within(x.t, patience, "the program has ended", func() bool {
		dead, how, _ := strings.Cut(strings.TrimSpace(x.do("display-message", "-p", "#{pane_dead} #{pane_dead_status}")), " ")
		status = how
		return dead == "1"
	})
	if status != "" && status != "0" {
		x.t.Errorf("it ended with status %s", status)
	}
}

// TestTop watches an attack in a terminal of the usual size and in a wide one,
// and acts on it by keys.
func TestTop(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py")
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.from("127.0.1.9").want(200, "/")
	}
	d.from("127.0.1.1").want(404, "/.env")
	d.from("127.0.1.1").want(403, "/")
	d.from("127.0.1.2").want(404, "/%1b%5b2J")

	x := startTmux(t, 80, 24, path+" top --state "+d.state)
	screen := x.shows("mode enforce", "app.py, ready", "CLIENT", "127.0.1.1            blocked", "honeypath /.env",
		`127.0.1.2            normal`, `unexpected_path /\x1b[2J`, "BANNED", "unexpected    score 5", "in flight 0, queued 0", "ROUTE", "  /\n", "EVENTS", "q quit")
	for i, line := range strings.Split(screen, "\n") {
		if len([]rune(line)) > 80 || i > 24 {
			t.Errorf("line %d is %d wide", i, len([]rune(line)))
		}
	}
	if !strings.Contains(x.do("capture-pane", "-pe"), "\x1b[31m") {
		t.Error("no colours")
	}

	x.keys("b")
	x.shows("ban ADDRESS")
	x.keys("127.0.1.7 x", "BSpace", "2d", "Enter")
	x.shows("banned 127.0.1.7", "2 bans", "2d")
	x.keys("u")
	x.keys("127.0.1.1", "Enter")
	x.shows("unbanned 127.0.1.1", "1 bans")
	d.from("127.0.1.1").want(200, "/")
	x.keys("b", "nonsense", "Enter")
	x.shows("nonsense")
	x.keys("/", "1.2", "Enter")
	if s := x.shows("with 1.2", "127.0.1.2"); strings.Contains(s, "127.0.1.7  ") {
		t.Errorf("the filter lets through\n%s", s)
	}
	x.keys("Escape", "s", "s")
	x.shows("latest")
	x.keys("?")
	x.shows("ban a client: ADDRESS")
	x.keys("?")

	x.do("resize-window", "-x", "160", "-y", "40")
	within(t, patience, "blocks stand side by side", func() bool {
		for line := range strings.Lines(x.do("capture-pane", "-p")) {
			if strings.Contains(line, "CLIENT ") && strings.Contains(line, "BANNED ") {
				return true
			}
		}
		return false
	})
	x.do("resize-window", "-x", "20", "-y", "6")
	x.shows("flask2ban")
	x.keys("q")
	x.ends()
}

// TestTopWithoutTerminal: scripts get it once, without colours, and as JSON.
func TestTopWithoutTerminal(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py")
	d.from("127.0.1.1").want(404, "/.env")
	out, err := d.cli("top")
	if err != nil || strings.Contains(out, "\x1b") || !strings.Contains(out, "127.0.1.1            blocked") {
		t.Errorf("%v: %s", err, out)
	}
	var o struct {
		Clients []struct{ Client, State string }
	}
	out, err = d.cli("top", "--json")
	if err != nil || json.Unmarshal([]byte(out), &o) != nil || len(o.Clients) != 1 || o.Clients[0].State != "blocked" {
		t.Errorf("%v: %s", err, out)
	}
	// In a terminal, NO_COLOR leaves the colours out; a daemon that ends is told of.
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	x := startTmux(t, 100, 30, "NO_COLOR=1 "+path+" top --state "+d.state)
	x.shows("127.0.1.1            blocked")
	if s := x.do("capture-pane", "-pe"); strings.Contains(s, "\x1b[3") {
		t.Errorf("colours in spite of NO_COLOR:\n%q", s)
	}
	d.stop()
	x.shows("no flask2ban runs")
	x.keys("C-c")
	x.ends()
}
