package proxy

import (
	"net/http"
	"strings"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/routes"
)

// Testimony is what the app's own routing said of a request, by whatever means
// it was found out.
type Testimony uint8

const (
	// Silent: nothing is known. It never makes evidence of a path.
	Silent Testimony = iota
	// Has: the app's routing found a view.
	Has
	// Lacks: the app's routing found nothing.
	Lacks
	// Refuses: the app has the path, with other methods.
	Refuses
)

// Judge is the verdict table: what the table's verdict and the app's testimony
// together say against a client. An empty kind is nothing.
//
// The table alone can be wrong (an extension registered a route), the app's
// status alone can be (a missing record is a 404 on a valid route, a login
// wall answers 302 to everything). So the two must agree. The one exception is
// a honeypath, a URL that only scanners ask for: there the app's silence is
// enough, but not its word that it has the URL.
func Judge(verdict routes.Kind, said Testimony) ban.Kind {
	switch verdict {
	case routes.UnexpectedPath:
		if said == Lacks {
			return ban.UnexpectedPath
		}
	case routes.UnexpectedMethod:
		if said == Refuses {
			return ban.UnexpectedMethod
		}
	case routes.BadValue:
		if said == Lacks {
			return ban.BadValue
		}
	case routes.Honeypath:
		if said != Has && said != Refuses {
			return ban.Honeypath
		}
	}
	return ""
}

// testimony is the app's word on an exchange.
func (x *exchange) testimony() Testimony {
	switch {
	case x.local == http.StatusNotFound:
		// We answered on the strength of the app's own url_map.
		return Lacks
	case x.witness.Present:
		return routingTestimony[x.witness.Routing]
	case x.hungUp() && x.confirmed && !x.known() && x.handler.manner.Load() != welcoming:
		// A client that leaves before the answer does not quite escape:
		// the app's own url_map has spoken, and it counts as soft.
		return Lacks
	}
	return Silent
}

var routingTestimony = map[app.Routing]Testimony{
	app.Found:            Has,
	app.Redirect:         Has,
	app.NotFound:         Lacks,
	app.MethodNotAllowed: Refuses,
}

// observe tells the engine, once, what the exchange says of the client.
func (h *Handler) observe(x *exchange) {
	if x.judged || x.decision.Refused() || x.failed || x.status == 0 {
		return
	}
	x.judged = true
	x.noteManner()
	r, said := x.request, x.testimony()
	o := ban.Observation{
		Client: x.identity.Client,
		Addr:   x.identity.Addr,
		Method: r.Method,
		Known:  x.known() || said == Has,
		Found:  said == Has,
		Status: x.status,
		Route:  x.route(),
	}
	if x.asked {
		o.Session = h.sessions.observe(x.start, o.Client, r.Header, x.Header()["Set-Cookie"], o.Found)
	}
	o.Evidence = h.evidence(x, said)
	h.learn(x, r, said)
	out := h.Engine.Observe(x.start, o)
	if out.Spared {
		h.warnings.warn("spared:"+x.identity.Peer.String(), h.Clients.Warning(x.identity.Peer)) // empty: its name is looked up
	}
	if b := out.Noted; b != nil {
		h.Log.Info("would be banned: the rule only observes", "client", b.Client, "rule", b.Rule, "reason", b.Reason)
	}
	if out.Banned != nil {
		h.banned(x, out.Banned)
	}
	x.leave() // what is known decides of the next, however long this answer goes on
}

// evidence is what the exchange holds against the client; nil for nothing.
func (h *Handler) evidence(x *exchange, said Testimony) *ban.Evidence {
	kind := h.kind(x, said)
	if kind == "" {
		return nil
	}
	crawler, pending := h.crawler(x)
	if crawler {
		return nil
	}
	h.Metrics.Evidence(string(kind))
	return &ban.Evidence{
		Kind:      kind,
		Soft:      pending || x.soft(),
		Path:      routes.Path(x.request.RequestURI),
		Method:    x.request.Method,
		Route:     x.route(),
		Verdict:   x.verdict.Kind.String(),
		Local:     !x.asked,
		RequestID: x.id,
	}
}

// crawler says whether the client is a search engine's crawler, or may be. Such a
// one asks for whatever was ever linked, here or on the site that had this name
// before, and a ban would take the app out of the index. What the app itself
// reports of it counts.
func (h *Handler) crawler(x *exchange) (confirmed, pending bool) {
	if h.Crawler == nil || x.reported != "" {
		return false, false
	}
	return h.Crawler(x.identity.Addr, first(x.request.Header, "User-Agent"))
}

// kind is what the exchange is evidence of.
func (h *Handler) kind(x *exchange, said Testimony) ban.Kind {
	switch {
	case x.local != 0 && x.local != http.StatusNotFound:
		return "" // a wrong Host or method is no offence
	case x.reported != "":
		return x.reported
	case x.listedRecord(x.request):
		return ban.UnexpectedPath
	case x.welcomed() && !h.welcomes.common(x):
		return "" // it is there, whatever routing says
	case x.witness.Exception != "" || x.status == http.StatusInternalServerError && x.asked && x.known():
		return ban.ServerError
	}
	return Judge(x.verdict.Kind, said)
}

