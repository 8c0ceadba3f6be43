package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
)

// TestRedirectToHTTPS keeps host, target and method, and names a port only where the client
// can know it.
func TestRedirectToHTTPS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                 string
		port, local          int // where HTTPS is spoken, where it was asked
		method, host, target string
		code                 int
		location             string
	}{
		{"usual ports", 443, 80, "GET", "example.org", "/user/a?b=c", 308, "https://example.org/user/a?b=c"},
		{"a form", 443, 80, "POST", "example.org", "/post", 308, "https://example.org/post"},
		{"port named", 443, 80, "GET", "example.org:80", "/", 308, "https://example.org/"},
		{"other ports", 8443, 8080, "GET", "example.org:8080", "/", 308, "https://example.org:8443/"},
		{"mapped ports", 8443, 8080, "GET", "example.org", "/", 308, "https://example.org/"},
		{"IPv6", 8443, 8080, "GET", "[2001:db8::1]:8080", "/", 308, "https://[2001:db8::1]:8443/"},
		{"IPv6, usual ports", 443, 80, "GET", "[2001:db8::1]", "/", 308, "https://[2001:db8::1]/"},
		{"as it was sent", 443, 80, "GET", "example.org", "/a%2Fb//c/../d?x=%zz", 308, "https://example.org/a%2Fb//c/../d?x=%zz"},
		{"two slashes", 443, 80, "GET", "example.org", "//evil.example/", 308, "https://example.org//evil.example/"},
		{"no host", 443, 80, "GET", "", "/", 400, ""},
	} {
		g := newRig(t, flask, func(c *Config, _ *ban.Config) { c.SecurePort = tt.port })
		r := httptest.NewRequest(tt.method, "/", nil)
		r.Host, r.RemoteAddr, r.RequestURI = tt.host, "192.0.2.1:4000", tt.target
		r.URL = &url.URL{Path: "/"}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{Port: tt.local}))
		w := httptest.NewRecorder()
		g.handler.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); w.Code != tt.code || got != tt.location {
			t.Errorf("%s: %d to %q, want %d to %q", tt.name, w.Code, got, tt.code, tt.location)
		}
		if g.asked.Load() > 0 || w.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: the app was asked, or HSTS told over HTTP", tt.name)
		}
	}
}

// TestCirclesAreTold: a proxy that ends TLS and is not declared sends people round in circles.
// Others may write its header, too. Declared, it is believed.
func TestCirclesAreTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		peer, proto, trusted string
		code                 int
		told                 string
	}{
		{"127.0.0.1", "https", "", 308, "--trusted-proxy 127.0.0.1"},
		{"10.1.2.3", "HTTPS", "", 308, "--trusted-proxy 10.1.2.3"},
		{"173.245.48.1", "https", "", 308, "--trusted-proxy cloudflare"},
		{"192.0.2.1", "https", "", 308, ""},
		{"10.1.2.3", "http", "", 308, ""},
		{"10.1.2.3", "", "", 308, ""},
		{"10.1.2.3", "https", "10.0.0.0/8", 200, ""},
		{"10.1.2.3", "http", "10.0.0.0/8", 308, ""},
	} {
		var log safeLog
		g := newRig(t, flask, func(c *Config, _ *ban.Config) {
			c.SecurePort, c.Log = 443, slog.New(slog.NewTextHandler(&log, nil))
			if tt.trusted != "" {
				clients, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix(tt.trusted)}})
				if err != nil {
					t.Fatal(err)
				}
				c.Clients = clients
			}
		})
		for range 3 {
			if w := g.do(tt.peer, "GET", "/", "X-Forwarded-Proto", tt.proto, "X-Forwarded-For", "192.0.2.7"); w.Code != tt.code {
				t.Errorf("%+v: %d", tt, w.Code)
			}
		}
		told := strings.Count(log.String(), "again and again")
		if told != min(1, len(tt.told)) || !strings.Contains(log.String(), tt.told) {
			t.Errorf("%+v: told %d times:\n%s", tt, told, log.String())
		}
	}
}

// TestHSTS is told over HTTPS only, and what the app says itself stays.
func TestHSTS(t *testing.T) {
	t.Parallel()
	own := ""
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if own != "" {
			w.Header().Set("Strict-Transport-Security", own)
		}
		flask(w, r)
	}, func(c *Config, _ *ban.Config) { c.HSTS, c.SecurePort = 24*time.Hour, 443 })
	secure := httptest.NewTLSServer(g.handler)
	defer secure.Close()
	for _, want := range []string{"max-age=86400", "max-age=0"} {
		if want == "max-age=0" {
			own = want
		}
		res, err := secure.Client().Get(secure.URL + "/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Values("Strict-Transport-Security"); len(got) != 1 || got[0] != want || res.StatusCode != 200 {
			t.Errorf("%d with %q, want %q", res.StatusCode, got, want)
		}
	}
}

// TestWhereToReachIt: addresses as a person writes them.
func TestWhereToReachIt(t *testing.T) {
	for _, tt := range []struct {
		addr   net.Addr
		secure bool
		want   string
	}{
		{&net.TCPAddr{IP: net.IPv4zero, Port: 80}, false, "http://localhost"},
		{&net.TCPAddr{IP: net.IPv6unspecified, Port: 443}, true, "https://localhost"},
		{&net.TCPAddr{IP: net.IPv6unspecified, Port: 443}, false, "http://localhost:443"},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, false, "http://127.0.0.1:8080"},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 80}, false, "http://[::1]"},
		{&net.UnixAddr{Name: "/run/f2b"}, false, "http:///run/f2b"},
	} {
		if got := localURL(tt.addr, tt.secure); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.addr, got, tt.want)
		}
	}
	s, err := Listen(ServerConfig{Listen: []string{"127.0.0.1:0"}, ListenTLS: []string{"127.0.0.1:0"}}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	secure := s.Addrs()[1].(*net.TCPAddr).Port
	if urls := s.URLs(); len(urls) != 2 || urls[1] != "https://"+s.Addrs()[1].String() || s.SecurePort() != secure || len(s.Sockets()) != 1 {
		t.Errorf("URLs %v, port %d, sockets %v", urls, s.SecurePort(), s.Sockets())
	}
	_, err = Listen(ServerConfig{Listen: []string{s.Addrs()[0].String()}}, nil)
	if err == nil || err.Error() != "listen on "+s.Addrs()[0].String()+": another program already listens there; stop it (ss -ltnp shows which) or choose another --listen" {
		t.Errorf("a taken port: %v", err)
	}
}

func TestUpstreamsPort(t *testing.T) {
	for give, want := range map[string]string{
		"http://app": "app:80", "https://app": "app:443", "http://app:5000": "app:5000", "http://[2001:db8::1]": "[2001:db8::1]:80",
	} {
		u, err := url.Parse(give)
		if err != nil {
			t.Fatal(err)
		}
		if got := withPort(u).Host; got != want || u.String() != give {
			t.Errorf("%s: got %s, want %s; it is now %s", give, got, want, u)
		}
	}
}
