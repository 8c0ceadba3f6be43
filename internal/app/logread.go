package app

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	// maxLine bounds one line of the app's output, in bytes.
	maxLine = 16 * 1024
	// tailLines are kept of an instance's standard error, to explain its end.
	tailLines = 20
	// tailLine bounds a line there.
	tailLine = 500
)

// output reads one stream of the app and passes it on.
type output struct {
	to   *lineWriter
	mark string
	// each is told every line, without its end, marks and colours.
	each func(line string)
	// hide says which lines are not passed on; nil is none.
	hide func(line string) bool
}

// read goes on until r ends. A line without an end is passed on as well.
func (o *output) read(r io.Reader) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		raw, err := in.ReadSlice('\n')
		cut := err == bufio.ErrBufferFull
		if len(raw) > 0 {
			o.line(raw, cut)
		}
		for err == bufio.ErrBufferFull {
			_, err = in.ReadSlice('\n') // the rest of a line that is too long
		}
		if err != nil {
			return
		}
	}
}

func (o *output) line(raw []byte, cut bool) {
	plain := escapeControls(strings.TrimRight(withoutColour(string(raw)), "\r\n"))
	if cut {
		plain += " [... cut]"
	}
	o.each(plain)
	if o.hide == nil || !o.hide(plain) {
		o.to.write(o.mark + plain + "\n")
	}
}

// isBanner says whether a line is Werkzeug's word of where it listens
// (werkzeug/serving.py, BaseWSGIServer.log_startup).
func isBanner(line string) bool {
	return strings.HasPrefix(line, " * Running on ") || line == "Press CTRL+C to quit"
}

// lineWriter lets several streams write whole lines.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// write drops what the operator's terminal does not take: the app goes on.
func (l *lineWriter) write(line string) {
	if l.w == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	io.WriteString(l.w, line)
}

// withoutColour takes ANSI colours (CSI ... m) out, which Werkzeug's request
// lines have.
func withoutColour(s string) string {
	if strings.IndexByte(s, '\x1b') < 0 {
		return s
	}
	return colours.ReplaceAllString(s, "")
}

// escapeControls makes s safe for a terminal and a log: no line in it, no
// escape sequence, no invalid UTF-8.
func escapeControls(s string) string {
	if strings.IndexFunc(s, isUnsafe) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				fmt.Fprintf(&b, `\x%02x`, s[i])
				continue
			}
			b.WriteRune(r)
		case !isUnsafe(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// isUnsafe includes the Unicode characters that reorder or end a line.
func isUnsafe(r rune) bool {
	return r != '\t' && unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// tail keeps the last lines of a stream.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	if len(line) > tailLine {
		line = line[:tailLine] + "..."
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) >= tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}
