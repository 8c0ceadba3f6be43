package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/overview"
)

// topView says what of the daemon's state is shown, and how.
type topView struct {
	sort   int    // of topOrders
	filter string // what a client, path, route or event must contain
	help   bool
	prompt string // what is being asked, empty for nothing
	input  string // and the answer so far
	said   string // what came of the last action
	failed bool   // it is an error
}

// topLine is one line of the screen. Colour goes over the whole of it, after
// it was cut to the width.
type topLine struct {
	text   string
	colour cmdline.Colour
}

// topBlock is a heading with lines below.
type topBlock struct {
	head  string
	lines []topLine
}

// topOrders are the orders of clients.
var topOrders = []struct {
	name    string
	compare func(a, b ban.Offender) int
}{
	{"worst", nil}, // as the daemon sends them
	{"score", func(a, b ban.Offender) int { return cmp.Compare(b.Score, a.Score) }},
	{"latest", func(a, b ban.Offender) int { return b.Last.Time.Compare(a.Last.Time) }},
	{"bans", func(a, b ban.Offender) int { return cmp.Compare(b.Bans, a.Bans) }},
	{"client", func(a, b ban.Offender) int { return strings.Compare(a.Client, b.Client) }},
}

const (
	// topSide is from which width on blocks stand side by side.
	topSide   = 140
	topMargin = 2 // columns between them
	topFoot   = "q quit   b ban   u unban   s sort   / filter   ? help"
)

// topHelp is the text behind "?".
var topHelp = []string{
	"q      quit (Ctrl-C too)",
	"b      ban a client: ADDRESS or CIDR, then how long if not 1h, as in 192.0.2.1 2d",
	"u      unban a client: ADDRESS or CIDR",
	"s      sort clients: worst first, by score, latest evidence, bans, address",
	"/      show only what contains a text; empty shows all",
	"?      this, and back",
	"",
	"Figures are averages over 5 seconds. flask2ban why CLIENT has all evidence.",
}

// screen is what stands on a terminal of w columns and h lines: as many lines.
func (v *topView) screen(o *overview.Overview, w, h int) []topLine {
	lines := v.header(o)
	room := h - len(lines) - 1
	if v.help {
		for _, text := range topHelp {
			lines = append(lines, topLine{text: text})
		}
	} else {
		lines = append(lines, v.blocks(o, w, room)...)
	}
	lines = lines[:min(len(lines), max(h-1, 0))]
	for len(lines) < h-1 {
		lines = append(lines, topLine{})
	}
	lines = append(lines, v.foot())
	for i := range lines {
		lines[i].text = cutTo(lines[i].text, w)
	}
	return lines
}

func (v *topView) foot() topLine {
	switch {
	case v.prompt != "":
		return topLine{v.prompt + v.input + "_", cmdline.Bold}
	case v.said != "" && v.failed:
		return topLine{v.said, cmdline.Red}
	case v.said != "":
		return topLine{v.said, cmdline.Green}
	}
	return topLine{topFoot, cmdline.Dim}
}

// header is the daemon, its traffic, its app and its clients.
func (v *topView) header(o *overview.Overview) []topLine {
	st, n := &o.Status, &o.Now
	appLine := topLine{text: "app       " + readable(describeApp(*st))}
	if !st.Ready {
		appLine = topLine{"app       not ready: " + readable(st.NotReady), cmdline.Red}
	}
	share := 0.0
	if n.Requests > 0 {
		share = min(100, 100*n.Refused/n.Requests)
	}
	j := &st.Judging
	return []topLine{
		{fmt.Sprintf("flask2ban %s, mode %s, up %s", readable(st.Version), st.Mode, cmdline.Span(time.Duration(st.UptimeSeconds*float64(time.Second)))), cmdline.Bold},
		{text: fmt.Sprintf("req/s     %.1f, refused %.1f (%.0f%%), 5xx %.1f, p50 %s, p95 %s, in flight %.0f, queued %.0f",
			n.Requests, n.Refused, share, n.Errors, latency(n.P50), latency(n.P95), n.InFlight, n.Queued)},
		appLine,
		{text: fmt.Sprintf("clients   %d tracked, %d suspects, %d bans; sums: %.0f requests, %.0f refused, %.0f bans",
			j.Clients, j.Suspects, j.Banned, o.Sums.Requests, o.Sums.Refused, o.Sums.Bans)},
	}
}

