package admin

import (
	"net/netip"
	"strings"

	"github.com/flask2ban/flask2ban/routes"
)

// hosts are the names besides the harmless ones that may stand in a request's
// Host header.
//
// The attack: a page at evil.example, open in the operator's browser, lets its
// own name resolve to 127.0.0.1 and then reads our API as "same origin" (DNS
// rebinding). It needs a name whose DNS the attacker controls, so an address,
// a name without a dot and a name below a top-level domain that nobody can
// register are no danger; and no name is, unless the operator listed it.
type hosts map[string]bool

func newHosts(names []string) hosts {
	h := make(hosts, len(names))
	for _, n := range names {
		h[routes.BareHost(n)] = true
	}
	return h
}

// allow says whether a request with this Host header may be answered. An
// empty one (HTTP/1.0) comes from no browser.
func (h hosts) allow(header string) bool {
	host := routes.BareHost(header)
	if h[host] || !strings.Contains(host, ".") {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, tld := range privateDomains() {
		if strings.HasSuffix(host, tld) {
			return true
		}
	}
	return false
}

// privateDomains can't be registered: RFC 6761, RFC 6762, RFC 8375, and ICANN's
// reservation of .internal. Kubernetes' own names end in .local.
func privateDomains() []string {
	return []string{".localhost", ".local", ".internal", ".home.arpa"}
}
