// Package clientip says who asked: it finds the client behind trusted proxies
// and whether that client may be banned at all.
//
// It is the only package that reads forwarding headers. They are believed only
// when the TCP peer is a declared proxy, and only from the right: each proxy
// appends what it saw, so everything left of the first untrusted address may
// have been written by the client itself.
package clientip

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Defaults of Config.
const (
	DefaultHeader   = "X-Forwarded-For"
	DefaultIPv4Bits = 32
	DefaultIPv6Bits = 64
)

// Config says whom to believe and who can't be banned. The zero value trusts
// nobody: every client is its TCP peer.
type Config struct {
	// Trusted are the proxies whose forwarding headers are believed, and which
	// are never banned. Too wide a prefix lets its members forge addresses.
	Trusted []netip.Prefix
	// Header carries the client's address, in any case: X-Forwarded-For
	// (empty means this), Forwarded (RFC 7239), or the name of a header with
	// one single address, such as X-Real-IP or CF-Connecting-IP. The proxy
	// must set it itself: a single header that it merely passes on is forged.
	Header string
	// IPv4Bits and IPv6Bits are the sizes of the network that counts as one
	// client; 0 means 32 and 64.
	IPv4Bits, IPv6Bits int
	// Private lets private and known CDN addresses be banned (--ban-private).
	Private bool
	// Ignore are clients that are never banned.
	Ignore []netip.Prefix
	// Interfaces lists our own addresses; nil means net.InterfaceAddrs.
	Interfaces func() ([]net.Addr, error)
}

// Identity is who sent one request.
type Identity struct {
	// Client is Addr widened to the configured size; the key of all judging.
	// It is the zero Prefix for a peer without an address (a Unix socket).
	Client netip.Prefix
	// Addr is the client's own address and Peer that of the TCP connection,
	// both without zone and in their IPv4 form where they have one.
	Addr, Peer netip.Addr
	// Direct says that no trusted proxy stands between.
	Direct bool
	// Scheme is http or https, and Host the name asked for, as the client
	// used them: from a trusted proxy's headers, else the request's own.
	Scheme, Host string
}

// Resolver finds clients and their standing. It is safe for concurrent use.
type Resolver struct {
	trusted, ignore *bart.Lite
	header          string // canonical
	bits4, bits6    int
	banPrivate      bool
	interfaces      func() ([]net.Addr, error)
	own             atomic.Pointer[map[netip.Addr]struct{}]
}

// New returns a Resolver. Prefixes of wrong size and header names that HTTP
// does not allow are errors, and so are interfaces that can't be listed: their
// addresses must never be banned.
func New(c Config) (*Resolver, error) {
	r := &Resolver{
		trusted:    table(c.Trusted),
		ignore:     table(c.Ignore),
		header:     http.CanonicalHeaderKey(orDefault(c.Header, DefaultHeader)),
		bits4:      orDefault(c.IPv4Bits, DefaultIPv4Bits),
		bits6:      orDefault(c.IPv6Bits, DefaultIPv6Bits),
		banPrivate: c.Private,
		interfaces: c.Interfaces,
	}
	if r.interfaces == nil {
		r.interfaces = net.InterfaceAddrs
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, r.Refresh()
}

func (r *Resolver) check() error {
	if !ValidHeader(r.header) {
		return fmt.Errorf("client header %q: not a header name; use X-Forwarded-For, Forwarded, or a header that your proxy sets", r.header)
	}
	if r.bits4 < 8 || r.bits4 > 32 {
		return fmt.Errorf("IPv4 client size /%d: want 8 to 32", r.bits4)
	}
	if r.bits6 < 16 || r.bits6 > 128 {
		return fmt.Errorf("IPv6 client size /%d: want 16 to 128", r.bits6)
	}
	return nil
}

// Resolve says who sent req, without allocating. For a peer that is not a
// trusted proxy it reads no header. Values that don't parse end the way back: the
// client is then the last good hop.
func (r *Resolver) Resolve(req *http.Request) Identity {
	peer := peerOf(req.RemoteAddr)
	id := Identity{Peer: peer, Addr: peer, Direct: true, Scheme: schemeOf(req), Host: req.Host}
	if peer.IsValid() && r.trusted.Contains(peer) {
		r.behind(req, &id)
	}
	id.Client = r.Prefix(id.Addr)
	return id
}

// behind fills in what the trusted peer's headers say.
func (r *Resolver) behind(req *http.Request, id *Identity) {
	id.Direct = false
	var t trace
	t.add(id.Peer)
	r.follow(req.Header, &t)
	id.Addr = t.client()
	id.Scheme = orDefault(t.scheme(req.Header), id.Scheme)
	id.Host = orDefault(t.host(req.Header), id.Host)
}

// AppendChain adds to b the X-Forwarded-For to write for req, whose sender is
// id: the client and the trusted proxies it came through. What the client
// itself wrote there is left out.
func (r *Resolver) AppendChain(b []byte, req *http.Request, id *Identity) []byte {
	if !id.Peer.IsValid() {
		return b
	}
	var t trace
	t.add(id.Peer)
	if !id.Direct {
		r.follow(req.Header, &t)
	}
	return t.appendChain(b)
}

// Prefix is the client that a counts as: a network of the configured size, or a
// alone where a can never be banned, so that a neighbour's ban leaves it out.
// The zero Addr gives the zero Prefix.
func (r *Resolver) Prefix(a netip.Addr) netip.Prefix {
	a = Normal(a)
	bits := r.bits6
	if a.Is4() {
		bits = r.bits4
	}
	if bits < a.BitLen() && r.protected(a) != "" {
		bits = a.BitLen()
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the zero Addr
	}
	return p
}

// table holds prefixes in their normal form, IPv4-mapped ones as IPv4.
func table(prefixes []netip.Prefix) *bart.Lite {
	t := new(bart.Lite)
	for _, p := range prefixes {
		if n := NormalPrefix(p); n.IsValid() {
			t.Insert(n)
		}
	}
	return t
}

func schemeOf(req *http.Request) string {
	if req.TLS != nil {
		return "https"
	}
	return "http"
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// ValidHeader says whether s can be a header's name (RFC 9110, section 5.1).
func ValidHeader(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
