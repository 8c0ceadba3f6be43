package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// headedTimeout is how long a trusted peer may take to send its PROXY protocol
// header, and to begin with anything at all where it sends none.
const headedTimeout = 5 * time.Second

// errRefused ends a connection whose client has been told of its ban; net/http
// closes without an answer after an io.EOF.
var errRefused = io.EOF

// headed makes the addresses that trusted peers announce by HAProxy's PROXY
// protocol (versions 1 and 2) those of their connections. trusted says whom to
// believe; other peers' bytes are not looked at, so that a header of theirs is
// the malformed request that it is. A nil trusted believes nobody.
//
// It must stand outside of the refusal at accept, which judges the TCP peer:
// an announced client is refused here, after its header was read.
func headed(l net.Listener, trusted, refuse func(netip.Addr) bool, connect connectFunc) net.Listener {
	if trusted == nil {
		return l
	}
	return &headedListener{Listener: l, trusted: trusted, refuse: refuse, connect: connect, timeout: headedTimeout}
}

type headedListener struct {
	net.Listener
	trusted func(netip.Addr) bool
	refuse  func(netip.Addr) bool // nil refuses nobody
	connect connectFunc           // nil counts nothing
	timeout time.Duration
}

// Accept implements net.Listener. It does not wait for a header: the
// connection's own goroutine does.
func (l *headedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || !l.trusted(addrOf(conn.RemoteAddr())) {
		return conn, err
	}
	return &headedConn{Conn: conn, listener: l, reader: bufio.NewReaderSize(conn, headedBuffer), remote: conn.RemoteAddr()}, nil
}

// headedBuffer holds any version 1 header, which is read from it at once.
const headedBuffer = 256

// headedConn is a connection of a trusted peer: its address is that of the
// header, where there is one.
type headedConn struct {
	net.Conn
	listener *headedListener
	once     sync.Once
	reader   *bufio.Reader // what was read with the header; nil when used up
	remote   net.Addr
	err      error // why nothing of the connection can be used
	lease    lease // what rules count of it
}

// RemoteAddr implements net.Conn. The first call of it, or of Read or Write,
// waits for the header.
func (c *headedConn) RemoteAddr() net.Addr {
	c.once.Do(c.begin)
	return c.remote
}

// Read implements net.Conn.
func (c *headedConn) Read(p []byte) (int, error) {
	c.once.Do(c.begin)
	switch {
	case c.err != nil:
		return 0, c.err
	case c.reader == nil:
		return c.Conn.Read(p)
	case c.reader.Buffered() > 0:
		return c.reader.Read(p)
	}
	c.reader = nil
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *headedConn) Write(p []byte) (int, error) {
	c.once.Do(c.begin)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(p)
}

// begin reads the header and judges whom it names.
func (c *headedConn) begin() {
	c.err = c.readHeader()
	if c.err == nil {
		release, refused := take(addrOf(c.remote), c.listener.refuse, c.listener.connect)
		if refused {
			c.err = errRefused
		}
		c.lease.hold(release)
	}
	if c.err != nil {
		c.Conn.Close()
	}
}

// Close implements net.Conn.
func (c *headedConn) Close() error {
	c.lease.end()
	return c.Conn.Close()
}

// readHeader takes the header's address over. A connection without a header is
// its peer's own, such as a health check, or one that was opened ahead of
// time. One that is slow with half a header is nobody's.
func (c *headedConn) readHeader() error {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.listener.timeout)); err != nil {
		return err
	}
	_, err := c.reader.Peek(1)
	if idle := errors.Is(err, os.ErrDeadlineExceeded); !idle {
		header, err := proxyproto.Read(c.reader)
		if err != nil && !errors.Is(err, proxyproto.ErrNoProxyProtocol) {
			return fmt.Errorf("PROXY protocol header of %s: %w", c.remote, err)
		}
		c.remote = announced(header, c.remote)
	}
	return c.Conn.SetReadDeadline(time.Time{})
}

// announced is the client that a header names, else the peer: a LOCAL header
// is of the proxy's own connection, and Unix sockets' names say nothing of a
// client.
func announced(header *proxyproto.Header, peer net.Addr) net.Addr {
	if header == nil || header.Command.IsLocal() {
		return peer
	}
	if a := addrOf(header.SourceAddr); !a.IsValid() || a.IsUnspecified() {
		return peer
	}
	return header.SourceAddr
}

// addrOf is the IP address of a TCP or UDP address; the zero Addr of others.
func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
