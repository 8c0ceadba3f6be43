package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// App is the program behind us.
type App interface {
	// Wait returns nil once an instance is ready, or why none will be soon.
	Wait(ctx context.Context) error
	// TLS says whether the app speaks TLS itself; known once it serves.
	TLS() bool
	// Prepare marks a request on its way to the app with what its hook
	// needs: the one value of [app.Forwarded].
	Prepare(out *http.Request, value []string)
	// Testify says what the app's routing made of the request with this
	// answer. It removes from h what is not for the client.
	Testify(status int, h http.Header) app.Witness
	// Enter and Leave frame the time that a request is with the app, and
	// Again is asked before it is sent once more, and told what the last try failed
	// of; see [app.App].
	Enter(*app.Flight)
	Leave(*app.Flight)
	Again(ctx context.Context, f *app.Flight, safe bool, cause error) error
}

// newReverseProxy sets up httputil.ReverseProxy for h, which copies bodies with
// these buffers.
func newReverseProxy(h *Handler, lent httputil.BufferPool, t http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:   h.rewrite,
		Transport: t,
		// FlushInterval 0: ReverseProxy flushes events and answers of
		// unknown length as the app writes them; exchange.Write does the
		// same for long ones of known length.
		BufferPool:     lent,
		ModifyResponse: h.modify,
		ErrorHandler:   h.upstreamError,
		ErrorLog:       slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug),
	}
}

// rewrite makes the request that the app gets: the same target, byte for byte,
// the same Host, and forwarding headers that only we write.
func (h *Handler) rewrite(p *httputil.ProxyRequest) {
	x := exchangeOf(p.In.Context())
	out := p.Out
	out.URL.Scheme = "http"
	if h.App.TLS() {
		out.URL.Scheme = "https"
	}
	if out.Host == "" { // else net/http names the app's own address, which is nobody's business
		out.Host = localHost(p.In)
	}
	// ReverseProxy drops query parameters that Go can't parse, and Go
	// escapes a path anew; the app's own parser decides.
	out.URL.RawQuery = p.In.URL.RawQuery
	if path := rawPath(p.In.RequestURI); path != "" && path != out.URL.EscapedPath() {
		out.URL.Opaque = path
	}
	// Whoever reads the body has net/http's server send 100 Continue; apps
	// and their servers decide nothing before, and some never send it, which
	// would cost a second.
	delete(out.Header, "Expect")
	// ReverseProxy takes it for its own; we ask for none (RFC 9110 11.7.2).
	if v := p.In.Header["Proxy-Authorization"]; len(v) > 0 {
		out.Header["Proxy-Authorization"] = v
	}
	// Only a request without a body gets its protocol changed; others are
	// answered as if they had not asked (RFC 9110 7.8).
	if hasBody(out) || !idempotent[out.Method] {
		delete(out.Header, "Upgrade")
		delete(out.Header, "Connection")
	}
	h.setForwarding(x, out)
	// WSGI has no trailers (PEP 3333), and Werkzeug's server answers 500 to
	// them; RFC 9110 6.5.1 lets us discard them.
	out.Trailer = nil
	h.suspectProxy(x, p.In)
}

// localHost is the Host of a request that names none (HTTP/1.0, or an empty
// one): the address that the client reached, as an app without us would take it.
func localHost(r *http.Request) string {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if local == nil {
		return ""
	}
	addr := local.AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port()).String()
}

// suspectProxy tells the operator of a proxy in front that was not declared:
// behind it everyone is one client, who can't be banned.
func (h *Handler) suspectProxy(x *exchange, in *http.Request) {
	if !x.identity.Direct || len(in.Header["X-Forwarded-For"]) == 0 || !x.identity.Peer.IsLoopback() && !x.identity.Peer.IsPrivate() {
		return
	}
	peer := x.identity.Peer.String()
	h.warnings.warn("proxy:"+peer, "a proxy seems to stand in front; until it is declared, all its clients count as one",
		"peer", peer, "remedy", "--trusted-proxy "+peer)
}

// rawPath is the path of an origin-form target as it was sent; empty where
// net/url must write it: in absolute form, or where "//" begins it, which
// would be read as a host.
func rawPath(target string) string {
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return ""
	}
	path, _, _ := strings.Cut(target, "?")
	return path
}

// setForwarding overwrites what says who the client is. What the peer sent
// stands only in identity, where a trusted proxy sent it.
func (h *Handler) setForwarding(x *exchange, out *http.Request) {
	for name := range out.Header {
		if forges(name, x.identity.Direct) {
			delete(out.Header, name)
		}
	}
	out.Header["X-Forwarded-For"] = x.forwarded[0:1:1]
	out.Header["X-Forwarded-Proto"] = x.forwarded[1:2:2]
	out.Header["X-Forwarded-Host"] = x.forwarded[2:3:3]
	h.address(x, out, x.forwarded[3:4:4])
}

