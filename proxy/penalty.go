package proxy

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// penalties serves what a refused request gets, by the penalty's name. The
// next penalty is one function and one line here.
var penalties = map[ban.Penalty]func(*Handler, *exchange){
	ban.Reject:  (*Handler).reject,
	ban.TooMany: (*Handler).tooMany,
	ban.Drop:    (*Handler).drop,
	ban.Tarpit:  (*Handler).tarry,
}

// Bounds of the tarpit: a refused client waits, at the price of one goroutine
// and its connection.
const (
	maxTarpits = 1000
	tarpitTime = 20 * time.Second
)

func (h *Handler) refuse(x *exchange) {
	d := x.decision
	h.Metrics.Refused(string(d.Penalty), d.Rule)
	if d.Banned != nil {
		h.banned(x, d.Banned)
	}
	serve, ok := penalties[d.Penalty]
	if !ok {
		serve = (*Handler).reject
	}
	serve(h, x)
}

// reject says why and until when, until the client has been told.
func (h *Handler) reject(x *exchange) {
	d := x.decision
	x.retryAfter(d.RetryAfter)
	if x.identity.Direct {
		// A trusted proxy's connection carries others' requests too.
		x.Header()["Connection"] = closeValue
	}
	h.tell(x)
	if d.Refusals > ban.Explained {
		x.WriteHeader(http.StatusForbidden)
		return
	}
	x.page(http.StatusForbidden, pageData{
		Title:  "Access refused",
		Text:   "Requests from your network address looked like an attack, so it is blocked for a while.",
		Reason: d.Reason,
		Until:  d.Until,
		Client: x.identity.Addr.String(),
	})
}

// closeValue is a header's value that all answers share.
var closeValue = []string{"close"}

// tooMany is RFC 6585 section 4.
func (h *Handler) tooMany(x *exchange) {
	x.retryAfter(x.decision.RetryAfter)
	x.page(http.StatusTooManyRequests, pageData{
		Title:  "Too many requests",
		Text:   "Please slow down and try again in a moment.",
		Reason: x.decision.Reason,
	})
}

// drop closes the connection without an answer, as nginx's 444.
func (h *Handler) drop(x *exchange) {
	x.status = statusNoResponse
	panic(http.ErrAbortHandler)
}

// statusNoResponse is nginx's status for a connection closed without an
// answer; it only appears in metrics and logs.
const statusNoResponse = 444

// tarry holds the client for a while before it rejects. When too many are
// held already, it rejects at once.
func (h *Handler) tarry(x *exchange) {
	select {
	case h.tarpit <- struct{}{}:
		defer func() { <-h.tarpit }()
		timer := time.NewTimer(tarpitTime)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-x.Done():
		}
	default:
	}
	h.reject(x)
}

// retryAfter writes the header in whole seconds, at least 1 (RFC 9110
// 10.2.3).
func (x *exchange) retryAfter(d time.Duration) {
	x.retry[0] = strconv.FormatInt(wholeSeconds(d), 10)
	x.Header()["Retry-After"] = x.retry[:]
}

// banned acts on a new ban: it must outlive a crash of ours before anyone
// learns of it.
func (h *Handler) banned(x *exchange, b *ban.Ban) {
	h.Metrics.Banned(b.Rule)
	h.Log.Warn("banned",
		"client", b.Client, "rule", b.Rule, "reason", b.Reason, "count", b.Count,
		"until", b.Until.UTC().Format(time.RFC3339))
	ctx, cancel := contextWithTimeout(x.Context, flushTime)
	defer cancel()
	if err := h.Engine.Flush(ctx); err != nil && !errors.Is(err, ban.ErrAway) {
		h.warnings.warn("flush", "a ban could not be saved yet; it holds until this process ends", "error", err)
	}
}

// flushTime bounds how long an answer waits for the store.
const flushTime = 250 * time.Millisecond
