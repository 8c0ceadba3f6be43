package app

import (
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	maxMessageText = 1000
	maxTraceback   = 3000
)

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// logLine is what a line of a server's log says.
type logLine uint8

const (
	otherLine logLine = iota
	// requestLine is a server's line for a finished request.
	requestLine
	// errorLine announces the traceback of a request.
	errorLine
)

// logParsers are the lines that we know, each with the names of its parts.
// The first whose begin is in the line, and whose pattern matches, counts.
var logParsers = []struct {
	server  string
	kind    logLine
	has     string
	pattern *regexp.Regexp
}{
	{"flask", errorLine, "Exception on ", regexp.MustCompile(`Exception on (?P<path>.*) \[(?P<method>[A-Z]+)\]`)},
	{"gunicorn", errorLine, "Error handling request ", regexp.MustCompile(`\[ERROR\] Error handling request (?P<path>.*)$`)},
	{"gunicorn", errorLine, "Exception in worker process", regexp.MustCompile(`\[ERROR\] Exception in worker process`)},
	{"werkzeug", errorLine, "Error on request:", regexp.MustCompile(`Error on request:$`)},
	{"waitress", errorLine, "Exception while serving ", regexp.MustCompile(`Exception while serving (?P<path>.*)$`)},
	{"gevent", errorLine, "failed with", regexp.MustCompile(`failed with (?P<type>[A-Za-z_][\w.]*)$`)},
	{"werkzeug, gunicorn, gevent, wsgiref", requestLine, " HTTP/", regexp.MustCompile(`^\S+ - \S+ \[[^\]]+\] "(?P<method>[A-Z]+) (?P<path>\S*) HTTP/[0-9.]+" (?P<status>\d{3})`)},
}

// parseLog says what line is, and its parts by name.
func parseLog(line string) (logLine, map[string]string) {
	for _, parser := range logParsers {
		if !strings.Contains(line, parser.has) {
			continue
		}
		match := parser.pattern.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		parts := map[string]string{}
		for i, name := range parser.pattern.SubexpNames() {
			if name != "" {
				parts[name] = match[i]
			}
		}
		return parser.kind, parts
	}
	return otherLine, nil
}

// isRequestLine says whether line is one that a server writes for each request.
func isRequestLine(line string) bool {
	kind, _ := parseLog(line)
	return kind == requestLine
}

const (
	tracebackStart = "Traceback (most recent call last):"
	// Between the tracebacks of a chain (PEP 3134), the last of which counts.
	chainCause   = "The above exception was the direct cause of the following exception:"
	chainContext = "During handling of the above exception, another exception occurred:"
)

// raised is the first line after a traceback's frames: "module.Type: message".
var raised = regexp.MustCompile(`^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: (.*))?$`)

// idleEnd is how long after its last line a traceback is taken for whole.
const idleEnd = 300 * time.Millisecond

// tracebackReader finds exceptions in the lines of one stream. A traceback is
// reported with the first line after it that can't belong to it, or when
// nothing comes for idleEnd.
type tracebackReader struct {
	report func(Exception)
	now    func() time.Time

	mu   sync.Mutex
	idle *time.Timer
	// about are the parts of the errorLine before the traceback.
	about   map[string]string
	reading bool // between the start and the exception's own line
	found   *Exception
	text    strings.Builder
}

// line takes the stream's next line.
func (t *tracebackReader) line(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.take(line)
	switch {
	case t.found == nil:
	case t.idle == nil:
		t.idle = time.AfterFunc(idleEnd, t.close)
	default:
		t.idle.Reset(idleEnd)
	}
}

// close is the end of the stream, or a pause.
func (t *tracebackReader) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
}

func (t *tracebackReader) take(line string) {
	switch {
	case strings.HasSuffix(line, tracebackStart):
		t.begin(line)
	case t.reading:
		t.inside(line)
	case t.found != nil && (line == "" || line == chainCause || line == chainContext):
		t.keep(line)
	default:
		t.end()
		if kind, parts := parseLog(line); kind == errorLine {
			t.about = parts
		} else if kind == requestLine {
			t.about = nil
		}
	}
}

// begin also goes on with a chain: its last exception counts.
func (t *tracebackReader) begin(line string) {
	if t.found != nil && !t.chained() {
		t.end()
	}
	t.found, t.reading = nil, true
	t.keep(line)
}

func (t *tracebackReader) chained() bool {
	text := strings.TrimRight(t.text.String(), "\n")
	return strings.HasSuffix(text, chainCause) || strings.HasSuffix(text, chainContext)
}

// inside takes a frame, which is indented, or the exception's own line.
func (t *tracebackReader) inside(line string) {
	t.keep(line)
	if line == "" || strings.HasPrefix(line, " ") {
		return
	}
	t.reading = false
	match := raised.FindStringSubmatch(line)
	if match == nil {
		t.reset()
		return
	}
	t.found = &Exception{Type: strings.TrimPrefix(match[1], "__main__."), Message: cutText(match[2], maxMessageText)}
}

func (t *tracebackReader) keep(line string) {
	if t.text.Len() < 64*1024 {
		t.text.WriteString(line + "\n")
	}
}

// end reports what was found.
func (t *tracebackReader) end() {
	if t.found == nil {
		t.reset()
		return
	}
	exception := *t.found
	text := strings.TrimRight(t.text.String(), "\n")
	exception.Traceback = text[max(0, len(text)-maxTraceback):]
	exception.Method, exception.Path = t.about["method"], t.about["path"]
	exception.At = t.now()
	t.about = nil
	t.reset()
	t.report(exception)
}

func (t *tracebackReader) reset() {
	t.found, t.reading = nil, false
	t.text.Reset()
}

func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
