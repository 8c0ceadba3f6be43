package admin_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/admin"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestWhoMayDoWhat is the table of DESIGN section 8.
func TestWhoMayDoWhat(t *testing.T) {
	d := run(t)
	for _, tt := range []struct {
		method, path string
		// The status without and with the token, on loopback and in public.
		local, localToken, public, publicToken int
	}{
		{"GET", "/healthz", 200, 200, 200, 200},
		{"GET", "/readyz", 200, 200, 200, 200},
		{"GET", "/metrics", 404, 404, 404, 404}, // asked, and there are none
		{"GET", "/api/v1/status", 200, 200, 401, 200},
		{"GET", "/api/v1/bans", 200, 200, 401, 200},
		{"GET", "/api/v1/clients/192.0.2.1", 200, 200, 401, 200},
		{"GET", "/api/v1/routes", 404, 404, 401, 404},
		{"GET", "/nothing", 404, 404, 401, 404},
		{"POST", "/api/v1/bans", 401, 201, 401, 201},
		{"DELETE", "/api/v1/bans/192.0.2.1", 401, 200, 401, 200},
		{"POST", "/api/v1/reload", 401, 501, 401, 501},
	} {
		for _, c := range []struct {
			address string
			token   string
			want    int
		}{
			{d.local, "", tt.local}, {d.local, d.token, tt.localToken},
			{d.public, "", tt.public}, {d.public, d.token, tt.publicToken},
			{d.public, d.token[:len(d.token)-1], tt.public},
			{d.public, "", tt.public},
		} {
			d.add(t, "192.0.2.1", time.Hour)
			got := request(t, tt.method, c.address, tt.path, `{"client": "192.0.2.2"}`, bearer(c.token))
			if got.status != c.want {
				t.Errorf("%s %s, public %v, token %v: got %d, want %d (%s)", tt.method, tt.path,
					c.address == d.public, c.token != "", got.status, c.want, got.body)
			}
		}
	}
}

func TestPermissionIsExplained(t *testing.T) {
	d := run(t)
	got := request(t, "GET", d.public, "/api/v1/bans", "")
	want := fmt.Sprintf(`{"error":"this needs the header \"Authorization: Bearer TOKEN\" with the content of %s/token"}`+"\n", d.dir)
	if got.body != want || got.header.Get("WWW-Authenticate") != `Bearer realm="flask2ban"` {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
}

func TestAuthorizationHeaders(t *testing.T) {
	d := run(t)
	for header, want := range map[string]int{
		"Bearer " + d.token:           200,
		"bearer " + d.token:           200,
		"Bearer  " + d.token:          200,
		d.token:                       401,
		"Basic " + d.token:            401,
		"Bearer":                      401,
		"Bearer ":                     401,
		"Bearer x" + d.token:          401,
		"Bearer " + d.token + d.token: 401,
	} {
		got := request(t, "GET", d.public, "/api/v1/bans", "", func(r *http.Request) { r.Header.Set("Authorization", header) })
		if got.status != want {
			t.Errorf("%s: got %d, want %d", header, got.status, want)
		}
	}
}

// TestWithoutATokenNothingIsPermitted: an empty token must not equal an empty
// one.
func TestWithoutATokenNothingIsPermitted(t *testing.T) {
	d := run(t, func(c *admin.Config) { c.Token = "" })
	if got := request(t, "POST", d.local, "/api/v1/bans", `{"client": "192.0.2.2"}`, bearer("")); got.status != 401 {
		t.Errorf("got %+v", got)
	}
}

// TestRebindingIsRefused: a page of evil.example whose name resolves to
// 127.0.0.1 must not read the API through the operator's browser.
func TestRebindingIsRefused(t *testing.T) {
	d := run(t, func(c *admin.Config) { c.Hosts = []string{"metrics.example.org"} })
	for name, want := range map[string]int{
		"127.0.0.1":                             200,
		"[::1]:9180":                            200,
		"192.0.2.1:9180":                        200,
		"localhost:9180":                        200,
		"flask2ban:9180":                        200, // the service's name in a compose file
		"LOCALHOST.":                            200,
		"app.localhost":                         200,
		"f2b.monitoring.svc.cluster.local:9180": 200,
		"metrics.example.org:9180":              200,
		"Metrics.Example.Org.":                  200,
		"evil.example":                          421,
		"evil.example:9180":                     421,
		"127.0.0.1.evil.example":                421,
		"localhost.evil.example":                421,
		"evil.example.":                         421,
	} {
		for _, path := range []string{"/api/v1/bans", "/healthz"} {
			if got := request(t, "GET", d.local, path, "", host(name)); got.status != want {
				t.Errorf("Host %s, %s: got %d, want %d", name, path, got.status, want)
			}
		}
	}
	got := request(t, "GET", d.local, "/api/v1/bans", "", host("evil.example"))
	if want := `{"error":"host \"evil.example\" is not one of this API's: ask by address, or start the daemon with that name in --admin"}` + "\n"; got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// TestAnswersAreNotForCachesAndSniffers holds two headers.
func TestAnswersAreNotForCachesAndSniffers(t *testing.T) {
	d := run(t)
	for _, path := range []string{"/healthz", "/api/v1/bans", "/nothing"} {
		h := request(t, "GET", d.local, path, "").header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// TestHugeHeadersAreRefused: nobody makes us keep megabytes.
func TestHugeHeadersAreRefused(t *testing.T) {
	d := run(t)
	conn, err := net.Dial("tcp", d.local)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<16))
	got, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(got), "HTTP/1.1 431 ") {
		t.Errorf("got %.100s", got)
	}
}
