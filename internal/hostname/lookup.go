package hostname

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is what a UDP answer may take (EDNS, RFC 6891): the size that the DNS
// flag day 2020 settled on, so that nothing is fragmented.
const udpSize = 1232

// maxAliases is how many CNAMEs of one answer are followed.
const maxAliases = 8

// maxTimeouts is how many times Timeout one look-up may take in all: whoever
// holds an address could else name servers that never answer.
const maxTimeouts = 5

// lookUp finds the confirmed names of an address, and how long that holds. An
// answer that says no holds as well; the lack of any answer, for failedTTL.
func (r *Resolver) lookUp(ctx context.Context, a netip.Addr) (names []string, ttl time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, maxTimeouts*r.config.Timeout)
	defer cancel()
	reverse, err := dns.ReverseAddr(a.String())
	if err != nil {
		return nil, longestTTL
	}
	given, ttl, err := r.ask(ctx, reverse, dns.TypePTR)
	if err != nil {
		return nil, failedTTL
	}
	for _, rr := range given[:min(len(given), maxNames)] {
		name := rr.(*dns.PTR).Ptr
		confirmed, holds := r.confirm(ctx, name, a)
		ttl = min(ttl, holds)
		if confirmed {
			names = append(names, plain(name))
		}
	}
	return names, ttl
}

// confirm says whether a name resolves to the address, and how long that holds.
func (r *Resolver) confirm(ctx context.Context, name string, a netip.Addr) (bool, time.Duration) {
	if !isHost(plain(name)) {
		return false, longestTTL
	}
	kind := dns.TypeA
	if a.Is6() {
		kind = dns.TypeAAAA
	}
	records, ttl, err := r.ask(ctx, name, kind)
	if err != nil {
		return false, failedTTL
	}
	for _, rr := range records {
		if addressOf(rr) == a {
			return true, ttl
		}
	}
	return false, ttl
}

func addressOf(rr dns.RR) netip.Addr {
	var a netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		a, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		a, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return a.Unmap()
}

// plain is a name in lower case without its final dot.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// isHost refuses names that no host has: a label with an escaped dot in it
// could pass for several.
func isHost(name string) bool {
	return name != "" && len(name) <= 253 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// ask asks the servers in turn. An answer of no records is not an error.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) ([]dns.RR, time.Duration, error) {
	var failed error
	for _, server := range r.config.Servers {
		reply, err := r.exchange(ctx, server, name, kind)
		if err == nil {
			records, ttl := read(reply, name, kind)
			return records, ttl, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, 0, failed
}

// exchange asks one server over UDP, and again over TCP where the answer does
// not fit. Only an answer, yes or no, is none of an error.
func (r *Resolver) exchange(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(udpSize, false)
	client := dns.Client{Timeout: r.config.Timeout, UDPSize: udpSize}
	reply, _, err := client.ExchangeContext(ctx, question, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, question, server)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", server, name, err)
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("ask %s for %s: %s", server, name, dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}

// read returns an answer's records of a kind, where its aliases (CNAME) lead,
// and how long the answer holds. RFC 2317 makes aliases of PTR records too.
func read(reply *dns.Msg, name string, kind uint16) ([]dns.RR, time.Duration) {
	name, ttl := target(reply.Answer, plain(name))
	var records []dns.RR
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == kind && plain(rr.Header().Name) == name {
			records = append(records, rr)
			ttl = min(ttl, seconds(rr.Header().Ttl))
		}
	}
	if len(records) == 0 {
		ttl = min(ttl, negative(reply))
	}
	return records, max(ttl, shortestTTL)
}

// target follows the aliases of a name, at most for longestTTL.
func target(answer []dns.RR, name string) (string, time.Duration) {
	ttl := longestTTL
	for range maxAliases {
		next := name
		for _, rr := range answer {
			if alias, ok := rr.(*dns.CNAME); ok && plain(alias.Hdr.Name) == name {
				next = plain(alias.Target)
				ttl = min(ttl, seconds(alias.Hdr.Ttl))
			}
		}
		if next == name {
			break
		}
		name = next
	}
	return name, ttl
}

// negative is how long a "no" holds: RFC 2308, section 5.
func negative(reply *dns.Msg) time.Duration {
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return seconds(min(soa.Minttl, soa.Hdr.Ttl))
		}
	}
	return shortestTTL
}

// seconds is a TTL. One with the highest bit set is zero (RFC 2181, section 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