// latency writes seconds as people do.
func latency(seconds float64) string {
	switch {
	case seconds <= 0:
		return "-"
	case seconds < 0.1:
		return fmt.Sprintf("%.1f ms", 1000*seconds)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// blocks fills the room, in two columns where there is the width.
func (v *topView) blocks(o *overview.Overview, w, room int) []topLine {
	clients, bans, hot, events := v.clients(o), v.bans(o), v.routes(o), v.events(o)
	if w < topSide {
		return stack(room, clients, bans, hot, events)
	}
	half := (w - topMargin) / 2
	left, right := stack(room, clients, hot), stack(room, bans, events)
	var out []topLine
	for i := range max(len(left), len(right)) {
		var l, r topLine
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		// One colour a line: headings stand beside headings only at the top.
		line := topLine{text: padTo(cutTo(l.text, half), half+topMargin) + cutTo(r.text, half)}
		if l.colour == r.colour {
			line.colour = l.colour
		}
		out = append(out, line)
	}
	return out
}

// stack puts blocks below one another. Each gets an equal share of the room;
// what one doesn't need the others have.
func stack(room int, blocks ...topBlock) []topLine {
	give := make([]int, len(blocks)) // lines below the heading
	left := room - len(blocks)
	for grown := true; grown && left > 0; {
		grown = false
		for i, b := range blocks {
			if left > 0 && give[i] < len(b.lines) {
				give[i]++
				left--
				grown = true
			}
		}
	}
	var out []topLine
	for i, b := range blocks {
		out = append(out, topLine{b.head, cmdline.Bold})
		out = append(out, b.lines[:give[i]]...)
	}
	return out[:min(len(out), max(room, 0))]
}

// shows says that one of the texts contains what is looked for.
func (v *topView) shows(texts ...string) bool {
	return v.filter == "" || slices.ContainsFunc(texts, func(s string) bool {
		return strings.Contains(strings.ToLower(s), strings.ToLower(v.filter))
	})
}

func (v *topView) clients(o *overview.Overview) topBlock {
	list := slices.Clone(o.Clients)
	order := topOrders[v.sort%len(topOrders)]
	if order.compare != nil {
		slices.SortStableFunc(list, order.compare)
	}
	head := fmt.Sprintf("%-20s %-8s %7s %5s  LATEST", "CLIENT", "STATE", "SCORE", "BANS")
	b := topBlock{head: head + "   (" + strconv.Itoa(o.ClientsTotal) + ", " + order.name + v.filtered() + ")"}
	colours := map[string]cmdline.Colour{"blocked": cmdline.Red, "suspect": cmdline.Yellow}
	for _, c := range list {
		if !v.shows(c.Client, c.Last.Path, c.State) {
			continue
		}
		text := fmt.Sprintf("%-20s %-8s %7s %5d  %s %s", c.Client, c.State,
			strconv.FormatFloat(c.Score, 'g', 3, 64), c.Bans, c.Last.Kind, readable(c.Last.Path))
		b.lines = append(b.lines, topLine{text, colours[c.State]})
	}
	return b
}

func (v *topView) filtered() string {
	if v.filter == "" {
		return ""
	}
	return ", with " + readable(v.filter)
}

func (v *topView) bans(o *overview.Overview) topBlock {
	b := topBlock{head: fmt.Sprintf("%-20s %-8s %5s %-12s  REASON   (%d)", "BANNED", "LEFT", "COUNT", "RULE", o.BansTotal)}
	for _, x := range o.Bans {
		client := ban.FormatClient(x.Client)
		if v.shows(client, x.Rule, x.Reason) {
			b.lines = append(b.lines, topLine{text: fmt.Sprintf("%-20s %-8s %5d %-12s  %s",
				client, cmdline.Span(x.Until.Sub(o.At)), x.Count, readable(x.Rule), readable(x.Reason))})
		}
	}
	return b
}

func (v *topView) routes(o *overview.Overview) topBlock {
	b := topBlock{head: fmt.Sprintf("%9s %6s %6s %8s %8s  ROUTE   (%d)", "REQUESTS", "4XX", "5XX", "P50", "P95", o.RoutesTotal)}
	for _, r := range o.Routes {
		if r.Hits > 0 && v.shows(r.Rule) {
			b.lines = append(b.lines, topLine{text: fmt.Sprintf("%9.0f %6.0f %6.0f %8s %8s  %s",
				r.Hits, r.ClientErrors, r.ServerErrors, latency(r.P50), latency(r.P95), readable(r.Rule))})
		}
	}
	return b
}

func (v *topView) events(o *overview.Overview) topBlock {
	b := topBlock{head: "EVENTS"}
	colours := map[string]cmdline.Colour{"warn": cmdline.Yellow, "error": cmdline.Red}
	for _, e := range o.Events {
		text := e.At.Local().Format("15:04:05") + " " + readable(e.Text)
		for _, f := range e.Fields {
			text += " " + readable(f.Key) + "=" + readable(f.Value)
		}
		if v.shows(text) {
			b.lines = append(b.lines, topLine{text, colours[e.Level]})
		}
	}
	return b
}

// readable is a text in ASCII: every terminal gives each of its characters one
// column, and none of them moves the cursor.
func readable(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// cutTo cuts an ASCII text to a width.
func cutTo(s string, w int) string {
	switch {
	case len(s) <= w:
		return s
	case w < 1:
		return ""
	}
	return s[:w-1] + ">"
}

func padTo(s string, w int) string { return s + strings.Repeat(" ", max(0, w-len(s))) }

// order reads what a person wrote behind "ban": a client, and how long.
func order(input string) (client, duration string, err error) {
	words := strings.Fields(input)
	if len(words) == 0 || len(words) > 2 {
		return "", "", fmt.Errorf("want ADDRESS or CIDR, and how long if not 1h")
	}
	if _, err := ban.ParseClient(words[0]); err != nil {
		return "", "", err
	}
	if len(words) == 2 {
		duration = words[1]
	}
	return words[0], duration, nil
}
