package cmdline

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/flask2ban/flask2ban/internal/config"
)

// IsTerminal says whether w is one: then there are colours and a screen to
// clear.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Colour is an ANSI code.
type Colour string

// The colours that are used.
const (
	Bold   Colour = "1"
	Dim    Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
)

// Painter colours text for w: only on a terminal, and not where NO_COLOR asks
// for none (no-color.org).
func (p Program) Painter(w io.Writer) func(Colour, string) string {
	if !IsTerminal(w) || p.Getenv("NO_COLOR") != "" || p.Getenv("TERM") == "dumb" {
		return func(_ Colour, s string) string { return s }
	}
	return func(code Colour, s string) string { return "\x1b[" + string(code) + "m" + s + "\x1b[0m" }
}

// Clock writes a time for people, in their zone.
func Clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Span writes a duration for people: two of its units.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 10*day:
		d = d.Round(day)
	case d >= day:
		d = d.Round(time.Hour)
	case d >= time.Hour:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Second)
	}
	return config.FormatDuration(max(d, 0))
}

// Printable is s as it is, or quoted as Go does where it has what would move the
// cursor of a terminal, or is no UTF-8.
func Printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsGraphic(r) }) {
		return s
	}
	return strconv.QuoteToGraphic(s)
}

// WriteJSON writes v for people and programs.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
