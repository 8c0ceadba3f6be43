package clientip

import (
	"net/http"
	"net/netip"
	"strings"
)

// Bounds on what one request's headers can cost.
const (
	// maxHops is how many addresses are followed back; a chain of trusted
	// proxies longer than that is a loop or an attack.
	maxHops = 32
	// maxElement is the length of one list element.
	maxElement = 512
)

// A trace is the way back from the peer to the client: each hop was named by
// the trusted one before it.
type trace struct {
	hops [maxHops + 1]netip.Addr // hops[0] is the peer
	n    int
	// forwarded says that the header is RFC 7239's, and element is the part of
	// it in which the client was named.
	forwarded bool
	element   string
}

// forwardedHeader is the list of RFC 7239.
const forwardedHeader = "Forwarded"

func (t *trace) client() netip.Addr { return t.hops[t.n-1] }

func (t *trace) add(a netip.Addr) {
	t.hops[t.n] = a
	t.n++
}

// appendChain writes the hops client first, as X-Forwarded-For has them.
func (t *trace) appendChain(b []byte) []byte {
	for i := t.n - 1; i >= 0; i-- {
		b = t.hops[i].AppendTo(b)
		if i > 0 {
			b = append(b, ", "...)
		}
	}
	return b
}

// follow fills t, which has the peer, with what the header says.
func (r *Resolver) follow(h http.Header, t *trace) {
	lines := h[r.header]
	switch r.header {
	case DefaultHeader, forwardedHeader:
		t.forwarded = r.header == forwardedHeader
		r.followList(lines, t)
	default:
		followSingle(lines, t)
	}
}

// followSingle takes a header with one address. Of several lines the last
// counts: proxies append.
func followSingle(lines []string, t *trace) {
	if len(lines) == 0 {
		return
	}
	if a, ok := parseHop(lines[len(lines)-1]); ok {
		t.add(a)
	}
}

// followList walks a list from its right end to the first address that is not a
// trusted proxy, over all lines of the header.
func (r *Resolver) followList(lines []string, t *trace) {
	list := list{lines: lines}
	for t.n <= maxHops && r.trusted.Contains(t.client()) {
		element, ok := list.last()
		if !ok {
			return
		}
		a, ok := t.parse(element)
		if !ok {
			return
		}
		t.add(a)
		t.element = element
	}
}

func (t *trace) parse(element string) (netip.Addr, bool) {
	if t.forwarded {
		return forwardedHop(element)
	}
	return parseHop(element)
}

// forwardedHop reads for= of an RFC 7239 element. "unknown" and obfuscated
// names are not addresses.
func forwardedHop(element string) (netip.Addr, bool) {
	value, ok := parameter(element, "for")
	if !ok {
		return netip.Addr{}, false
	}
	return parseHop(value)
}

// A list gives the elements of a comma-separated header from right to left.
type list struct {
	lines []string // those not begun
	rest  string   // what is left of the one begun
	begun bool
}

// last cuts off the rightmost element; ok is false at the end, and where an
// element is too long. Empty elements are skipped (RFC 9110, section 5.6.1).
func (l *list) last() (element string, ok bool) {
	for range maxHops {
		if !l.begin() {
			return "", false
		}
		cut := lastComma(l.rest)
		if cut == tooLong {
			return "", false
		}
		element = strings.Trim(l.rest[cut+1:], " \t")
		l.rest, l.begun = l.rest[:max(cut, 0)], cut >= 0
		if element != "" {
			return element, true
		}
	}
	return "", false
}

// begin makes sure that a line is begun; false when there is none left.
func (l *list) begin() bool {
	if l.begun {
		return true
	}
	if len(l.lines) == 0 {
		return false
	}
	end := len(l.lines) - 1
	l.rest, l.lines, l.begun = l.lines[end], l.lines[:end], true
	return true
}

const tooLong = -2

// lastComma finds the last comma outside of quotes: -1 where there is none,
// tooLong where it is further than maxElement away.
//
// It works from the right because only the right end was written by a proxy: a
// client's unbalanced quote on the left must not swallow it.
func lastComma(s string) int {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		if len(s)-i > maxElement {
			return tooLong
		}
		switch {
		case s[i] == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return i
		}
	}
	return -1
}
