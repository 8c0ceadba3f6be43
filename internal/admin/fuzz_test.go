package admin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
)

// FuzzOrder sends any body as a ban: the answer is a ban in force with a sane
// end, or an error in JSON, never 500.
func FuzzOrder(f *testing.F) {
	for _, seed := range []string{
		`{"client": "192.0.2.1", "duration": "1h", "reason": "x"}`, `{"client": "2001:db8::/48"}`, `{"client": "::ffff:10.0.0.1/120"}`,
		`{"client": "fe80::1%eth0"}`, `{"client": "1.2.3.4/8", "duration": "520w"}`, `{"client":"1.2.3.4","until":"2026-01-02T03:04:06Z"}`,
		`{"client":"1.2.3.4","until":"9999-12-31T23:59:59Z"}`, `[]`, `{`, ``, `null`, `{"client":null}`,
	} {
		f.Add(seed)
	}
	engine, err := ban.New(ban.Config{})
	if err != nil {
		f.Fatal(err)
	}
	s, err := admin.New(admin.Config{
		Engine: engine, Token: "fuzz-token-fuzz-token", Now: func() time.Time { return start }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	go s.Serve(f.Context(), l)
	client := &http.Client{}
	f.Cleanup(client.CloseIdleConnections)
	f.Fuzz(func(t *testing.T, body string) {
		req, err := http.NewRequest(http.MethodPost, "http://"+l.Addr().String()+"/api/v1/bans", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer fuzz-token-fuzz-token")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		judgeAnswer(t, resp.StatusCode, got)
	})
}

func judgeAnswer(t *testing.T, status int, body []byte) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if status != http.StatusCreated {
		var f struct{ Error string }
		if err := dec.Decode(&f); err != nil || f.Error == "" || status < 400 || status >= 500 {
			t.Errorf("%d %s (%v)", status, body, err)
		}
		return
	}
	var b ban.Ban
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	const tenYears = 3650 * 24 * time.Hour
	if long := b.Until.Sub(start); long <= 0 || long > tenYears {
		t.Errorf("a ban for %v: %s", long, body)
	}
	if bits := b.Client.Bits(); b.Client.Addr().Is4() && bits < 8 || bits == 0 {
		t.Errorf("a ban of %v", b.Client)
	}
}
