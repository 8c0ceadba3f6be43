package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/flask2ban/flask2ban/ban"
)

// TestClientsConnectionIsKept over answers of the app's and of ours; only a body in
// chunks ends it (RFC 9112 6.1). The access log has what each answer's body was.
func TestClientsConnectionIsKept(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Routing", "found")
		fmt.Fprint(w, strings.Repeat("x", int(n)+1))
	}, func(c *Config, _ *ban.Config) { c.AccessLog = NewAccessLog(&log, slog.New(slog.DiscardHandler)) })
	c, err := net.Dial("tcp", g.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	var wants []string
	for _, tt := range []struct {
		request, line string
		kept          bool
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", `"GET / HTTP/1.1" 200 1 `, true},
		{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", `"HEAD / HTTP/1.1" 200 0 `, true},
		{"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", `"TRACE / HTTP/1.1" 405 \d+ `, true},
		{"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", `"POST /post HTTP/1.1" 200 4 `, true},
		{"GET /user/a HTTP/1.1\r\nHost: a\r\n\r\n", `"GET /user/a HTTP/1.1" 200 1 `, true},
		{"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", `"POST /post HTTP/1.1" 200 3 `, false},
	} {
		if _, err := io.WriteString(c, tt.request); err != nil {
			t.Fatalf("%.20q: %v", tt.request, err)
		}
		method, _, _ := strings.Cut(tt.request, " ")
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%.20q: %v", tt.request, err)
		}
		io.Copy(io.Discard, res.Body)
		wants = append(wants, tt.line)
		if res.Close == tt.kept {
			t.Errorf("%.20q: the answer ends the connection: %t", tt.request, res.Close)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after a body in chunks: %v, want the connection's end", err)
	}
	g.front.Close() // all lines are written
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for n, want := range wants {
		if n >= len(lines) || !regexp.MustCompile(want).MatchString(lines[n]) {
			t.Errorf("line %d of %q, want %s", n+1, lines, want)
		}
	}
}
