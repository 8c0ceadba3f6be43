package proxy

import (
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/flask2ban/flask2ban/internal/metrics"
)

// onceLog warns once for each key, for at most maxOnce keys.
type onceLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]bool
}

const maxOnce = 1000

func (o *onceLog) warn(key, msg string, args ...any) {
	if msg == "" {
		return
	}
	o.mu.Lock()
	again := o.seen[key] || len(o.seen) >= maxOnce
	if !again {
		if o.seen == nil {
			o.seen = map[string]bool{}
		}
		o.seen[key] = true
	}
	o.mu.Unlock()
	if !again {
		o.log.Warn(msg, args...)
	}
}

// AccessLog writes one line a request in Apache's combined format. Lines are
// written whole, so that several processes can share a file.
type AccessLog struct {
	mu  sync.Mutex
	out io.Writer
	buf []byte
	err error
	log *slog.Logger
}

// NewAccessLog writes to w; the first error of writing goes to log.
func NewAccessLog(w io.Writer, log *slog.Logger) *AccessLog {
	return &AccessLog{out: w, log: log}
}

// maxField bounds what a client can make one field of a line hold, in bytes.
const maxField = 4096

func (l *AccessLog) write(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = appendCombined(l.buf[:0], x)
	if _, err := l.out.Write(l.buf); err != nil && l.err == nil {
		l.log.Error("access log: lines are being lost; free space or choose another --access-log", "error", err)
		l.err = err
	} else if err == nil {
		l.err = nil
	}
}

// loggedHeaders are the request's headers in a line, in their order.
var loggedHeaders = [...]string{"Referer", "User-Agent"}

func appendCombined(b []byte, x *exchange) []byte {
	r := x.request
	b = x.identity.Addr.AppendTo(b)
	b = append(b, " - - ["...)
	b = x.start.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendField(b, r.Method)
	b = append(b, ' ')
	b = appendField(b, r.RequestURI)
	b = append(b, ' ')
	b = append(b, r.Proto...)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(x.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.bytes, 10)
	for _, name := range loggedHeaders {
		b = append(b, ` "`...)
		if v := first(r.Header, name); v != "" {
			b = appendField(b, v)
		} else {
			b = append(b, '-')
		}
		b = append(b, '"')
	}
	return append(b, '\n')
}

// appendField escapes as Apache does (mod_log_config: \" \\ and \xhh), so
// that no client can forge a line, move a terminal's cursor or turn text around.
func appendField(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if len(s) > maxField {
		s = s[:maxField]
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError || !strconv.IsPrint(r) {
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
				break
			}
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		i++
	}
	return b
}

// count turns the exchange into metrics.
func (h *Handler) count(x *exchange, elapsed time.Duration) {
	status := x.status
	if status == 0 {
		status = statusClientClosed
	}
	route := x.label()
	if x.decision.Refused() {
		route = metrics.NoRoute // it says nothing of how the route does
	}
	h.Metrics.Request(route, x.request.Method, status, elapsed, elapsed-x.upstream-x.queued-x.decision.Wait)
}
