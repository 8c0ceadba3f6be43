package clientip

import (
	"net/netip"
	"testing"
)

func TestTrusts(t *testing.T) {
	r, err := New(Config{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("2001:db8::/64")}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"192.0.2.15": true, "::ffff:192.0.2.1": true, "2001:db8::7%eth0": true,
		"192.0.2.16": false, "127.0.0.1": false, "2001:db8:0:1::1": false,
	} {
		if got := r.Trusts(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
	if r.Trusts(netip.Addr{}) {
		t.Error("a peer without an address is trusted")
	}
}
