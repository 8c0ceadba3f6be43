package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/overview"
)

// busy is a daemon with much to show, some of it chosen by attackers.
func busy() *overview.Overview {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := &overview.Overview{At: now, ClientsTotal: 50, BansTotal: 50, RoutesTotal: 50}
	o.Status.Ready = true
	o.Now.Requests, o.Now.Refused, o.Now.P50, o.Now.P95 = 120, 30, 0.0031, 1.5
	for i := range 50 {
		o.Clients = append(o.Clients, ban.Offender{
			Client: fmt.Sprintf("192.0.2.%d", i), State: "suspect", Score: float64(i), Bans: 50 - i,
			Last: ban.Piece{Time: now.Add(time.Duration(i%7) * time.Second), Kind: ban.UnexpectedPath, Path: "/\x1b[2J\n\u202e世界" + strings.Repeat("x", 300)},
		})
		o.Bans = append(o.Bans, ban.Ban{Client: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32),
			Until: now.Add(time.Hour), Rule: "unexpected", Reason: "\x07\x9b31m"})
		o.Routes = append(o.Routes, overview.Route{Rule: fmt.Sprintf("/r%d", i), Hits: float64(i)})
		o.Events = append(o.Events, overview.Event{At: now, Level: "warn", Text: "t\r", Fields: []overview.Field{{Key: "k", Value: "\x00"}}})
	}
	return o
}

// TestTopScreen: whatever the size and the view, a screen is exactly filled, and
// nothing that clients sent moves the cursor.
func TestTopScreen(t *testing.T) {
	views := map[string]topView{
		"usual": {}, "help": {help: true}, "asking": {prompt: promptBan, input: strings.Repeat("9", maxInput)},
		"filtered": {filter: "\x1b"}, "said": {said: "no\tluck", failed: true},
	}
	for name, v := range views {
		for _, o := range []*overview.Overview{busy(), {}} {
			for _, size := range [][2]int{{80, 24}, {139, 50}, {140, 50}, {300, 100}, {20, 5}, {1, 1}, {80, 1}, {3, 60}} {
				lines := v.screen(o, size[0], size[1])
				if len(lines) != size[1] {
					t.Errorf("%s at %v: %d lines", name, size, len(lines))
				}
				for _, l := range lines {
					if len(l.text) > size[0] || strings.ContainsFunc(l.text, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
						t.Errorf("%s at %v: %q", name, size, l.text)
					}
				}
			}
		}
	}
}

// TestTopStack: each block gets its share, and what one doesn't need the others
// have.
func TestTopStack(t *testing.T) {
	block := func(head string, n int) topBlock {
		return topBlock{head, make([]topLine, n)}
	}
	count := func(room int, blocks ...topBlock) (got []int) {
		for _, l := range stack(room, blocks...) {
			if l.text != "" {
				got = append(got, 0)
			} else {
				got[len(got)-1]++
			}
		}
		return got
	}
	for _, tt := range []struct {
		room int
		want string
	}{{19, "[5 1 5 4]"}, {100, "[50 1 50 50]"}, {4, "[0 0 0 0]"}, {2, "[0 0]"}, {0, "[]"}, {-3, "[]"}} {
		got := count(tt.room, block("a", 50), block("b", 1), block("c", 50), block("d", 50))
		if tt.room == 100 {
			tt.want = "[32 1 32 31]"
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("room %d: got %v, want %s", tt.room, got, tt.want)
		}
	}
}

func TestTopOrders(t *testing.T) {
	for i, want := range []string{"192.0.2.0", "192.0.2.49", "192.0.2.6", "192.0.2.0", "192.0.2.0", "192.0.2.0"} {
		v := topView{sort: i}
		if got := v.clients(busy()).lines[0].text; !strings.HasPrefix(got, want+" ") {
			t.Errorf("order %d begins with %s", i, got)
		}
	}
	v := topView{filter: "2.49"}
	if b := v.clients(busy()); len(b.lines) != 1 {
		t.Errorf("the filter leaves %d", len(b.lines))
	}
}

func TestTopKeys(t *testing.T) {
	var got []byte
	for key := range readKeys(strings.NewReader("a\x1b[1;5Ab\x1bOPc\x1bd\x1b")) {
		got = append(got, key)
	}
	if string(got) != "abc\x1bd\x1b" {
		t.Errorf("got %q", got)
	}
	for input, want := range map[string]string{
		"192.0.2.1": "192.0.2.1  <nil>", " 2001:db8::/64  2d ": "2001:db8::/64 2d <nil>",
	} {
		client, duration, err := order(input)
		if got := fmt.Sprint(client, " ", duration, " ", err); got != want {
			t.Errorf("%q: got %q", input, got)
		}
	}
	for _, bad := range []string{"", "x", "192.0.2.1 1h why", "example.org"} {
		if _, _, err := order(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for seconds, want := range map[float64]string{0: "-", 0.0031: "3.1 ms", 0.25: "250 ms", 1.5: "1.5 s"} {
		if got := latency(seconds); got != want {
			t.Errorf("%v: got %s", seconds, got)
		}
	}
}
