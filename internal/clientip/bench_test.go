package clientip

import (
	"net/netip"
	"testing"
)

func BenchmarkResolve(b *testing.B) {
	for _, bb := range []struct {
		name, header, peer string
		lines              []string
	}{
		{"direct", "", "192.0.2.1:4000", nil},
		{"direct6", "", "[2001:db8::7]:4000", nil},
		{"forged", "", "192.0.2.1:4000", []string{"X-Forwarded-For: 198.51.100.1"}},
		{"one hop", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}},
		{"three hops", "", "10.0.0.1:4000", []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.3, 10.0.0.2"}},
		{"rfc 7239", "Forwarded", "10.0.0.1:4000", []string{"Forwarded: for=192.0.2.1;proto=https;host=a.example"}},
		{"single", "CF-Connecting-IP", "10.0.0.1:4000", []string{"CF-Connecting-IP: 192.0.2.1"}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := resolver(b, Config{Trusted: proxied, Header: bb.header})
			req := request(bb.peer, bb.lines...)
			b.ReportAllocs()
			for b.Loop() {
				r.Resolve(req)
			}
		})
	}
}

func BenchmarkStanding(b *testing.B) {
	r := resolver(b, Config{Trusted: proxied, Ignore: prefixes("198.51.100.0/24")})
	a := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		r.Standing(a)
	}
}
