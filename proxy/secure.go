package proxy

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// redirect sends a request that came over HTTP to the same address over HTTPS.
// 308 keeps the method, so that a form's data is not lost (RFC 9110 15.4.9).
func (h *Handler) redirect(x *exchange) {
	h.suspectCircle(x)
	host := routes.BareHost(x.identity.Host)
	if host == "" { // HTTP/1.0 without Host
		x.page(http.StatusBadRequest, pageData{Title: "Bad request", Text: "The request names no host."})
		return
	}
	authority := net.JoinHostPort(host, strconv.Itoa(h.SecurePort))
	if h.SecurePort == 443 || mapped(x.request) {
		authority = strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	target := x.request.URL.RequestURI()
	if path := x.request.RequestURI; strings.HasPrefix(path, "/") {
		target = path // as it was sent
	}
	x.Header().Set("Location", "https://"+authority+target)
	x.page(http.StatusPermanentRedirect, pageData{Title: "Moved to HTTPS"})
}

// suspectCircle tells the operator of an undeclared proxy in front that ends TLS:
// what came to it by HTTPS comes to us by HTTP, and is sent to HTTPS again, without
// end. Only of peers that may be one: anybody can write the header.
func (h *Handler) suspectCircle(x *exchange) {
	peer := x.identity.Peer
	if !x.identity.Direct || !strings.EqualFold(first(x.request.Header, "X-Forwarded-Proto"), "https") {
		return
	}
	remedy := "--trusted-proxy " + peer.String()
	if !peer.IsLoopback() && !peer.IsPrivate() {
		if remedy = h.Clients.Warning(peer); remedy == "" {
			return
		}
	}
	h.warnings.warn("circle:"+peer.String(), "a proxy in front seems to end TLS; until it is declared, its clients are sent to HTTPS again and again",
		"peer", peer, "remedy", remedy)
}

// mapped says whether the client asked for another port than the one that we
// listen on, as through a container's port mapping: ours then means nothing to
// it, and HTTPS is most likely at its usual one.
func mapped(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	asked := 80
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		asked, _ = strconv.Atoi(port)
	}
	return local != nil && local.Port != asked
}

// secureOnly adds Strict-Transport-Security (RFC 6797) where the client came
// over HTTPS and the app has not decided itself. Over HTTP it must not be sent.
func (x *exchange) secureOnly() {
	header := x.writer.Header()
	if x.identity.Scheme == "https" && len(header["Strict-Transport-Security"]) == 0 {
		age := int64(x.handler.HSTS / time.Second)
		header["Strict-Transport-Security"] = []string{"max-age=" + strconv.FormatInt(age, 10)}
	}
}
