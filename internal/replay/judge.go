package replay

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/routes"
)

// Table says what a request asks for. It must be safe for concurrent use.
type Table interface {
	// Match is the verdict on one request.
	Match(host, method, target string) routes.Verdict
	// Listed says that the path is on the honeypath list.
	Listed(target string) bool
}

var (
	_ Table = (*routes.Table)(nil)
	_ Table = (*learned)(nil)
)

// judge fills in who asked, and what the table makes of it.
func (p *parser) judge(r *record) {
	r.client = p.client(r)
	if r.method == "" {
		r.verdict = routes.Verdict{Kind: routes.BadRequest}
		return
	}
	host := r.host
	if host == "" {
		host = "localhost"
	}
	if r.method == http.MethodConnect || r.method == http.MethodTrace {
		r.verdict = routes.Verdict{Kind: routes.BadRequest} // the proxy answers these
		return
	}
	r.verdict = p.table.Match(host, r.method, r.target)
}

// client is whom a request counts against. A forwarding header counts as in the
// proxy: where the address in the line is a trusted proxy's.
func (p *parser) client(r *record) netip.Prefix {
	if p.header == "" || noReferer(r.forwarded) || !r.addr.IsValid() {
		return p.clients.Prefix(clientip.Normal(r.addr))
	}
	return p.clients.Resolve(&http.Request{
		RemoteAddr: net.JoinHostPort(r.addr.String(), "0"),
		Header:     http.Header{p.header: {r.forwarded}},
	}).Client
}
