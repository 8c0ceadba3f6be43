package proxy

import (
	"crypto/tls"
	"net"
	"net/url"
)

// An app may speak TLS itself (app.run(ssl_context="adhoc")), or a sidecar's
// upstream may. Requests go there over connections that are not kept: what an
// app sent unasked could wait, decrypted, where quiet does not see it.

// maxRecord is the most that one record of TLS holds (RFC 8446 5.1).
const maxRecord = 16 << 10

// appTLS is how we speak TLS to the app: an ad hoc certificate is for no name,
// and it is on this machine's loopback, or where --upstream says.
func appTLS(host string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: host}
}

func secured(conn net.Conn, u *url.URL) *tls.Conn { return tls.Client(conn, appTLS(u.Hostname())) }

func (c *leanConn) secure() bool {
	_, ok := c.Conn.(*tls.Conn)
	return ok
}

// greet is the handshake of TLS, before anything of a request is sent. It waits
// as long as the connection does in the app's accept queue: no time-out of ours
// but the request's own ends it.
func (c *leanConn) greet() error {
	conn, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := conn.Handshake(); err != nil {
		return errUnsent{err}
	}
	return nil
}

// abort closes the connection without a word: TLS's farewell may wait until the
// app takes it.
func (c *leanConn) abort() {
	if conn, ok := c.Conn.(*tls.Conn); ok {
		conn.NetConn().Close()
		return
	}
	c.Close()
}
