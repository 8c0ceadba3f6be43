package clientip

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

// machine is a Resolver of a machine with two addresses.
func machine(t *testing.T, c Config) *Resolver {
	c.Interfaces = func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.ParseIP("127.0.0.1"), Mask: net.CIDRMask(8, 32)},
			&net.IPNet{IP: net.ParseIP("203.0.113.5"), Mask: net.CIDRMask(24, 32)},
			&net.IPNet{IP: net.ParseIP("2001:db8:5::5"), Mask: net.CIDRMask(64, 128)},
			&net.UnixAddr{Name: "not an IP network"},
		}, nil
	}
	return resolver(t, c)
}

func TestStanding(t *testing.T) {
	usual := Config{Trusted: prefixes("10.0.0.0/24", "::ffff:10.1.0.0/120"), Ignore: prefixes("198.51.100.0/24")}
	people := usual
	people.Private = true
	tests := []struct {
		config Config
		addr   string
		want   Standing
		reason string
	}{
		{usual, "192.0.2.1", Bannable, ""},
		{usual, "2001:db8::1", Bannable, ""},
		{usual, "127.0.0.1", Never, "the loopback address"},
		{usual, "::1", Never, "the loopback address"},
		{usual, "::ffff:127.0.0.1", Never, "the loopback address"},
		{usual, "127.0.0.2", Bannable, ""},
		{usual, "127.1.2.3", Bannable, ""},
		{usual, "64:ff9b::127.0.0.1", Bannable, ""},
		{usual, "203.0.113.5", Never, "this machine's own address"},
		{usual, "203.0.113.6", Bannable, ""},
		{usual, "2001:db8:5::5", Never, "this machine's own address"},
		{usual, "2001:db8:5::6", Bannable, ""},
		{usual, "10.0.0.9", Never, "a trusted proxy"},
		{usual, "10.1.0.9", Never, "a trusted proxy"},
		{usual, "198.51.100.77", Never, "on the ignore list"},
		{usual, "10.0.1.9", SuspectOnly, "a private address (RFC 1918)"},
		{usual, "172.17.0.1", SuspectOnly, "a private address (RFC 1918)"},
		{usual, "172.32.0.1", Bannable, ""},
		{usual, "192.168.1.1", SuspectOnly, "a private address (RFC 1918)"},
		{usual, "100.64.0.1", SuspectOnly, "a carrier-grade NAT's address (RFC 6598)"},
		{usual, "100.128.0.1", Bannable, ""},
		{usual, "169.254.1.1", SuspectOnly, "a link-local address (RFC 3927)"},
		{usual, "fe80::1%eth0", SuspectOnly, "a link-local address (RFC 4291)"},
		{usual, "fd00::1", SuspectOnly, "a unique local address (RFC 4193)"},
		{usual, "104.16.1.1", SuspectOnly, "an address of cloudflare"},
		{usual, "2606:4700::1", SuspectOnly, "an address of cloudflare"},
		{usual, "151.101.1.1", SuspectOnly, "an address of fastly"},
		{usual, "35.191.0.1", SuspectOnly, "an address of google-lb"},
		{people, "172.17.0.1", Bannable, ""},
		{people, "104.16.1.1", Bannable, ""},
		{people, "127.0.0.1", Never, "the loopback address"},
		{people, "10.0.0.9", Never, "a trusted proxy"},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			got, reason := machine(t, tt.config).Standing(netip.MustParseAddr(tt.addr))
			if got != tt.want || reason != tt.reason {
				t.Errorf("got %v (%s), want %v (%s)", got, reason, tt.want, tt.reason)
			}
		})
	}
}

