package proxy

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/routes"
)

// statusClientClosed is nginx's status for a client that left before the
// answer; it only appears in metrics and logs.
const statusClientClosed = 499

// exchange is one request and its answer. It is the ResponseWriter that the
// ReverseProxy writes to, and the Context of the forwarded request, so that
// the whole exchange costs one allocation.
type exchange struct {
	context.Context

	handler *Handler
	writer  http.ResponseWriter
	request *http.Request
	start   time.Time

	identity  clientip.Identity
	verdict   routes.Verdict
	confirmed bool // the running app has confirmed the table
	table     *routes.Table
	decision  ban.Decision
	id        string

	local    int           // the status of our own answer; 0 asks the app
	asked    bool          // the app was asked
	upstream time.Duration // how long the app took
	queued   time.Duration // how long it waited for a slot
	waited   bool          // for the throttle, an instance or a slot
	slot     slot
	flight   app.Flight
	witness  app.Witness
	reported ban.Kind  // what the app itself reports of the client
	failed   bool      // the app gave no answer
	judged   bool      // observed
	inLane   bool      // it has a place in its client's lane
	returned func()    // gives back the place of one that was held; nil for others
	lasts    bool      // its answer may go on for long
	stream   *leanBody // its answer's; nil for none
	tunnel   *tunnel   // what it has become where it has changed its protocol; else nil

	paced   *pacedBody // the request's body; nil for none
	chunked bool       // it came in chunks
	status  int
	bytes   int64
	flush   bool // each part of the body is sent on at once

	// What costs no allocation of its own here: the request that the
	// ReverseProxy gets, the values of its headers that we write (for, proto,
	// host, the hook's), those of the answer's, and room to make them.
	sent      http.Request
	forwarded [4]string
	retry     [1]string
	limits    [2]string
	scratch   [128]byte
}

// exchangeKey finds the exchange in a forwarded request's context.
type exchangeKey struct{}

// Value returns the exchange itself for its key.
func (x *exchange) Value(key any) any {
	if _, ok := key.(exchangeKey); ok {
		return x
	}
	return x.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.writer.Header() }

// WriteHeader notes the status, takes the app's testimony off the answer, and
// has the exchange judged: a ban holds before the client reads its cause.
// Informational answers (RFC 9110 15.2) pass and are not the answer.
func (x *exchange) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		x.inform(status)
		return
	}
	if x.status == 0 {
		x.status = status
		if x.asked && !x.failed {
			x.answering(status)
			x.flight.Answered()
		}
		x.testify(status, x.writer.Header())
		if x.asked && !x.failed {
			length := x.writer.Header()["Content-Length"]
			x.flush = isLong(length)
			x.follow(length)
			x.leaveUntyped()
		}
		x.handler.observe(x)
		if x.handler.HSTS > 0 {
			x.secureOnly()
		}
		x.closeAfterChunks()
		x.closeUnread()
	}
	x.writer.WriteHeader(status)
}

// inform writes an informational answer. net/http's HTTP/2 server has another
// goroutine encode the header, and does not wait for that where the client has
// reset the stream; the ReverseProxy clears the map meanwhile, which can end the
// process ("concurrent map iteration and map write"). Where a length is in it, which is
// never sent, that server encodes a copy (h2_bundle.go, responseWriterState.writeHeader).
func (x *exchange) inform(status int) {
	x.writer.Header()["Content-Length"] = nil
	x.writer.WriteHeader(status)
}

// leaveUntyped keeps net/http from guessing the type of an answer to which the
// app gave none.
func (x *exchange) leaveUntyped() {
	if header := x.writer.Header(); len(header["Content-Type"]) == 0 {
		header["Content-Type"] = nil
	}
}

// closeAfterChunks ends the connection after a request in chunks. It may have
// had a Content-Length as well, which net/http takes off before we can see it;
// what follows the last chunk may then be the body's end to a proxy in front,
// and must not become a request (RFC 9112 6.1: "MUST close the connection").
func (x *exchange) closeAfterChunks() {
	if x.chunked && x.request.ProtoMajor == 1 {
		x.writer.Header()["Connection"] = []string{"close"}
	}
}

// closeUnread ends the connection after an answer of the app's that came before
// the body's end, or any that comes while a client that said it would wait
// (Expect: 100-continue) still has its body to send: net/http would read that
// before it sends the answer, and what comes instead of a body is no request.
func (x *exchange) closeUnread() {
	if (x.asked || len(x.request.Header["Expect"]) > 0) && x.request.ProtoMajor == 1 && x.paced.unread() {
		x.writer.Header()["Connection"] = []string{"close"}
	}
}

// testify reads the app's testimony from the answer's header and removes it.
func (x *exchange) testify(status int, h http.Header) {
	if !x.asked {
		return
	}
	x.witness = x.handler.App.Testify(status, h)
	if report := h[evidenceHeader]; len(report) > 0 {
		delete(h, evidenceHeader)
		x.reported = reportedKind(report[0])
	}
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.multiplexed() {
		defer x.pressWrite(len(p))()
	}
	n, err := x.writer.Write(p)
	x.bytes += int64(n)
	if x.asked && !x.failed {
		x.flight.Moved()
	}
	if x.flush && err == nil {
		err = http.NewResponseController(x.writer).Flush()
	}
	return n, err
}

// isLong says whether a Content-Length names a body that was not read ahead
// (see prefetch): it may come slowly, and nothing of it may sit in a buffer.
func isLong(length []string) bool {
	if len(length) == 0 {
		return false
	}
	n, err := strconv.ParseInt(length[0], 10, 64)
	return err == nil && n > maxPrefetch
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.writer }

// route is the pattern that the request matched, empty for none.
func (x *exchange) route() string {
	if x.known() && x.verdict.Route != nil {
		return x.verdict.Route.Rule
	}
	return ""
}

// label is the route's value in metrics: a pattern or what stands for none,
// never a raw path.
func (x *exchange) label() string {
	if r := x.route(); r != "" {
		return r
	}
	if x.witness.Rule != "" && x.witness.Routing == app.Found {
		return x.witness.Rule
	}
	return metrics.NoRoute
}

// known says whether the table has the URL.
func (x *exchange) known() bool {
	return x.verdict.Kind == routes.Found || x.verdict.Kind == routes.Redirect
}

// lacking says that the URL is none of the app's: the table is sure, and the app
// was not seen to answer well what no route of it has.
func (x *exchange) lacking() bool {
	return x.verdict.Kind.Lacking() && (x.verdict.Kind != routes.UnexpectedPath || x.handler.manner.Load() != welcoming)
}
