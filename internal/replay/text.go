package replay

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// TextStyle says how a report looks as text.
type TextStyle struct {
	// Width is the terminal's, in columns; 0 cuts nothing.
	Width int
	// Rows is how many rows of each table are shown; 0 means 20.
	Rows int
	// Warn and Head mark what matters and headings; nil leaves them plain.
	Warn, Head func(string) string
}

const (
	defaultRows = 20
	// textTime is to the second: logs know no more.
	textTime = "2006-01-02 15:04:05"
)

// WriteText writes the report for people. Control characters of the log are
// shown as escapes. Errors are the writer's.
func (r *Report) WriteText(w io.Writer, style TextStyle) error {
	plain := func(s string) string { return s }
	if style.Warn == nil {
		style.Warn = plain
	}
	if style.Head == nil {
		style.Head = plain
	}
	if style.Rows == 0 {
		style.Rows = defaultRows
	}
	t := &text{TextStyle: style, Report: r}
	for _, section := range []func(){t.summary, t.notes, t.bans, t.paths, t.unused, t.sweep, t.skips} {
		section()
	}
	_, err := w.Write(t.out.Bytes())
	return err
}

// text is a report on its way to a terminal.
type text struct {
	TextStyle
	*Report
	out bytes.Buffer
}

func (t *text) line(format string, args ...any) { fmt.Fprintf(&t.out, format+"\n", args...) }

func (t *text) head(format string, args ...any) {
	t.line("\n%s", t.Head(fmt.Sprintf(format, args...)))
}

func (t *text) summary() {
	for _, l := range t.Logs {
		t.line("%s: %s, %s%s", printable(l.Name), plural(l.Lines, "line"), l.Format, orNothing(l.Err))
	}
	t.line("%s of %s%s, in %v (%s lines/s)", plural(t.Requests, "request"), plural(t.Clients, "client"),
		t.between(), t.Took.Round(time.Millisecond), thousands(int(math.Min(t.rate(), math.MaxInt32))))
	if t.Learned >= 0 {
		t.line("Table: the %s that were answered with 2xx or 3xx", plural(t.Learned, "path"))
	}
	wrong := t.likelyWrong()
	t.line("\n%s would have been banned, and %s refused (%s of all%s).", plural(len(t.Banned), "client"),
		plural(t.Refused, "request"), share(t.Refused, t.Requests), t.throttledText())
	switch {
	case wrong > 0:
		t.line("%s", t.Warn(fmt.Sprintf("%s mostly used the app's own routes: likely wrong bans, named first.", plural(wrong, "of them", "of them"))))
	case len(t.Banned) > 0:
		t.line("None of them mostly used the app's own routes.")
	}
	var parts []string
	for _, c := range t.Evidence {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(c.N), c.Kind))
	}
	if len(parts) > 0 {
		t.line("Evidence seen: %s.", strings.Join(parts, ", "))
	}
}

func (r *Report) likelyWrong() int {
	n := 0
	for _, b := range r.Banned {
		if b.Wrong {
			n++
		}
	}
	return n
}

func (t *text) throttledText() string {
	if t.Throttled == 0 {
		return ""
	}
	return fmt.Sprintf("; %s of them throttled suspects'", thousands(t.Throttled))
}

func (r *Report) between() string {
	if r.First.IsZero() {
		return ""
	}
	return fmt.Sprintf(", %s to %s UTC", r.First.Format(textTime), r.Last.Format(textTime))
}

func (t *text) notes() {
	for _, n := range t.Notes {
		t.line("%s %s", t.Warn("note:"), printable(n))
	}
}

func (t *text) bans() {
	if len(t.Banned) == 0 {
		return
	}
	t.head("Clients")
	rows := [][]string{{"CLIENT", "FIRST BAN", "BANS", "REQUESTS", "AFTER", "REFUSED", "KNOWN", "WHY"}}
	for _, b := range t.Banned[:min(len(t.Banned), t.Rows)] {
		name := b.Client
		if b.Wrong {
			name = "! " + name
		}
		rows = append(rows, []string{
			name, b.FirstBan.Format(textTime), strconv.Itoa(b.Bans), thousands(b.Requests), thousands(b.After), thousands(b.Refused),
			percent(b.KnownShare), b.why(),
		})
	}
	t.table(rows, len(t.Banned))
}

