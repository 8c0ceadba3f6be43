package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// TestTarpit holds a banned client for its time, then refuses; one that leaves gives its
// place up; and where all places are taken, the next is refused at once.
func TestTarpit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{tarpit: make(chan struct{}, 2)}
		serve := func(ctx context.Context) (took time.Duration, code int) {
			w := httptest.NewRecorder()
			x := &exchange{handler: h, Context: ctx, writer: w, request: httptest.NewRequest("GET", "/", nil)}
			x.decision = ban.Decision{Refusals: ban.Explained + 1, RetryAfter: time.Minute}
			began := time.Now()
			h.tarry(x)
			return time.Since(began), w.Code
		}
		leaving, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		left := make(chan time.Duration, 1)
		go func() { took, _ := serve(leaving); left <- took }()
		stayed := make(chan time.Duration, 1)
		go func() {
			took, code := serve(t.Context())
			if code != http.StatusForbidden {
				t.Errorf("status %d", code)
			}
			stayed <- took
		}()
		synctest.Wait()
		if took, code := serve(t.Context()); took != 0 || code != http.StatusForbidden {
			t.Errorf("with the tarpit full: %d after %v, want 403 at once", code, took)
		}
		if took := <-left; took != time.Second {
			t.Errorf("one that left after 1s was held for %v", took)
		}
		if took, _ := serve(t.Context()); took != tarpitTime {
			t.Errorf("in the place of one that left: held for %v, want %v", took, tarpitTime)
		}
		if took := <-stayed; took != tarpitTime {
			t.Errorf("held for %v, want %v", took, tarpitTime)
		}
		if n := len(h.tarpit); n != 0 {
			t.Errorf("%d places are still taken", n)
		}
	})
}

// TestDropSaysNothing: not a byte goes to the client, and its connection is closed.
func TestDropSaysNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, func(_ *Config, b *ban.Config) { b.Penalty = ban.Drop })
	g.engine.Add(g.handler.Now(), ban.Ban{Client: netip.MustParsePrefix("127.0.1.9/32"), Until: g.handler.Now().Add(time.Hour), Penalty: ban.Drop})
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 9)}}
	conn, err := dialer.Dial("tcp", g.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v; want the end of the connection", got, err)
	}
	if g.asked.Load() > 0 {
		t.Error("the app was asked")
	}
}
