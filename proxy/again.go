package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/flask2ban/flask2ban/internal/app"
)

// maxResend is how often a request is sent again.
const maxResend = 3

// poisonDeaths is how many processes of the app one request may have ended.
const poisonDeaths = 2

// errPoison is a request of a route that has ended the app; see culprit.
var errPoison = errors.New("requests like this ended the app twice; it gets none for ten minutes")

// errUnsent wraps an error before the first byte of a request was sent.
type errUnsent struct{ error }

// Unwrap gives the error.
func (e errUnsent) Unwrap() error { return e.error }

// isUnsent says that an error came before the first byte of a request was sent.
func isUnsent(err error) bool {
	var unsent errUnsent
	return errors.As(err, &unsent)
}

// errForeign is a connection to a port of the app's that another program has
// opened meanwhile.
var errForeign = errors.New("the app's port belongs to another program now")

// dialApp connects to the app, and to nobody else.
func dialApp(ctx context.Context, d *net.Dialer, addr string) (net.Conn, error) {
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if x := exchangeOf(ctx); x != nil && !x.flight.Reached(c) {
		c.Close()
		return nil, errForeign
	}
	return c, nil
}

// again prepares the next try of a request that got no answer, or says that
// there is none. GET, HEAD and OPTIONS may run twice; of all others there must
// be proof that the app has not begun, and never will (see [app.App.Again]).
func (t *transport) again(r *http.Request, cause error, try int) (*http.Request, bool) {
	x := exchangeOf(r.Context())
	body, isKept := r.Body.(*keptBody)
	var client errUpload
	if x == nil || r.Context().Err() != nil || errors.As(cause, &client) {
		return nil, false
	}
	safe := idempotent[r.Method] && !hasBody(r)
	err := x.again(r.Context(), safe, cause)
	if err != nil || t.blames(x, try, isUnsent(cause)) || isKept && !body.rewind() || x.left() {
		return nil, false
	}
	next := r.Clone(r.Context())
	next.Body = r.Body
	who := x.who()
	who.ID = x.flight.ID
	x.handler.address(x, next, []string{string(who.AppendTo(nil))})
	return next, true
}

// again waits until the request may be sent again, as one that is held.
func (x *exchange) again(ctx context.Context, safe bool, cause error) error {
	h := x.handler
	x.waited = true
	h.held.Add(1)
	defer h.held.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, h.Hold)
	defer cancel()
	return h.App.Again(ctx, &x.flight, safe, cause)
}

// blames says whether a request has failed so often that it may be the cause.
// Of an app of ours we know how its processes ended, and what ends
// them gets no requests at all; of another's we know only that no answer came,
// and do not ask again. What it never got is not its fault.
func (t *transport) blames(x *exchange, try int, unsent bool) bool {
	culprit := x.culprit()
	if x.flight.Addr() != "" {
		if x.flight.Deaths() >= poisonDeaths {
			t.poison.add(culprit)
		}
		return t.poison.has(culprit)
	}
	if unsent {
		return false
	}
	if t.weary.has(culprit) {
		return true
	}
	if try > 0 {
		t.weary.add(culprit)
	}
	return false
}

// maxCulprit bounds a path that is remembered, in bytes.
const maxCulprit = 256

// culprit is what becomes poison with the request: its route, or its path where
// the table has no route for it or one that matches nearly every path. One bad URL
// must not take the rest of the app down.
func (x *exchange) culprit() string {
	if route := x.route(); route != "" && x.verdict.Route != x.table.CatchAll() {
		return route
	}
	path, _, _ := strings.Cut(x.request.RequestURI, "?")
	return path[:min(len(path), maxCulprit)]
}

// address directs out to the instance that the flight is for, with the value
// that its hook is to get.
func (h *Handler) address(x *exchange, out *http.Request, value []string) {
	out.URL.Host = h.Upstream.Host
	if addr := x.flight.Addr(); addr != "" {
		out.URL.Host = addr
	}
	h.App.Prepare(out, value)
}

// enter says that the request is about to go to the app.
func (h *Handler) enter(x *exchange) {
	x.id = x.speak(h.ids.appendID(x.scratch[:0]))
	x.flight.ID, x.flight.Method, x.flight.Route = x.id, x.request.Method, x.label()
	x.flight.Streams = isUpgrade(x.request, "websocket") || headerHasToken(x.request.Header["Accept"], "text/event-stream")
	h.App.Enter(&x.flight)
}

// speak makes what is said of the request to the app under an id, all in one
// allocation, and returns the id.
func (x *exchange) speak(id []byte) string {
	b := x.who().AppendTo(id)
	end := len(b)
	b = x.handler.Clients.AppendChain(b, x.request, &x.identity)
	all := string(b)
	x.forwarded = [...]string{all[end:], x.identity.Scheme, x.identity.Host, all[:end]}
	return all[:len(id)]
}

// who is what the app's hook is to know, but for the id.
func (x *exchange) who() app.Forwarded {
	return app.Forwarded{Client: x.identity.Addr, Scheme: x.identity.Scheme, Host: x.identity.Host}
}