// hungUp says that the client left before the app had answered.
func (x *exchange) hungUp() bool { return x.asked && x.status == statusClientClosed }

// soft says that the evidence may not be the client's own doing or fault.
func (x *exchange) soft() bool {
	if x.reported != "" {
		return isForeign(x.request)
	}
	return isSoft(x.request.Header) || looksAround(x.request.Method) || x.listedRecord(x.request) || x.hungUp() ||
		x.welcomed() || x.denied() || x.slashed() || x.misdirected()
}

// welcomed says that the app has no route here and answered well all the same,
// as a single-page app's 404 handler does, a page tree that lives in one, or a
// login wall: its people ask for such paths too.
func (x *exchange) welcomed() bool {
	return x.asked && x.status < http.StatusBadRequest && x.verdict.Kind == routes.UnexpectedPath
}

// denied says that the app has no route here and answered with another error
// than 404: something before its routing spoke, such as a wall for clients
// without a token.
func (x *exchange) denied() bool {
	return x.asked && x.status >= http.StatusBadRequest && x.status != http.StatusNotFound
}

// slashed says that the path is a route but for a slash at its end, which
// people add and Werkzeug does not forgive.
func (x *exchange) slashed() bool {
	path, query, _ := strings.Cut(x.request.RequestURI, "?")
	bare := strings.TrimRight(path, "/")
	if bare == path || bare == "" {
		return false
	}
	return x.table.Match(x.identity.Host, x.request.Method, bare+"?"+query).Kind == routes.Found
}

// misdirected says that the path is a route at another host of the app's: whoever
// came by an old name or the address has asked for what is there.
func (x *exchange) misdirected() bool {
	return x.verdict.Kind == routes.UnexpectedPath && x.table.AtOtherHost(x.request.Method, x.request.RequestURI)
}

// noteManner remembers how the app answers unknown paths. An app that was once
// seen to welcome one is asked for every path from then on. So is one that has a
// page's picture or style that no route has: WhiteNoise and its like serve files
// before Flask's routing, and there may be others.
func (x *exchange) noteManner() {
	m := &x.handler.manner
	switch {
	case x.asked && x.verdict.Kind == routes.Benign && x.status < http.StatusBadRequest && x.witness.Routing != app.Found:
		m.Store(welcoming)
	case !x.asked || x.verdict.Kind != routes.UnexpectedPath || x.hungUp():
	case x.welcomed():
		m.Store(welcoming)
	default:
		m.CompareAndSwap(unseen, strict)
	}
}

// evidenceHeader is a header of the app's answer by which the app itself
// reports an offence, such as "Flask2ban-Evidence: login_failed". The client
// never sees it.
const evidenceHeader = "Flask2ban-Evidence"

// reportedKind is the kind that an app's report names: a word of letters,
// digits, _ and -, at most 64 bytes. Anything else is no report.
func reportedKind(value string) ban.Kind {
	word := strings.TrimSpace(value)
	if len(word) > 64 || strings.IndexFunc(word, notOfKind) >= 0 {
		return ""
	}
	return ban.Kind(word)
}

func notOfKind(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}

// listedRecord says that a variable route (/<slug>) took a path from the
// honeypath list and its view found no such record. That is soft evidence: the
// app has the route, but nobody links to /.env.
func (x *exchange) listedRecord(r *http.Request) bool {
	return x.verdict.Kind == routes.Found && x.status == http.StatusNotFound && x.asked &&
		x.table.Listed(r.RequestURI)
}

// learn tells the tables what the app has and they lack, or the reverse.
func (h *Handler) learn(x *exchange, r *http.Request, said Testimony) {
	switch {
	case x.verdict.Kind == routes.UnexpectedPath && x.witness.Rule == "" && said == Has:
		h.learnLiteral(x, r)
	case x.verdict.Kind == routes.UnexpectedPath && x.witness.Rule != "" && said == Has:
		h.Tables.Learn(x.witness.Rule, r.Method)
		h.warnings.warn("learned:"+x.witness.Rule,
			"the route table lacked a route that the app has; it is allowed from now on",
			"route", x.witness.Rule, "method", r.Method)
	case x.verdict.Kind == routes.Found && said == Lacks && x.confirmed:
		h.warnings.warn("stale:"+x.route(),
			"the route table has a route that the app's routing does not find; nobody is blamed for it",
			"route", x.route(), "method", r.Method)
	}
}

// learnLiteral learns a path by its answers, where no hook names the rule.
func (h *Handler) learnLiteral(x *exchange, r *http.Request) {
	path := routes.Path(r.RequestURI)
	if x.decision.Class == ban.Suspect || strings.ContainsAny(path, "<>") {
		return
	}
	if h.literals.note(r.Method, path, x.identity.Client.String()) {
		h.Tables.Learn(strings.Clone(path), r.Method) // not the whole request
	}
}