// why names the evidence by its last path, which is shorter than the reason.
func (b *Banned) why() string {
	if len(b.Evidence) == 0 {
		return b.Reason
	}
	last := b.Evidence[len(b.Evidence)-1]
	more := ""
	if n := len(b.Evidence) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%s %s %s%s", last.Kind, printable(last.Method), printable(last.Path), more)
}

func (t *text) paths() {
	if len(t.Paths) == 0 {
		return
	}
	t.head("Paths that cost most evidence")
	rows := [][]string{{"WEIGHT", "TIMES", "SOFT", "CLIENTS", "KIND", "PATH"}}
	for _, p := range t.Paths[:min(len(t.Paths), t.Rows)] {
		rows = append(rows, []string{
			number(p.Weight), thousands(p.Times), thousands(p.Soft), upTo(p.Clients), string(p.Kind), printable(p.Path),
		})
	}
	t.table(rows, len(t.Paths))
}

func (t *text) unused() {
	if len(t.Unused) == 0 {
		return
	}
	t.head("Routes that nobody asked for")
	rows := [][]string{{"METHODS", "RULE", "FROM"}}
	for _, u := range t.Unused[:min(len(t.Unused), t.Rows)] {
		from := string(u.Source)
		if u.File != "" {
			from = fmt.Sprintf("%s:%d", u.File, u.Line)
		}
		rows = append(rows, []string{strings.Join(u.Methods, " "), printable(u.Host + u.Rule), from})
	}
	t.table(rows, len(t.Unused))
}

func (t *text) sweep() {
	if len(t.Sweep) == 0 {
		return
	}
	t.head("Other settings")
	rows := [][]string{{"SETTING", "CLIENTS", "LIKELY WRONG", "BANS", "REFUSED", "OF ALL"}}
	for _, o := range t.Sweep {
		rows = append(rows, []string{
			o.Name, thousands(o.Clients), thousands(o.Wrong), thousands(o.Bans), thousands(o.Refused), share(o.Refused, o.Requests),
		})
	}
	t.table(rows, len(t.Sweep))
}

func (t *text) skips() {
	if t.Skipped == 0 {
		return
	}
	t.head("%s could not be read, for example", plural(t.Skipped, "line"))
	for _, l := range t.Logs {
		for _, s := range l.Skips {
			t.line("%s", t.fit(fmt.Sprintf("  %s:%d: %s: %s", printable(l.Name), s.Line, s.Why, printable(s.Text))))
		}
	}
}

// table writes rows below a heading, and says how many are not shown.
func (t *text) table(rows [][]string, all int) {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, "  "+strings.Join(row, "\t"))
	}
	_ = tw.Flush() // a buffer takes all
	for line := range strings.Lines(b.String()) {
		t.line("%s", t.fit(strings.TrimRight(line, " \n")))
	}
	if shown := len(rows) - 1; shown < all {
		t.line("  and %s more (--rows)", thousands(all-shown))
	}
}

// fit cuts a line off at the terminal's edge.
func (t *text) fit(line string) string {
	if t.Width < 20 || utf8.RuneCountInString(line) <= t.Width {
		return line
	}
	return string([]rune(line)[:t.Width-1]) + "…"
}

// printable shows control characters as escapes.
func printable(s string) string {
	if quoted := strconv.QuoteToGraphic(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" (ended early: %v)", err)
}

// plural writes a number and what it counts: "1 line", "2 lines".
func plural(n int, one string, many ...string) string {
	switch {
	case n == 1:
	case len(many) > 0:
		one = many[0]
	default:
		one += "s"
	}
	return thousands(n) + " " + one
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', 0, 64) + "%" }

func share(part, all int) string {
	if all == 0 {
		return "0%"
	}
	return strconv.FormatFloat(100*float64(part)/float64(all), 'f', 1, 64) + "%"
}

func upTo(n int) string {
	if n >= someClients {
		return strconv.Itoa(n) + "+"
	}
	return strconv.Itoa(n)
}
