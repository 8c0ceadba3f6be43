package proxy

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/metrics"
)

func TestAccessLogCannotBeForged(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = "/a\"b\\c\x1b[2Jé"
	r.Header["User-Agent"] = []string{"evil\n127.0.0.1 - - forged\u009b\xff\u202egpj"}
	x := &exchange{
		request: r, status: 404, bytes: 12,
		start:    time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		identity: clientip.Identity{Addr: netip.MustParseAddr("192.0.2.1")},
	}
	var out bytes.Buffer
	NewAccessLog(&out, slog.New(slog.DiscardHandler)).write(x)
	want := `192.0.2.1 - - [22/Nov/2026:10:00:00 +0000] "GET /a\"b\\c\x1b[2Jé HTTP/1.1" 404 12 "-" "evil\x0a127.0.0.1 - - forged\xc2\x9b\xff\xe2\x80\xaegpj"` + "\n"
	if got := out.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAccessLogBoundsFields(t *testing.T) {
	t.Parallel()
	got := appendField(nil, strings.Repeat("a", 1<<20))
	if len(got) != maxField {
		t.Errorf("a field of 1 MiB became %d bytes, want %d", len(got), maxField)
	}
}

// failing is a full disk.
type failing struct{ writes int }

func (f *failing) Write([]byte) (int, error) {
	f.writes++
	return 0, errors.New("no space left on device")
}

func TestAccessLogTellsOnceOfAFullDisk(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	disk := &failing{}
	l := NewAccessLog(disk, slog.New(slog.NewTextHandler(&told, nil)))
	for range 3 {
		l.write(&exchange{request: httptest.NewRequest("GET", "/", nil)})
	}
	if disk.writes != 3 {
		t.Errorf("writes = %d, want 3: writing goes on", disk.writes)
	}
	if n := strings.Count(told.String(), "no space left"); n != 1 {
		t.Errorf("told %d times, want once: %s", n, told.String())
	}
}

func TestWarnOnce(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	o := onceLog{log: slog.New(slog.NewTextHandler(&told, nil))}
	for range 3 {
		o.warn("a", "first")
		o.warn("b", "second")
	}
	if got := strings.Count(told.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want 2: %s", got, told.String())
	}
}

// TestRefusalsAreNoRequestsOfRoutes: what banned clients ask for and don't get
// says nothing of how fast and sound a route is.
func TestRefusalsAreNoRequestsOfRoutes(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	g.do("192.0.2.2", "GET", "/")
	g.do("192.0.2.1", "GET", "/.env")
	for range 5 {
		if w := g.do("192.0.2.1", "GET", "/"); w.Code != http.StatusForbidden {
			t.Fatalf("got %d", w.Code)
		}
	}
	all := g.handler.Metrics.Totals().Routes
	if r := all["/"]; r.Requests != 1 || r.ClientErrors != 0 || r.Latency.Count() != 1 {
		t.Errorf("of the route: %+v, want the one request that was served", r)
	}
	if r := all[metrics.NoRoute]; r.Requests != 6 {
		t.Errorf("of none: %+v, want 6 requests", r)
	}
}
