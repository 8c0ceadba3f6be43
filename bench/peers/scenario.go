package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"
)

// scenario is one kind of load. A peer without its front is left out.
type scenario struct {
	name  string
	title string
	about string
	front front
	drive driver
	// withApp counts the CPU of the Flask app too.
	withApp bool
	// prepare is done once for each peer, before the rounds.
	prepare func(context.Context, entrance) error
}

// scenarios are all of them, in the order of the report; the next is one entry.
var scenarios = []scenario{
	{name: "forward", title: "Forward, kept connections", front: toStatic,
		about: "`GET /`, 14 bytes, wrk with 64 connections, static upstream.",
		drive: wrk("http", "/")},
	{name: "forward-close", title: "Forward, one connection a request", front: toStatic,
		about: "The same with `Connection: close` from the client; connections to the upstream are kept.",
		drive: wrk("http", "/", "Connection: close")},
	{name: "forward-flask", title: "Forward to Flask", front: toFlask,
		about: "`GET /user/alice` of the Flask app under gunicorn (gthread, 2 × 4 threads). CPU of the proxy alone. flask2ban has started gunicorn itself, with its hook in it. All of it runs in one session, for Linux may share the processor by session (sched(7), autogroup).",
		drive: wrk("http", "/user/alice")},
	{name: "refuse", title: "Refused in HTTP, kept connections", front: toStatic,
		about: "A denied client asks again and again: nginx `deny`, HAProxy `http-request deny`, Caddy `respond 403`, flask2ban `bans add` (client named by a trusted proxy).",
		drive: ownLoad(func(trip) load {
			return load{sources: sources{one: refusedSource, n: 1}, requests: []string{refusedRequest}}
		}, http.StatusForbidden)},
	{name: "refuse-close", title: "Refused in HTTP, one connection a request", front: toStatic,
		about: "The same, each request on a new connection.",
		drive: ownLoad(func(trip) load {
			return load{sources: sources{one: refusedSource, n: 1}, requests: []string{refusedRequestClose}}
		}, http.StatusForbidden)},
	{name: "accept", title: "Refused at accept", front: atAccept,
		about: "A refused peer connects: HAProxy `tcp-request connection reject`, flask2ban a banned peer that has been told. A request here is one connection.",
		drive: ownLoad(func(trip) load {
			return load{sources: sources{one: rejectedSource, n: 1}}
		}, refusedAnswer)},
	{name: "probe", title: "404 for a suspect's unknown path, kept connections", front: toFlask, withApp: true,
		about:   "4,000 clients that asked for three unknown paths before ask for two of them 4 times more, each over one connection (a suspect that goes on is throttled to one unknown path a second). CPU of proxy and app: flask2ban answers itself, the others ask Flask.",
		prepare: makeSuspects(suspects),
		drive:   ownLoad(probing(suspects), http.StatusNotFound)},
	{name: "probe-close", title: "404 for a suspect's unknown path, one connection a request", front: toFlask, withApp: true,
		about:   "The same, each request on a new connection.",
		prepare: makeSuspects(moreSuspects),
		drive:   ownLoad(probing(moreSuspects, "Connection: close"), http.StatusNotFound)},
	{name: "scan", title: "A scan: 20 unknown paths from each new client", front: toFlask, withApp: true,
		about: "Every client is new and asks for 20 different unknown paths, whatever it gets. CPU of proxy and app, all that flask2ban does included: forwarding the first ones, judging, saving the ban.",
		drive: ownLoad(func(t trip) load {
			return load{sources: sources{net: byte(100 + t.round), n: 250 * perSubnet}, once: true, perSource: len(scanRequests), requests: scanRequests}
		}, http.StatusNotFound, http.StatusForbidden, http.StatusTooManyRequests, refusedAnswer)},
	{name: "down", title: "1 MB down", front: toStatic,
		about: "`GET /big`, 1 MiB from the static upstream.",
		drive: wrk("http", "/big")},
	{name: "up", title: "1 MB up", front: toStatic,
		about: "`POST /upload` with a body of 1 MiB.",
		drive: ownLoad(func(trip) load {
			return load{sources: sources{net: 3, n: 1}, requests: []string{uploadRequest}, body: uploadBody}
		}, http.StatusOK)},
	{name: "tls", title: "Forward over TLS, kept connections", front: overTLS,
		about: "As forward, over HTTPS with an ECDSA P-256 certificate.",
		drive: wrk("https", "/")},
	{name: "h2c", title: "Forward over HTTP/2 without TLS", front: overH2C,
		about: "`GET /`, h2load with 16 connections of 4 streams.",
		drive: h2load("/")},
}

// What is sent.
var (
	refusedRequest      = request("GET", "/", "User-Agent: bench", "X-Forwarded-For: "+refusedClient)
	refusedRequestClose = request("GET", "/", "User-Agent: bench", "X-Forwarded-For: "+refusedClient, "Connection: close")
	uploadRequest       = request("POST", "/upload", "User-Agent: bench", fmt.Sprintf("Content-Length: %d", bodySize))
	uploadBody          = bytes.Repeat([]byte("x"), bodySize)
	scanRequests        = makeScan(20)

	suspects     = sources{net: 20, n: 4000}
	moreSuspects = sources{net: 40, n: 4000}
)

// probing is each suspect's four requests for unknown paths.
func probing(from sources, headers ...string) func(trip) load {
	headers = append([]string{"User-Agent: bench"}, headers...)
	paths := []string{request("GET", "/unknown/one", headers...), request("GET", "/unknown/two", headers...)}
	return func(trip) load { return load{sources: from, once: true, perSource: 4, requests: paths} }
}

// suspectTime bounds how long the making of suspects may take; suspectRest is
// what their throttle takes to fill (ban.Config.SuspectUnknown).
const (
	suspectTime = 2 * time.Minute
	suspectRest = 5 * time.Second
)

func makeScan(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = request("GET", fmt.Sprintf("/scan/%d/index.aspx", i), "User-Agent: bench")
	}
	return list
}
