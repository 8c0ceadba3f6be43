// Package proxy fronts the app: it listens, asks the route table and the ban
// engine about every request, refuses or forwards it, and learns from the
// answer.
//
// The way of one request is [Handler.ServeHTTP].
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/routes"
)

// Config says what a Handler works with. Every field without a zero value
// stated is required.
type Config struct {
	// Clients finds out who asks.
	Clients Clients
	// Crawler says whether an address is that of the search engine's crawler that
	// a User-Agent names, or may be: its host name is being looked up. nil knows
	// none.
	Crawler func(a netip.Addr, agent string) (confirmed, pending bool)
	// Tables gives the route table in force and takes what was learned.
	Tables Tables
	// Engine judges clients.
	Engine *ban.Engine
	// App is the program behind us.
	App App
	// Upstream is where App listens.
	Upstream *url.URL
	// Metrics counts.
	Metrics *metrics.Metrics
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
	// AccessLog takes one line a request in combined format; nil writes none.
	AccessLog *AccessLog
	// Hosts are the Host names answered to, without port; empty means all.
	Hosts []string
	// MaxBody is the largest request body in bytes; 0 means no limit.
	MaxBody int64
	// Hold is how long a request waits while the app has no instance ready.
	// 0 answers 503 at once.
	Hold time.Duration
	// Queue says how many requests the app gets at a time.
	Queue QueueConfig
	// MinRate is the least rate, in bytes a second, at which a client must send
	// a body and take an answer, after a minute's patience; 0 means any.
	MinRate int64
	// BodyDir is where request bodies are put that are too large for memory, a
	// folder of our own: those that may have to be sent again, and with
	// HoldBodies all, which then go to the app when they are complete. Empty puts
	// none there, and holds none.
	BodyDir    string
	HoldBodies bool
	// SecurePort is the port where HTTPS is spoken: requests that came without
	// it are sent there. 0 means that they are answered.
	SecurePort int
	// HSTS is the max-age of Strict-Transport-Security on answers over HTTPS
	// that have none; 0 means none.
	HSTS time.Duration
	// AllowDebugger lets requests for Werkzeug's interactive debugger pass.
	AllowDebugger bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Clients finds out who sent a request; a [clientip.Resolver].
type Clients interface {
	Resolve(r *http.Request) clientip.Identity
	// AppendChain adds the X-Forwarded-For to write.
	AppendChain(b []byte, r *http.Request, id *clientip.Identity) []byte
	// Warning is what to tell the operator, once, of a peer that can't be
	// banned because it may stand for many.
	Warning(peer netip.Addr) string
}

// Tables is where a Handler gets its route table.
type Tables interface {
	// Current returns the table in force, and whether the running app has
	// confirmed that it is complete.
	Current() (t *routes.Table, confirmed bool)
	// Learn adds a route that the app answered on though the table lacked
	// it. rule is Flask's own name for it, or a literal path.
	Learn(rule, method string)
}

// Handler is the proxy's http.Handler.
type Handler struct {
	Config
	reverse  *httputil.ReverseProxy
	events   *httputil.ReverseProxy // for those who ask for a stream of events
	hosts    map[string]bool
	ids      idSource
	warnings onceLog
	literals literals
	lanes    lanes
	welcomes welcomes
	told     told
	sessions *sessions
	lasting  lasting
	gate     *gate
	pages    pages
	tarpit   chan struct{}
	spool    *spool          // nil streams bodies
	kept     *nameless       // bodies to be sent again; nil keeps them in memory only
	ended    context.Context // has ended: asks without waiting
	held     atomic.Int32    // requests that wait for an instance
	// returning bounds those of them that an app without a queue gets at a time.
	returning returning
	// manner is how the app answers unknown paths.
	manner atomic.Int32
}

// New returns a Handler. It returns an error where c lacks something.
func New(c Config) (*Handler, error) {
	switch {
	case c.Clients == nil, c.Tables == nil, c.Engine == nil, c.App == nil, c.Metrics == nil:
		return nil, errors.New("proxy: Clients, Tables, Engine, App and Metrics are required")
	case c.Upstream == nil || c.Upstream.Host == "":
		return nil, errors.New("proxy: Upstream needs a host")
	case c.Upstream.Path != "" && c.Upstream.Path != "/":
		return nil, fmt.Errorf("proxy: upstream %s: a path is not supported; mount the app with --prefix instead", c.Upstream)
	}
	c.Upstream = withPort(c.Upstream)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &Handler{
		Config:   c,
		hosts:    hostSet(c.Hosts),
		ids:      newIDSource(),
		sessions: newSessions(),
		gate:     newGate(c.Queue, c.Metrics, c.Now),
		warnings: onceLog{log: c.Log},
		tarpit:   make(chan struct{}, maxTarpits),
	}
	h.openBodies()
	var end context.CancelFunc
	h.ended, end = context.WithCancel(context.Background())
	end()
	h.lasting.handler = h
	if c.Queue.Slots == nil {
		h.returning = make(returning, maxReturning)
	}
	t := &transport{}
	h.reverse, h.events = newReverseProxy(h, &buffers, t), newReverseProxy(h, eventBuffers{}, t)
	return h, nil
}

// withPort names the port that a URL leaves to its scheme.
func withPort(u *url.URL) *url.URL {
	if u.Port() != "" {
		return u
	}
	with, port := *u, "80"
	if u.Scheme == "https" {
		port = "443"
	}
	with.Host = net.JoinHostPort(u.Hostname(), port)
	return &with
}

// openBodies prepares the folder for bodies.
func (h *Handler) openBodies() {
	if h.BodyDir == "" {
		return
	}
	h.kept = newNameless(h.BodyDir, maxKeptFiles, func(err error) {
		h.warnings.warn("kept", "a large request body can't be kept; were the app to die now, its request could not be sent again", "dir", h.BodyDir, "error", err)
	})
	if h.HoldBodies {
		h.spool = newSpool(h.BodyDir, func(err error) {
			h.warnings.warn("spool", "a request body can't be held; it is streamed to the app", "dir", h.BodyDir, "error", err)
		})
	}
}

// ServeHTTP is the way of one request: who asks, what for, may they, the
// app's answer. What the answer says of the client is observed as soon as its
// header is known, before the client sees it (see exchange.WriteHeader).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.begin(w, r)
	defer h.end(x)

	x.identity = h.Clients.Resolve(r)
	x.look(h, r)
	if !x.enter() {
		return // it left behind its own unknown paths, or they are too many
	}
	x.decision = h.Engine.Admit(x.start, ban.Request{
		Client: x.identity.Client,
		Addr:   x.identity.Addr,
		Known:  !x.lacking(),
		Route:  x.route(),
		Method: r.Method,
	})
	x.limited()
	switch {
	case x.decision.Refused():
		h.refuse(x)
	case !h.wait(x):
		// The client left while it was throttled.
	case x.ours():
		h.answer(x)
	default:
		h.forward(x)
	}
}

