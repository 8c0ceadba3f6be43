package clientip

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// headerNames are the three kinds of header.
var headerNames = []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"}

// FuzzResolve holds what must be so whatever the headers say: the client is the
// peer or an address from the header, never one left of an untrusted hop; the
// chain and host are safe to write.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{
		"192.0.2.1", "192.0.2.1, 10.0.0.2", "192.0.2.1:5678", "[2001:db8::7]:80", "::ffff:192.0.2.1", "fe80::1%eth0",
		"64:ff9b::192.0.2.1", ",,,", "unknown", "for=192.0.2.1;proto=https;host=a", `for="[2001:db8::7]:_p"`,
		`for="192.0.2.1, for=192.0.2.2`, `for=1.1.1.1;host="a\",b", for=10.0.0.1`, "for=_x, for=10.0.0.2", "\x00", "1.2.3.4\r\nX: y",
	} {
		f.Add(0, seed, "10.0.0.2")
		f.Add(1, seed, "for=10.0.0.2;host=b")
		f.Add(2, seed, "192.0.2.1")
	}
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, kind int, first, second string) {
		name := headerNames[uint(kind)%uint(len(headerNames))]
		r := resolver(t, Config{Trusted: []netip.Prefix{trusted}, Header: name})
		req := request("10.0.0.1:1")
		req.Header = http.Header{name: {first, second}, "X-Forwarded-Host": {first}, "X-Forwarded-Proto": {second}}
		id := r.Resolve(req)
		if !id.Addr.IsValid() || id.Addr.Zone() != "" || id.Addr != Normal(id.Addr) || id.Direct {
			t.Fatalf("got %+v", id)
		}
		if id.Scheme != "http" && id.Scheme != "https" || !validHost(id.Host) {
			t.Fatalf("got origin %s://%q", id.Scheme, id.Host)
		}
		chain := chainOf(r, req)
		hops := strings.Split(chain, ", ")
		if len(hops) > maxHops+1 || hops[0] != id.Addr.String() || hops[len(hops)-1] != "10.0.0.1" {
			t.Fatalf("got chain %q for %s", chain, id.Addr)
		}
		for _, h := range hops[1:] {
			if a, err := netip.ParseAddr(h); err != nil || !trusted.Contains(a) {
				t.Fatalf("chain %q goes through %s", chain, h)
			}
		}
	})
}

// FuzzRemoteAddr holds that no RemoteAddr makes a client of a wrong form.
func FuzzRemoteAddr(f *testing.F) {
	for _, seed := range []string{"192.0.2.1:1", "[::1]:1", "@", "", "[fe80::1%eth0]:1", "[::ffff:10.0.0.1]:1", "1.2.3.4", "[", "]:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, remote string) {
		r := resolver(t, Config{})
		id, chain := r.Resolve(request(remote)), chainOf(r, request(remote))
		if id.Addr.IsValid() != id.Client.IsValid() || id.Addr.IsValid() != (chain != "") {
			t.Fatalf("got %+v, chain %q", id, chain)
		}
		if id.Addr.IsValid() && netip.MustParseAddr(chain) != id.Addr {
			t.Fatalf("got chain %q for %s", chain, id.Addr)
		}
	})
}

// A naive model for lists without quotes: split, walk from the right.
func FuzzListModel(f *testing.F) {
	f.Add("192.0.2.1, 10.0.0.2")
	f.Add("10.0.0.2,,10.0.0.3")
	f.Add(" , ")
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Contains(value, `"`) || len(value) > maxElement || strings.Count(value, ",") >= maxHops {
			t.Skip("outside of the model")
		}
		var want []string
		for _, e := range strings.Split(value, ",") {
			if e = strings.Trim(e, " \t"); e != "" {
				want = append([]string{e}, want...)
			}
		}
		l := list{lines: []string{value}}
		for i := 0; ; i++ {
			got, ok := l.last()
			if !ok {
				if i != len(want) {
					t.Fatalf("got %d elements of %q, want %d", i, value, len(want))
				}
				return
			}
			if i >= len(want) || got != want[i] {
				t.Fatalf("element %d of %q: got %q, want %q", i, value, got, want)
			}
		}
	})
}