func TestPrefixStanding(t *testing.T) {
	c := Config{Trusted: prefixes("10.0.0.7/32"), Ignore: prefixes("198.51.100.9/32")}
	people := c
	people.Private = true
	tests := []struct {
		config Config
		prefix string
		want   Standing
		reason string
	}{
		{c, "192.0.2.0/24", Bannable, ""},
		{c, "192.0.2.1/32", Bannable, ""},
		{c, "127.0.0.1/32", Never, "the loopback address"},
		{c, "127.0.0.0/8", Never, "contains the loopback address"},
		{c, "::/0", Never, "contains the loopback address"},
		{c, "0.0.0.0/0", Never, "contains the loopback address"},
		{c, "::ffff:0.0.0.0/96", Never, "contains the loopback address"},
		{c, "::ffff:0.0.0.0/64", Never, "not a network"},
		{c, "10.0.0.0/16", Never, "contains a trusted proxy"},
		{c, "198.51.100.0/24", Never, "contains addresses on the ignore list"},
		{c, "203.0.113.0/24", Never, "contains this machine's own address 203.0.113.5"},
		{c, "2001:db8:5::/64", Never, "contains this machine's own address 2001:db8:5::5"},
		{c, "172.17.0.0/24", SuspectOnly, "contains a private address (RFC 1918)"},
		{c, "172.0.0.0/8", SuspectOnly, "contains a private address (RFC 1918)"},
		{c, "104.16.0.0/24", SuspectOnly, "contains addresses of cloudflare"},
		{people, "172.17.0.0/24", Bannable, ""},
	}
	for _, tt := range tests {
		t.Run(tt.prefix, func(t *testing.T) {
			got, reason := machine(t, tt.config).PrefixStanding(netip.MustParsePrefix(tt.prefix))
			if got != tt.want || reason != tt.reason {
				t.Errorf("got %v (%s), want %v (%s)", got, reason, tt.want, tt.reason)
			}
		})
	}
	if got, _ := machine(t, c).PrefixStanding(netip.Prefix{}); got != Never {
		t.Errorf("got %v for no network, want never", got)
	}
}

func TestStandingWords(t *testing.T) {
	for s, want := range map[Standing]string{Bannable: "bannable", SuspectOnly: "suspect only", Never: "never"} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWarning(t *testing.T) {
	r := resolver(t, Config{})
	tests := []struct{ peer, want string }{
		{"192.0.2.1", ""},
		{"127.0.0.1", ""},
		{"172.17.0.1", "172.17.0.1 is a private address (RFC 1918) and may stand for many clients: it is throttled at most, never banned; " +
			"if it is your proxy, add --trusted-proxy 172.17.0.1, if such addresses are people, add --ban-private"},
		{"104.16.0.1", "104.16.0.1 is an address of cloudflare and may stand for many clients: it is throttled at most, never banned; " +
			"if it is your proxy, add --trusted-proxy cloudflare, if such addresses are people, add --ban-private"},
	}
	for _, tt := range tests {
		if got := r.Warning(netip.MustParseAddr(tt.peer)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.peer, got, tt.want)
		}
	}
}

func TestRefreshFollowsAddresses(t *testing.T) {
	var own []net.Addr
	var fault error
	r := resolver(t, Config{Interfaces: func() ([]net.Addr, error) { return own, fault }})
	addr := netip.MustParseAddr("192.0.2.1")
	if got, _ := r.Standing(addr); got != Bannable {
		t.Fatalf("got %v before, want bannable", got)
	}
	own = []net.Addr{&net.IPNet{IP: net.ParseIP("192.0.2.1"), Mask: net.CIDRMask(24, 32)}}
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.Standing(addr); got != Never {
		t.Errorf("got %v when it is our own, want never", got)
	}
	fault, own = net.ErrClosed, nil
	if err := r.Refresh(); err == nil {
		t.Error("got no error when interfaces can't be listed")
	}
	if got, _ := r.Standing(addr); got != Never {
		t.Errorf("got %v after a failed refresh, want never", got)
	}
}

// The machine that runs the test has at least a loopback address.
func TestOwnInterfaces(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if got, reason := r.Standing(p.Addr()); got != Never {
			t.Errorf("%s: got %v (%s), want never", p, got, reason)
		}
	}
}

func TestNetworkTableIsWellFormed(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for n, line := range strings.Split(strings.TrimSpace(cdnText), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		_, text, ok := strings.Cut(line, " ")
		p, err := netip.ParsePrefix(text)
		if !ok || err != nil || p != p.Masked() || seen[p] || p.Bits() < 8 {
			t.Errorf("cdn.txt:%d: %q is not a new network", n+1, line)
		}
		seen[p] = true
	}
	for _, name := range Networks() {
		got, ok := Network(strings.ToUpper(name))
		if !ok || len(got) < 2 {
			t.Errorf("%s: got %d networks", name, len(got))
		}
		for _, p := range got {
			delete(seen, p)
		}
	}
	if len(seen) != 0 {
		t.Errorf("in no network: %v", seen)
	}
	if _, ok := Network("nobody"); ok {
		t.Error("got a network of nobody")
	}
}
