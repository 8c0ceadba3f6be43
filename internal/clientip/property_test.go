package clientip

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// naive is X-Forwarded-For as its rule reads: all lines joined, from the right,
// past trusted proxies, up to what is no address.
func naive(trusted netip.Prefix, peer netip.Addr, lines []string) netip.Addr {
	client := peer
	elements := strings.Split(strings.Join(lines, ","), ",")
	for i := len(elements) - 1; i >= 0 && trusted.Contains(client); i-- {
		text := strings.TrimSpace(elements[i])
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			break
		}
		client = a
	}
	return client
}

// The resolver agrees with the naive reading, however hops and lines are cut.
func TestResolveAgreesWithModel(t *testing.T) {
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	r := resolver(t, Config{Trusted: []netip.Prefix{trusted}})
	element := rapid.SampledFrom([]string{"10.0.0.2", "10.9.9.9", "192.0.2.1", "198.51.100.7", "2001:db8::1", "garbage", "", " 10.0.0.3 "})
	line := rapid.Map(rapid.SliceOfN(element, 0, 4), func(e []string) string { return strings.Join(e, ",") })
	peer := rapid.SampledFrom([]string{"10.0.0.1", "192.0.2.9"})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 0, 4).Draw(t, "lines")
		from := peer.Draw(t, "peer")
		req := request(from + ":1")
		for _, l := range lines {
			req.Header.Add("X-Forwarded-For", l)
		}
		got, want := r.Resolve(req).Addr, naive(trusted, netip.MustParseAddr(from), lines)
		if got != want {
			t.Fatalf("%q from %s: got %s, want %s", lines, from, got, want)
		}
	})
}

// What a client writes itself never changes who it is: its proxy appends.
func TestClientCannotChooseItsAddress(t *testing.T) {
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		r := resolver(t, Config{Trusted: proxied, Header: header})
		real := "203.0.113.77"
		if header == "Forwarded" {
			real = "for=" + real
		}
		rapid.Check(t, func(t *rapid.T) {
			forged := rapid.OneOf(rapid.String(), rapid.StringMatching(`(for=)?["\\;,=:\[\]0-9. ]{0,40}`)).Draw(t, "forged")
			oneLine := request("10.0.0.1:1")
			oneLine.Header[header] = []string{forged + ", " + real}
			ownLine := request("10.0.0.1:1")
			ownLine.Header[header] = []string{forged, real}
			for _, req := range []string{r.Resolve(oneLine).Addr.String(), r.Resolve(ownLine).Addr.String()} {
				if req != "203.0.113.77" {
					t.Fatalf("%s %q made the client %s", header, forged, req)
				}
			}
		})
	}
}

// A client and its standing agree: whoever is never banned is not within another
// client's network as the engine keys it, and a network of its size that could
// be banned holds nobody who can't.
func TestPrefixAndStandingAgree(t *testing.T) {
	r := machine(t, Config{Trusted: proxied, Ignore: prefixes("2001:db8:9::9/128", "198.51.100.0/24")})
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
		copy(b, netip.MustParseAddr("2001:db8:9::").AsSlice()[:8]) // near the ignored one
		if rapid.Bool().Draw(t, "the ignored one") {
			copy(b[8:], []byte{0, 0, 0, 0, 0, 0, 0, 9})
		}
		a, _ := netip.AddrFromSlice(b)
		standing, _ := r.Standing(a)
		if alone := r.Prefix(a).IsSingleIP(); alone != (standing == Never) {
			t.Fatalf("%s: got standing %v and client %s", a, standing, r.Prefix(a))
		}
		if single, _ := r.PrefixStanding(netip.PrefixFrom(a, 128)); single != standing {
			t.Fatalf("%s: got %v alone and %v as a network", a, standing, single)
		}
	})
}

// Normal is idempotent, and never gives a zone or an IPv4-mapped address.
func TestNormalProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
		head := rapid.SampledFrom([]string{"", "::ffff:0:0", "64:ff9b::", "fe80::"}).Draw(t, "head")
		if head != "" {
			copy(b[:12], netip.MustParseAddr(head).AsSlice()[:12])
		}
		a, _ := netip.AddrFromSlice(b)
		n := Normal(a.WithZone("eth0"))
		if n.Zone() != "" || n.Is4In6() || Normal(n) != n {
			t.Fatalf("%s: got %s", a, n)
		}
	})
}

func TestNormalPrefix(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7/24": "192.0.2.0/24", "::ffff:192.0.2.7/120": "192.0.2.0/24", "2001:db8::7/32": "2001:db8::/32",
		"::ffff:0.0.0.0/90": "invalid Prefix",
	} {
		if got := NormalPrefix(netip.MustParsePrefix(in)).String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := NormalPrefix(netip.Prefix{}); got.IsValid() {
		t.Errorf("got %s of nothing", got)
	}
}

// Addresses come and go while requests are resolved.
func TestRefreshWhileResolving(t *testing.T) {
	r := machine(t, Config{Trusted: proxied})
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			req := request("[2001:db8:5::5]:1")
			for range 200 {
				if got := r.Resolve(req).Client.String(); got != "2001:db8:5::5/128" {
					t.Errorf("got %s", got)
					return
				}
				r.Standing(netip.MustParseAddr("203.0.113.5"))
			}
		})
	}
	for range 50 {
		if err := r.Refresh(); err != nil {
			t.Error(err)
		}
	}
	done.Wait()
}

// An interface of a kind that has no IP address is passed over.
func TestRefreshForeignAddress(t *testing.T) {
	r := resolver(t, Config{Interfaces: func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IP{1, 2}}, &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}}, nil
	}})
	if got := len(*r.own.Load()); got != 0 {
		t.Errorf("got %d own addresses, want none", got)
	}
}
