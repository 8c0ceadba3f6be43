package clientip

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// noInterfaces keeps the machine's own addresses out of a test.
func noInterfaces() ([]net.Addr, error) { return nil, nil }

func resolver(t testing.TB, c Config) *Resolver {
	t.Helper()
	if c.Interfaces == nil {
		c.Interfaces = noInterfaces
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// request has a peer and headers given as "Name: value" lines.
func request(peer string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://app.example/x", nil)
	r.RemoteAddr = peer
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// proxied is the usual trusted set of these tests.
var proxied = prefixes("10.0.0.0/8", "2001:db8:1::/48")

func TestResolveClient(t *testing.T) {
	tests := []struct {
		name   string
		header string // "" is X-Forwarded-For
		peer   string
		lines  []string
		want   string
		direct bool
	}{
		{"direct", "", "192.0.2.1:4000", nil, "192.0.2.1", true},
		{"direct IPv6", "", "[2001:db8::7]:4000", nil, "2001:db8::7", true},
		{"direct, mapped", "", "[::ffff:192.0.2.1]:4000", nil, "192.0.2.1", true},
		{"direct, zone", "", "[fe80::1%eth0]:4000", nil, "fe80::1", true},
		{"direct, NAT64", "", "[64:ff9b::192.0.2.1]:4000", nil, "192.0.2.1", true},
		{"direct, header forged", "", "192.0.2.1:4000", []string{"X-Forwarded-For: 198.51.100.1"}, "192.0.2.1", true},
		{"direct, all headers forged", "Forwarded", "192.0.2.1:4000", []string{"Forwarded: for=198.51.100.1", "X-Real-Ip: 198.51.100.2"}, "192.0.2.1", true},
		{"no header", "", "10.0.0.1:4000", nil, "10.0.0.1", false},
		{"one hop", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1", false},
		{"client wrote some itself", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 203.0.113.9, 127.0.0.1, 192.0.2.1"}, "192.0.2.1", false},
		{"client forged a trusted proxy", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 10.9.9.9, 192.0.2.1"}, "192.0.2.1", false},
		{"two trusted hops", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.2"}, "192.0.2.1", false},
		{"all hops trusted: the farthest", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3", false},
		{"several lines are one list", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.0.0.2"}, "192.0.2.1", false},
		{"port", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1:5678"}, "192.0.2.1", false},
		{"IPv6 with port", "", "10.0.0.1:4000", []string{"X-Forwarded-For: [2001:db8::7]:80"}, "2001:db8::7", false},
		{"IPv6 in brackets", "", "10.0.0.1:4000", []string{"X-Forwarded-For: [2001:db8::7]"}, "2001:db8::7", false},
		{"IPv6 bare, zone", "", "10.0.0.1:4000", []string{"X-Forwarded-For: fe80::7%en0"}, "fe80::7", false},
		{"mapped in the header", "", "10.0.0.1:4000", []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, "192.0.2.1", false},
		{"mapped peer is trusted as IPv4", "", "[::ffff:10.0.0.1]:4000", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1", false},
		{"IPv6 proxy", "", "[2001:db8:1::1]:4000", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1", false},
		{"empty elements", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1, , ,"}, "192.0.2.1", false},
		{"tabs", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 203.0.113.9,\t192.0.2.1\t"}, "192.0.2.1", false},
		{"garbage: the peer", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1, garbage"}, "10.0.0.1", false},
		{"garbage behind a good hop: that hop", "", "10.0.0.1:4000", []string{"X-Forwarded-For: garbage, 10.0.0.2"}, "10.0.0.2", false},
		{"unknown", "", "10.0.0.1:4000", []string{"X-Forwarded-For: unknown"}, "10.0.0.1", false},
		{"unspecified", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 0.0.0.0"}, "10.0.0.1", false},
		{"bad port", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1:http"}, "10.0.0.1", false},
		{"octal", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.02.1"}, "10.0.0.1", false},
		{"other headers are not read", "", "10.0.0.1:4000", []string{"X-Real-Ip: 192.0.2.1", "Forwarded: for=192.0.2.1"}, "10.0.0.1", false},

		{"Forwarded", "Forwarded", "10.0.0.1:4000", []string{"Forwarded: for=192.0.2.1"}, "192.0.2.1", false},
		{"Forwarded, any case and order", "forwarded", "10.0.0.1:4000", []string{"Forwarded: Proto=https;By=10.0.0.9; FOR=192.0.2.1"}, "192.0.2.1", false},
		{"Forwarded, quoted IPv6", "Forwarded", "10.0.0.1:4000", []string{`Forwarded: for="[2001:db8::7]:4711"`}, "2001:db8::7", false},
		{"Forwarded, list", "Forwarded", "10.0.0.1:4000", []string{"Forwarded: for=203.0.113.9, for=192.0.2.1;proto=http, for=10.0.0.2"}, "192.0.2.1", false},
		{"Forwarded, obfuscated", "Forwarded", "10.0.0.1:4000", []string{"Forwarded: for=_hidden"}, "10.0.0.1", false},
		{"Forwarded, obfuscated port", "Forwarded", "10.0.0.1:4000", []string{`Forwarded: for="192.0.2.1:_p"`}, "192.0.2.1", false},
		{"Forwarded, unknown", "Forwarded", "10.0.0.1:4000", []string{"Forwarded: for=unknown, for=10.0.0.2"}, "10.0.0.2", false},
		{"Forwarded, no for", "Forwarded", "10.0.0.1:4000", []string{"Forwarded: proto=https"}, "10.0.0.1", false},
		{"Forwarded, client's open quote", "Forwarded", "10.0.0.1:4000", []string{`Forwarded: for="203.0.113.9, for=192.0.2.1`}, "192.0.2.1", false},
		{"Forwarded, open quote on its own line", "Forwarded", "10.0.0.1:4000", []string{`Forwarded: for="`, "Forwarded: for=192.0.2.1"}, "192.0.2.1", false},
		{"Forwarded, comma in quotes", "Forwarded", "10.0.0.1:4000", []string{`Forwarded: for=192.0.2.1;host="a,b"`}, "192.0.2.1", false},
		{"Forwarded, escaped quote", "Forwarded", "10.0.0.1:4000", []string{`Forwarded: for=192.0.2.1;host="a\",b"`}, "192.0.2.1", false},

		{"single", "X-Real-IP", "10.0.0.1:4000", []string{"X-Real-Ip: 192.0.2.1"}, "192.0.2.1", false},
		{"single, any case", "cf-connecting-ip", "10.0.0.1:4000", []string{"CF-Connecting-IP: 2001:db8::7"}, "2001:db8::7", false},
		{"single, twice: the last", "X-Real-IP", "10.0.0.1:4000", []string{"X-Real-Ip: 203.0.113.9", "X-Real-Ip: 192.0.2.1"}, "192.0.2.1", false},
		{"single, list is no address", "X-Real-IP", "10.0.0.1:4000", []string{"X-Real-Ip: 203.0.113.9, 192.0.2.1"}, "10.0.0.1", false},
		{"single, missing", "X-Real-IP", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1"}, "10.0.0.1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := resolver(t, Config{Trusted: proxied, Header: tt.header}).Resolve(request(tt.peer, tt.lines...))
			if got := id.Addr.String(); got != tt.want {
				t.Errorf("got client %s, want %s", got, tt.want)
			}
			if id.Direct != tt.direct {
				t.Errorf("got direct %t, want %t", id.Direct, tt.direct)
			}
			if !id.Client.Contains(id.Addr) {
				t.Errorf("client %s does not contain %s", id.Client, id.Addr)
			}
		})
	}
}

func TestResolveOrigin(t *testing.T) {
	tests := []struct {
		name         string
		header       string
		peer         string
		lines        []string
		scheme, host string
	}{
		{"direct", "", "192.0.2.1:1", nil, "http", "app.example"},
		{"direct, forged", "", "192.0.2.1:1", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}, "http", "app.example"},
		{"trusted", "", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example:8443"}, "https", "shop.example:8443"},
		{"trusted, no X-Forwarded-For", "", "10.0.0.1:1", []string{"X-Forwarded-Proto: HTTPS"}, "https", "app.example"},
		{"WebSocket", "", "10.0.0.1:1", []string{"X-Forwarded-Proto: wss"}, "https", "app.example"},
		{"client's value on the left", "", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http", "X-Forwarded-Host: evil.example, shop.example"}, "http", "shop.example"},
		{"two proxies that append", "", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.2", "X-Forwarded-Proto: https, http", "X-Forwarded-Host: shop.example, inner"}, "https", "shop.example"},
		{"two proxies, the last replaces", "", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.2", "X-Forwarded-Proto: https"}, "https", "app.example"},
		{"unknown scheme", "", "10.0.0.1:1", []string{"X-Forwarded-Proto: gopher"}, "http", "app.example"},
		{"header injection", "", "10.0.0.1:1", []string{"X-Forwarded-Host: a\r\nb"}, "http", "app.example"},
		{"path in host", "", "10.0.0.1:1", []string{"X-Forwarded-Host: evil.example/x"}, "http", "app.example"},
		{"user in host", "", "10.0.0.1:1", []string{"X-Forwarded-Host: a@evil.example"}, "http", "app.example"},
		{"over-long host", "", "10.0.0.1:1", []string{"X-Forwarded-Host: " + strings.Repeat("a", 300)}, "http", "app.example"},
		{"IPv6 host", "", "10.0.0.1:1", []string{"X-Forwarded-Host: [2001:db8::1]:80"}, "http", "[2001:db8::1]:80"},
		{"single header", "X-Real-IP", "10.0.0.1:1", []string{"X-Real-Ip: 192.0.2.1", "X-Forwarded-Proto: https"}, "https", "app.example"},
		{"Forwarded", "Forwarded", "10.0.0.1:1", []string{`Forwarded: for=192.0.2.1;proto=https;host="shop.example:8443"`}, "https", "shop.example:8443"},
		{"Forwarded: the client's element", "Forwarded", "10.0.0.1:1", []string{"Forwarded: for=203.0.113.9;host=evil.example, for=192.0.2.1;proto=https;host=shop.example, for=10.0.0.2;proto=http;host=inner"}, "https", "shop.example"},
		{"Forwarded alone is believed", "Forwarded", "10.0.0.1:1", []string{"Forwarded: for=192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}, "http", "app.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := resolver(t, Config{Trusted: proxied, Header: tt.header}).Resolve(request(tt.peer, tt.lines...))
			if id.Scheme != tt.scheme || id.Host != tt.host {
				t.Errorf("got %s://%s, want %s://%s", id.Scheme, id.Host, tt.scheme, tt.host)
			}
		})
	}
}

func TestResolveTLS(t *testing.T) {
	req := request("192.0.2.1:1")
	req.TLS = &tls.ConnectionState{}
	if got := resolver(t, Config{}).Resolve(req).Scheme; got != "https" {
		t.Errorf("got %s, want https", got)
	}
}

// chainOf is the X-Forwarded-For to write for a request.
func chainOf(r *Resolver, req *http.Request) string {
	id := r.Resolve(req)
	return string(r.AppendChain(nil, req, &id))
}

func TestResolveChain(t *testing.T) {
	tests := []struct {
		name  string
		peer  string
		lines []string
		want  string
	}{
		{"direct", "192.0.2.1:1", []string{"X-Forwarded-For: 198.51.100.1"}, "192.0.2.1"},
		{"direct IPv6", "[2001:db8::7]:1", nil, "2001:db8::7"},
		{"direct, mapped", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1"},
		{"trusted", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1, 10.0.0.1"},
		{"what the client wrote is left out", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.1, 10.0.0.2"}, "192.0.2.1, 10.0.0.2, 10.0.0.1"},
		{"Unix socket", "@", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := chainOf(resolver(t, Config{Trusted: proxied}), request(tt.peer, tt.lines...)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestResolveUnixSocket(t *testing.T) {
	r := resolver(t, Config{})
	id := r.Resolve(request("@"))
	if id.Client.IsValid() || id.Addr.IsValid() || !id.Direct {
		t.Errorf("got %+v, want no address", id)
	}
	if s, _ := r.Standing(id.Addr); s != Never {
		t.Errorf("got standing %v, want never", s)
	}
}

func TestClientPrefix(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		addr   string
		want   string
	}{
		{"IPv4", Config{}, "192.0.2.1", "192.0.2.1/32"},
		{"IPv4 wider", Config{IPv4Bits: 24}, "192.0.2.1", "192.0.2.0/24"},
		{"IPv6", Config{}, "2001:db8:0:1:2::3", "2001:db8:0:1::/64"},
		{"IPv6 wider", Config{IPv6Bits: 48}, "2001:db8:0:1:2::3", "2001:db8::/48"},
		{"IPv6 single", Config{IPv6Bits: 128}, "2001:db8::3", "2001:db8::3/128"},
		{"mapped", Config{}, "::ffff:192.0.2.1", "192.0.2.1/32"},
		{"NAT64", Config{}, "64:ff9b::c000:201", "192.0.2.1/32"},
		{"NAT64 of loopback stays", Config{IPv6Bits: 128}, "64:ff9b::127.0.0.1", "64:ff9b::7f00:1/128"},
		{"NAT64 of a private address stays", Config{IPv6Bits: 128}, "64:ff9b::10.0.0.1", "64:ff9b::a00:1/128"},
		{"ignored stands alone", Config{Ignore: prefixes("2001:db8::5/128")}, "2001:db8::5", "2001:db8::5/128"},
		{"its neighbour does not", Config{Ignore: prefixes("2001:db8::5/128")}, "2001:db8::6", "2001:db8::/64"},
		{"loopback stands alone", Config{IPv4Bits: 8}, "127.0.0.1", "127.0.0.1/32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := resolver(t, tt.config).Prefix(netip.MustParseAddr(tt.addr))
			if got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if got := resolver(t, Config{}).Prefix(netip.Addr{}); got.IsValid() {
		t.Errorf("got %s for no address, want none", got)
	}
}

// A header of a megabyte costs no more than its right end.
func TestResolveBoundedWork(t *testing.T) {
	const huge = 1 << 20
	tests := []struct {
		name, header, value, want string
	}{
		{"one endless value", "X-Forwarded-For", strings.Repeat("1", huge), "10.0.0.1"},
		{"endless trusted hops", "X-Forwarded-For", strings.Repeat("10.0.0.2,", huge/9) + "10.0.0.2", "10.0.0.2"},
		{"endless commas", "X-Forwarded-For", "192.0.2.1" + strings.Repeat(",", huge), "10.0.0.1"},
		{"endless garbage on the left", "X-Forwarded-For", strings.Repeat("x,", huge/2) + "192.0.2.1", "192.0.2.1"},
		{"endless quote", "Forwarded", `for="` + strings.Repeat(",", huge), "10.0.0.1"},
		{"endless parameters", "Forwarded", strings.Repeat("a=b;", huge/4) + "for=192.0.2.1", "10.0.0.1"},
		{"endless single", "X-Real-IP", strings.Repeat("1", huge), "10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := resolver(t, Config{Trusted: proxied, Header: tt.header})
			req := request("10.0.0.1:1", tt.header+": "+tt.value)
			if got := r.Resolve(req).Addr.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			const rounds = 200
			begin := time.Now()
			for range rounds {
				r.Resolve(req)
			}
			if each := time.Since(begin) / rounds; each > 500*time.Microsecond {
				t.Errorf("got %v for a request, want bounded work", each)
			}
		})
	}
}

func TestResolveDirectDoesNotAllocate(t *testing.T) {
	r := resolver(t, Config{Trusted: proxied, Ignore: prefixes("198.51.100.0/24")})
	for _, peer := range []string{"192.0.2.1:4000", "[2001:db8::7]:4000"} {
		req := request(peer, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")
		if n := testing.AllocsPerRun(100, func() { r.Resolve(req) }); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", peer, n)
		}
	}
}

func TestResolveLeavesHeadersAlone(t *testing.T) {
	req := request("10.0.0.1:1", "X-Forwarded-For: 192.0.2.1, 10.0.0.3", "X-Forwarded-For: 10.0.0.2", "X-Forwarded-Proto: https, http")
	before, after := new(bytes.Buffer), new(bytes.Buffer)
	_ = req.Header.Write(before)
	resolver(t, Config{Trusted: proxied}).Resolve(req)
	_ = req.Header.Write(after)
	if before.String() != after.String() {
		t.Errorf("got headers\n%s\nwant\n%s", after, before)
	}
}

func TestNewRefusesBadConfiguration(t *testing.T) {
	tests := []struct {
		config Config
		want   string
	}{
		{Config{Header: "X Real"}, `client header "X Real": not a header name; use X-Forwarded-For, Forwarded, or a header that your proxy sets`},
		{Config{Header: "a:b"}, `client header "a:b": not a header name; use X-Forwarded-For, Forwarded, or a header that your proxy sets`},
		{Config{IPv4Bits: 33}, "IPv4 client size /33: want 8 to 32"},
		{Config{IPv6Bits: 8}, "IPv6 client size /8: want 16 to 128"},
		{Config{IPv6Bits: -1}, "IPv6 client size /-1: want 16 to 128"},
		{Config{Interfaces: func() ([]net.Addr, error) { return nil, net.ErrClosed }}, "list own addresses: use of closed network connection"},
	}
	for _, tt := range tests {
		if _, err := New(tt.config); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// The whole way, with a real server on a real socket.
func TestResolveRealConnection(t *testing.T) {
	r := resolver(t, Config{Trusted: prefixes("127.0.7.0/24")})
	seen := make(chan Identity, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { seen <- r.Resolve(req) }))
	defer server.Close()
	for from, want := range map[string]string{"127.0.7.1": "192.0.2.1", "127.0.8.1": "127.0.8.1"} {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		req, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		answer, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got := (<-seen).Addr.String(); got != want {
			t.Errorf("from %s: got %s, want %s", from, got, want)
		}
	}
}
