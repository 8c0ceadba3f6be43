package proxy

import (
	"net/http"
	"net/url"
	"strings"

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
	case !plainTarget(r.RequestURI), !isPrint(first(r.Header, "Upgrade")):
		x.verdict = routes.Verdict{Kind: routes.BadRequest}
		x.local = http.StatusBadRequest
	case r.Method == http.MethodConnect, r.Method == http.MethodTrace:
		// RFC 9110 9.3.6 and 9.3.8: neither has a use in front of an app;
		// TRACE would show a page's script the cookies it may not read.
		x.local = http.StatusMethodNotAllowed
	case !h.serves(x.identity.Host):
		x.verdict = routes.Verdict{Kind: routes.BadHost}
		x.local = http.StatusMisdirectedRequest
	case x.verdict.Kind == routes.Honeypath && x.confirmed:
		x.local = http.StatusNotFound
	case h.SecurePort != 0 && x.identity.Scheme == "http":
		x.local = http.StatusPermanentRedirect
	case !h.AllowDebugger && asksDebugger(r):
		if x.known() { // someone else may have made the link
			x.verdict = routes.Verdict{Kind: routes.BadRequest}
		}
		x.local = http.StatusNotFound
	case !h.AllowDebugger && r.URL.Path == "/console" && !x.known():
		x.local = http.StatusNotFound
	}
}

// plainTarget says that a target has no blank or control character: over HTTP/2
// one may come (net/http lets it through in :path), and in HTTP/1's request line
// it would be another one's end.
func plainTarget(target string) bool {
	for i := range len(target) {
		if target[i] <= ' ' || target[i] == 0x7f {
			return false
		}
	}
	return true
}

// isPrint says that a value may be a protocol's name: ReverseProxy refuses any
// other as if the app had failed (net/http/internal/ascii.IsPrint).
func isPrint(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// ours says that we answer ourselves, without asking the app. Where the app
// has confirmed the table, and was seen to answer unknown paths with errors, a
// suspect's unknown paths cost it nothing.
func (x *exchange) ours() bool {
	if x.local == 0 && x.confirmed && x.verdict.Kind == routes.UnexpectedPath && x.decision.AnswerLocally &&
		x.handler.manner.Load() == strict {
		x.local = http.StatusNotFound
	}
	return x.local != 0
}

// The manners in which an app answers paths that it has no route for.
const (
	unseen    int32 = iota // not seen yet
	strict                 // with errors
	welcoming              // with a page or a redirect, see exchange.welcome
)

// answer gives our own answer.
func (h *Handler) answer(x *exchange) {
	switch x.local {
	case http.StatusNotFound:
		x.page(x.local, pageData{Title: "Not found", Text: "There is nothing at this address."})
	case http.StatusPermanentRedirect:
		h.redirect(x)
	case http.StatusMisdirectedRequest:
		x.page(x.local, pageData{Title: "Unknown host", Text: "This server does not answer for the host name that was asked for."})
	default:
		x.page(x.local, pageData{Title: http.StatusText(x.local)})
	}
}

// serves says whether we answer for a Host header's value.
func (h *Handler) serves(host string) bool {
	return len(h.hosts) == 0 || h.hosts[routes.BareHost(host)]
}

func hostSet(hosts []string) map[string]bool {
	set := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		set[routes.BareHost(host)] = true
	}
	return set
}

// asksDebugger says whether a request is for Werkzeug's interactive debugger:
// it answers any path with such a query and hands out source and a Python
// prompt (werkzeug/debug/__init__.py, DebuggedApplication.__call__).
func asksDebugger(r *http.Request) bool {
	if !strings.Contains(r.URL.RawQuery, "debugger") && !strings.Contains(r.URL.RawQuery, "%") {
		return false
	}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(key); err == nil && plain == "__debugger__" {
			return true
		}
	}
	return false
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