// begin starts the exchange: everything known of this request and its answer.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *exchange {
	h.Metrics.InFlight(1)
	x := &exchange{
		Context: r.Context(),
		handler: h,
		writer:  w,
		request: r,
		start:   h.Now(),
		chunked: len(r.TransferEncoding) > 0,
	}
	x.pace()
	return x
}

// parted ends the request's stay with the app, unless it goes on as a tunnel.
func (h *Handler) parted(x *exchange) {
	if x.tunnel == nil {
		h.part(x)
	}
}

func (h *Handler) part(x *exchange) {
	h.App.Leave(&x.flight)
	h.gate.release(&x.slot)
}

// end is the end of the exchange, also when the answer broke off. A tunnel goes
// on, and ends it later.
func (h *Handler) end(x *exchange) {
	if x.tunnel != nil {
		x.tunnel.start()
		return
	}
	h.finish(x)
	x.pressEnd()
}

// finish judges the exchange if nothing was answered, counts it and logs it.
func (h *Handler) finish(x *exchange) {
	h.observe(x)
	h.Engine.Done(x.decision)
	x.leave()
	x.giveWay()
	h.Metrics.InFlight(-1)
	elapsed := h.Now().Sub(x.start)
	h.count(x, elapsed)
	if h.AccessLog != nil {
		h.AccessLog.write(x)
	}
}

// wait spends a throttle's delay. It reports whether the client is still
// there.
func (h *Handler) wait(x *exchange) bool {
	if x.decision.Wait <= 0 {
		return true
	}
	x.waited = true
	timer := time.NewTimer(x.decision.Wait)
	defer timer.Stop()
	left := false
	select {
	case <-timer.C:
	case <-x.Done():
		left = true
		x.status = statusClientClosed
	}
	h.Engine.Waited(h.Now(), x.decision, left)
	return !left
}

// forward hands the request to the app and its answer to the client.
func (h *Handler) forward(x *exchange) {
	done, ok := h.receive(x)
	if !ok {
		return
	}
	defer done()
	if !h.ready(x) || !h.gate.acquire(x) {
		return
	}
	if x.left() {
		x.status = statusClientClosed
		h.gate.release(&x.slot)
		return
	}
	h.enter(x)
	defer h.parted(x)
	x.asked = true
	x.paced.duplex()
	sent := h.Now()
	defer x.unfollow()
	x.sent = *x.request.WithContext(x)
	if x.flight.Streams {
		h.events.ServeHTTP(x, &x.sent)
	} else {
		h.reverse.ServeHTTP(x, &x.sent)
	}
	x.upstream = h.Now().Sub(sent)
}

// receive bounds the request's body, and holds it until it is complete where
// that is wanted. ok is false where the client has been answered.
func (h *Handler) receive(x *exchange) (done func(), ok bool) {
	r := x.request
	if h.MaxBody > 0 {
		if r.ContentLength > h.MaxBody {
			h.bodyFailed(x, &http.MaxBytesError{Limit: h.MaxBody})
			return nil, false
		}
		r.Body = http.MaxBytesReader(x, r.Body, h.MaxBody)
	}
	if h.spool == nil || !hasBody(r) {
		return func() {}, true
	}
	release, err := h.spool.hold(r)
	if err != nil {
		h.bodyFailed(x, err)
		return nil, false
	}
	return func() { release() }, true
}

// bodyFailed answers where a client's body can't be taken.
func (h *Handler) bodyFailed(x *exchange, err error) {
	var tooLarge *http.MaxBytesError
	status := http.StatusBadRequest
	switch {
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		status = http.StatusRequestTimeout
	case x.Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		x.status = statusClientClosed
		return
	}
	x.failed = true
	x.Header().Set("Connection", "close") // the rest of the body may still come
	x.page(status, pageData{Title: bodyTitles[status]})
}

// bodyTitles say what is wrong with a body.
var bodyTitles = map[int]string{
	http.StatusBadRequest:            "The request's body is malformed or incomplete",
	http.StatusRequestEntityTooLarge: "Request too large",
	http.StatusRequestTimeout:        "The request's body comes too slowly",
}