// forges says whether a header from a peer must not reach the app: one that
// says who the client is, from a peer that is not believed, or such a name
// spelt with underscores by anyone, for WSGI knows no difference between
// X_Forwarded_For and X-Forwarded-For (PEP 3333, environ).
func forges(name string, direct bool) bool {
	if strings.IndexByte(name, '_') >= 0 {
		return isForwarding(canonical(name))
	}
	return direct && isForwarding(name)
}

func isForwarding(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded") || strings.HasPrefix(name, "X-Original-") || forwardingHeaders[name]
}

// forwardingHeaders are those that an app may take for the client's address,
// scheme, host or mount point (Werkzeug's ProxyFix, and what CDNs send), beside
// all that begin with X-Forwarded and X-Original-.
var forwardingHeaders = map[string]bool{
	"Forwarded":                true,
	"X-Real-Ip":                true,
	"X-Client-Ip":              true,
	"X-Cluster-Client-Ip":      true,
	"X-Host":                   true,
	"X-Rewrite-Url":            true,
	"X-Script-Name":            true,
	"X-Envoy-External-Address": true,
	"X-Appengine-User-Ip":      true,
	"X-Azure-Clientip":         true,
	"True-Client-Ip":           true,
	"Cf-Connecting-Ip":         true,
	"Cf-Connecting-Ipv6":       true,
	"Fastly-Client-Ip":         true,
	"Fly-Client-Ip":            true,
}

func canonical(name string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// modify takes a change of protocol from the ReverseProxy, and the testimony off
// its header, which never comes by WriteHeader.
func (h *Handler) modify(res *http.Response) error {
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	x := exchangeOf(res.Request.Context())
	x.testify(res.StatusCode, res.Header)
	return x.change(res)
}

// upstreamError answers where the app didn't.
func (h *Handler) upstreamError(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errTunnelled):
	case errors.As(err, &tooLarge):
		h.bodyFailed(x, err)
	case x.paced.failure() != nil:
		h.bodyFailed(x, x.paced.failure())
	case x.Err() != nil || x.left():
		if x.status == 0 {
			x.status = statusClientClosed
		}
	case absent(err): // each request would say the same; see reach
		x.flight.Lost()
		x.away()
	case x.flight.GivenUp():
		x.failed = true
		x.flight.Lost()
		h.Log.Warn("the app did not answer in time", "method", r.Method, "route", x.label(), "id", x.id)
		x.page(http.StatusGatewayTimeout, pageData{
			Title: "The application did not answer in time",
			Text:  "It may still be working on what you asked for.",
		})
	case errors.Is(err, errPoison):
		x.failed = true
		x.flight.Lost()
		x.page(http.StatusBadGateway, pageData{
			Title: "This part of the application is out of order",
			Text:  "It has ended the application several times, and is not asked for some minutes.",
		})
	default:
		x.failed = true
		x.flight.Lost()
		h.Log.Warn("the app gave no answer", "error", err, "method", r.Method, "route", x.label(), "id", x.id)
		x.page(http.StatusBadGateway, pageData{
			Title: "The application gave no answer",
			Text:  "It may be restarting. Please try again in a moment.",
		})
	}
}

// maxHeld bounds the requests that wait for an instance, as the app's own
// accept queue would (listen(2)).
const maxHeld = DefaultQueueSize

// ready waits for an instance of the app. It reports whether there is one; if
// not, the client has been told.
func (h *Handler) ready(x *exchange) bool {
	err := h.App.Wait(h.ended)
	if err != nil {
		err = h.hold(x)
	}
	var gone *absence
	switch {
	case err == nil:
		return true
	case x.Context.Err() != nil:
		x.status = statusClientClosed
	case errors.Is(err, app.ErrCrashLoop):
		x.unavailable("The application does not start", "It keeps failing, and is tried again every half a minute. This page asks again by itself.", loopRetry)
	case errors.As(err, &gone):
		x.away()
	default:
		x.unavailable("The application is starting", "This page asks again by itself in a few seconds.", startRetry)
	}
	x.failed = true
	return false
}

func (x *exchange) unavailable(title, text string, retry time.Duration) {
	x.failed = true
	x.retryAfter(retry)
	x.page(http.StatusServiceUnavailable, pageData{Title: title, Text: text, Refresh: int(retry / time.Second)})
}

// errHeld means that as many requests wait as may.
var errHeld = errors.New("too many requests wait for the app")

// hold waits for an instance as long as a request may.
func (h *Handler) hold(x *exchange) error {
	x.waited = true
	defer h.held.Add(-1)
	if h.held.Add(1) > maxHeld {
		return errHeld
	}
	ctx, cancel := context.WithTimeout(x.Context, h.Hold)
	defer cancel()
	err := h.App.Wait(ctx)
	if err == nil {
		x.returned, err = h.returning.enter(ctx)
	}
	return err
}

// away answers where nobody has accepted a request.
func (x *exchange) away() {
	x.unavailable("The application is away", "It may be restarting. This page asks again by itself in a few seconds.", startRetry)
}

// startRetry is when a client that met a starting app should ask again,
// loopRetry where the app keeps failing: as often as it is tried.
const (
	startRetry = 5 * time.Second
	loopRetry  = 30 * time.Second
)
