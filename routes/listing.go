package routes

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// TableFormat says how WriteTable lays out its table.
type TableFormat struct {
	// Width is the terminal's width in columns; 0 means no limit.
	Width int
}

// WriteTable writes the routes for people: where each comes from, what could
// not be determined and what to do about it. Errors are the writer's.
func (p *Project) WriteTable(w io.Writer, o TableFormat) error {
	rows := [][]string{{"RULE", "METHODS", "ENDPOINT", "SOURCE", "WHERE"}}
	for _, r := range p.Routes {
		rows = append(rows, []string{hostWord(r) + r.Rule + flagWords(r), methodWords(r.Methods), r.Endpoint, sourceWord(r), placeWord(r)})
	}
	var b strings.Builder
	writeColumns(&b, rows, o.Width)
	p.writeSummary(&b, o.Width)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write routes: %w", err)
	}
	return nil
}

// flagWords names what changes how a route matches.
func flagWords(r Route) string {
	var out string
	for _, f := range []struct {
		set  bool
		word string
	}{{r.WebSocket, "websocket"}, {r.BuildOnly, "build only"}, {r.Alias, "alias"}, {r.RedirectTo != "", "→ " + r.RedirectTo}} {
		if f.set {
			out += " [" + f.word + "]"
		}
	}
	return out
}

func sourceWord(r Route) string {
	if r.Confirmed {
		return string(r.Source) + "+runtime"
	}
	return string(r.Source)
}

const columnGap = 2

// squeezes says which columns give way and how far, in order: first what says
// least, then, on a very narrow terminal, everything.
var squeezes = [...]struct{ column, least int }{
	{2, 10}, {4, 20}, {0, 24}, {1, 8}, {4, 12}, {2, 6}, {3, 6}, {0, 12}, {4, 6}, {1, 4}, {0, 4},
}

// writeColumns writes rows as aligned columns, cutting cells so that a line
// fits.
func writeColumns(b *strings.Builder, rows [][]string, width int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if width > 0 {
		fitColumns(widths, width)
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = ellipsis(cell, widths[i])
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+columnGap))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
}

func fitColumns(widths []int, width int) {
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for _, s := range squeezes {
		cut := min(total-width, widths[s.column]-s.least)
		if cut > 0 {
			widths[s.column] -= cut
			total -= cut
		}
	}
}

// ellipsis cuts a text in its middle, where file names and rules say least.
func ellipsis(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width || width < 2 {
		return text
	}
	head := (width - 1) / 2
	tail := width - 1 - head
	return string(runes[:head]) + "…" + string(runes[len(runes)-tail:])
}

// writeSummary says how far the table can be trusted.
func (p *Project) writeSummary(b *strings.Builder, width int) {
	fmt.Fprintf(b, "\n%d routes", len(p.Routes))
	if len(p.Unresolved) == 0 {
		b.WriteString(", nothing unresolved\n")
		return
	}
	b.WriteByte('\n')
	wrap(b, fmt.Sprintf("Unresolved: %d. Below their prefixes an unknown path is never evidence.", len(p.Unresolved)), width)
	b.WriteByte('\n')
	for _, u := range p.Unresolved {
		place := u.File
		if place != "" {
			place = fmt.Sprintf("%s:%d: ", u.File, u.Line)
		}
		wrap(b, fmt.Sprintf("  %-12s %s%s", u.Prefix, place, u.Reason), width)
	}
	b.WriteByte('\n')
	wrap(b, "To close them: run `flask2ban routes APP --runtime`, which asks the app itself (serving does so by itself),"+
		" or write the rule or its prefix as a constant where it is registered.", width)
}

// wrap writes a text in lines of a width, indented as the text itself is.
func wrap(b *strings.Builder, text string, width int) {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		b.WriteString(text + "\n")
		return
	}
	line := indent
	for _, word := range strings.Fields(text) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			b.WriteString(line + "\n")
			line = indent + "  "
		} else if strings.TrimSpace(line) != "" {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}
