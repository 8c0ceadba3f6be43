package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/flask2ban/flask2ban/routes"
)

// look finds out what is asked for: the table's verdict, and whether the app
// should be asked at all.
func (x *exchange) look(h *Handler, r *http.Request) {
	x.table, x.confirmed = h.Tables.Current()
	if isUpgrade(r, "websocket") {
		x.verdict = x.table.MatchUpgrade(x.identity.Host, r.Method, r.RequestURI)
	} else {
		x.verdict = x.table.Match(x.identity.Host, r.Method, r.RequestURI)
	}
	switch {
	case r.Method == http.MethodConnect, r.Method == http.MethodTrace:
		// RFC 9110 9.3.6 and 9.3.8: neither has a use in front of an app;
		// TRACE would show a page's script the cookies it may not read.
		x.local = http.StatusMethodNotAllowed
	case !h.serves(x.identity.Host):
		x.verdict = routes.Verdict{Kind: routes.BadHost}
		x.local = http.StatusMisdirectedRequest
	case !h.AllowDebugger && asksDebugger(r):
		x.verdict = routes.Verdict{Kind: routes.Honeypath}
		x.local = http.StatusNotFound
	case x.verdict.Kind == routes.Honeypath && x.confirmed:
		x.local = http.StatusNotFound
	}
}

// ours says that we answer ourselves, without asking the app. Where the app
// itself has confirmed the table, a suspect's unknown paths cost it nothing,
// and neither do those that a client sends faster than it is answered.
func (x *exchange) ours() bool {
	if x.local == 0 && x.confirmed && x.verdict.Kind == routes.UnexpectedPath && !x.handler.welcoming.Load() &&
		(x.decision.AnswerLocally || !x.pend()) {
		x.local = http.StatusNotFound
	}
	return x.local != 0
}

// pending counts, by client, the requests for unknown paths that the app has
// not answered yet. It holds no more entries than there are requests in
// flight.
type pending struct {
	mu sync.Mutex
	n  map[netip.Prefix]int
}

// maxPending is how many unknown paths of one client the app is asked at once:
// with those answered before, no more than maxretry/2 of the default.
const maxPending = 2

// pend enters the exchange among its client's unknown paths; false where there
// are too many.
func (x *exchange) pend() bool {
	p := &x.handler.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[x.identity.Client] >= maxPending {
		return false
	}
	if p.n == nil {
		p.n = map[netip.Prefix]int{}
	}
	p.n[x.identity.Client]++
	x.pended = true
	return true
}

// unpend takes it out again.
func (x *exchange) unpend() {
	if !x.pended {
		return
	}
	x.pended = false
	p := &x.handler.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[x.identity.Client]--; p.n[x.identity.Client] <= 0 {
		delete(p.n, x.identity.Client)
	}
}

// answer gives our own answer.
func (h *Handler) answer(x *exchange) {
	switch x.local {
	case http.StatusNotFound:
		x.page(x.local, pageData{Title: "Not found", Text: "There is nothing at this address."})
	case http.StatusMisdirectedRequest:
		x.page(x.local, pageData{Title: "Unknown host", Text: "This server does not answer for the host name that was asked for."})
	default:
		x.page(x.local, pageData{Title: http.StatusText(x.local)})
	}
}

// serves says whether we answer for a Host header's value.
func (h *Handler) serves(host string) bool {
	return len(h.hosts) == 0 || h.hosts[bareHost(host)]
}

func hostSet(hosts []string) map[string]bool {
	set := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		set[bareHost(host)] = true
	}
	return set
}

// bareHost is a Host value in lower case without port, brackets of an IPv6
// address and final dot.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// asksDebugger says whether a request is for Werkzeug's interactive debugger:
// it answers any path with such a query and hands out source and a Python
// prompt (werkzeug/debug/__init__.py, DebuggedApplication.__call__).
func asksDebugger(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "__debugger__=")
}

// isUpgrade says whether a request asks to switch to a protocol (RFC 9110
// 7.8).
func isUpgrade(r *http.Request, protocol string) bool {
	upgrade := r.Header["Upgrade"]
	return len(upgrade) > 0 && strings.EqualFold(upgrade[0], protocol) &&
		headerHasToken(r.Header["Connection"], "upgrade")
}

func headerHasToken(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
