package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// net/http notices that a client has left once the request's body is read:
// only then it reads on. So a request whose body is still with the client, or in
// the kernel, may have waited for nobody.

// connKey finds the client's connection in a request's context.
type connKey struct{}

// withConn is http.Server's ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// left says whether the client of a request that has waited is known to have
// left, so that the app need not be asked.
func (x *exchange) left() bool {
	if !x.waited || x.request.ProtoMajor != 1 || !x.paced.unread() {
		return false
	}
	conn, _ := x.Context.Value(connKey{}).(net.Conn)
	return hasLeft(innermost(conn))
}

// hasLeft says whether the peer has closed the connection, or its sending side,
// which net/http takes for the same. Bytes that came before and that nobody has
// read yet don't hide it (poll(2), POLLRDHUP).
func hasLeft(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 0)
		gone = err == nil && n > 0
	})
	return err == nil && gone
}

// innermost is the connection that all that we put around it is for.
func innermost(conn net.Conn) net.Conn {
	for {
		switch outer := conn.(type) {
		case *tls.Conn:
			conn = outer.NetConn()
		case *headedConn:
			conn = outer.Conn
		case *crowdConn:
			conn = outer.Conn
		default:
			return conn
		}
	}
}
