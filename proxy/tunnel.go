package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// tunnel is a connection that has changed its protocol, such as a WebSocket:
// bytes pass both ways and mean nothing to us.
//
// The ReverseProxy would hold for each, as long as it lasts, the request's
// goroutine with net/http's buffers, three more goroutines and two buffers of
// 32 KiB. Most WebSockets are silent most of the time; so a tunnel outlives its
// request's handler, and has a buffer only while there are bytes.
type tunnel struct {
	x     *exchange
	user  net.Conn
	app   io.ReadWriteCloser
	early []byte       // what came from the client with its request
	since time.Time    // when it began
	open  atomic.Int32 // directions in which bytes may pass
}

// errTunnelled is how modify tells upstreamError that the answer has been taken
// from the ReverseProxy.
var errTunnelled = errors.New("the connection has changed its protocol")

// change takes a connection over whose protocol the app has changed. It returns
// errTunnelled, or why the client can't have it.
func (x *exchange) change(res *http.Response) error {
	asked, got := first(res.Request.Header, "Upgrade"), first(res.Header, "Upgrade")
	if asked == "" || !strings.EqualFold(asked, got) || !headerHasToken(res.Header["Connection"], "upgrade") {
		return fmt.Errorf("the app has changed to protocol %q where %q was asked for", got, asked)
	}
	app, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return fmt.Errorf("the app has changed to protocol %q in an answer to %s", got, x.request.Method)
	}
	user, buf, err := http.NewResponseController(x.writer).Hijack()
	if err != nil {
		return fmt.Errorf("change of protocol: %w", err)
	}
	res.Body = nil // only the header is written; nobody else closes app
	x.switched()
	t := &tunnel{x: x, user: user, app: app, since: x.handler.Now()}
	t.open.Store(2)
	err = errors.Join(res.Write(buf), buf.Flush())
	if n := buf.Reader.Buffered(); n > 0 {
		t.early = make([]byte, n)
		io.ReadFull(buf, t.early)
	}
	res.Body = http.NoBody
	if err != nil {
		t.close()
	}
	x.tunnel = t
	return errTunnelled
}

// switched notes the answer, as WriteHeader does of others.
func (x *exchange) switched() {
	x.status = http.StatusSwitchingProtocols
	x.answering(x.status)
	x.flight.Answered()
	x.handler.observe(x)
}

// start lets the bytes pass, once the request's handler is done with x.
func (t *tunnel) start() {
	x := t.x
	x.slim()
	x.handler.lasting.add(x, lastingConn(t.user))
	go t.toApp()
	go t.toUser()
}

// slim leaves of the exchange what its end needs. The rest would hold net/http's
// buffers and contexts, and the whole header.
func (x *exchange) slim() {
	r := x.request
	header := http.Header{}
	for _, name := range loggedHeaders {
		if v := first(r.Header, name); v != "" {
			header[name] = []string{strings.Clone(v)}
		}
	}
	x.sent = http.Request{Method: r.Method, RequestURI: strings.Clone(r.RequestURI), Proto: r.Proto, Header: header}
	x.Context, x.writer, x.request = context.Background(), nil, &x.sent
}

func (t *tunnel) toApp() {
	_, err := pass(t.app, newSource(t.user, t.early))
	if err == nil {
		err = closeWrite(t.app)
	}
	t.ended(err)
}

func (t *tunnel) toUser() {
	var early []byte
	if c, ok := t.app.(*changedConn); ok {
		early, c.early = c.early, nil
	}
	n, err := pass(t.user, newSource(t.app, early))
	t.x.bytes += n
	if err == nil {
		err = closeWrite(t.user)
		_ = t.user.SetReadDeadline(time.Now().Add(patience)) // the app is gone, mostly
	}
	t.ended(err)
}

// ended is called by each direction. An error ends the other one too, and the
// last one ends the exchange.
func (t *tunnel) ended(err error) {
	last := t.open.Add(-1) == 0
	if err != nil || last {
		t.close()
	}
	if !last {
		return
	}
	x := t.x
	x.upstream += x.handler.Now().Sub(t.since)
	x.unfollow()
	x.handler.part(x)
	x.handler.finish(x)
}

func (t *tunnel) close() {
	t.app.Close()
	t.user.Close()
}

// pass sends on what from brings until its end, and says how much that was.
func pass(to io.Writer, from *source) (sent int64, err error) {
	for {
		b, err := from.next()
		if len(b) > 0 {
			n, werr := to.Write(b)
			sent += int64(n)
			from.done()
			if werr != nil {
				return sent, werr
			}
		}
		switch {
		case err == io.EOF:
			return sent, nil
		case err != nil:
			return sent, err
		}
	}
}

// source is one end of a tunnel, to read from. While it waits it holds no
// buffer where it can wait for the socket itself, else a small one: TLS has
// read more than it has given, and does not say so.
type source struct {
	r     io.Reader
	raw   syscall.RawConn // nil where only r can be read
	early []byte          // comes first
	buf   []byte          // lent by buffers; nil for none
	small []byte          // without raw; what is longer is read into a large one
	more  bool            // without raw: there may be more than small holds

	try func(fd uintptr) bool // s.read, made once
	n   int                   // its result
	err error
}

// smallBuffer holds most messages, in bytes.
const smallBuffer = 512

func newSource(r io.Reader, early []byte) *source {
	s := &source{r: r, raw: rawOf(r), early: early}
	if s.raw == nil {
		s.small = make([]byte, smallBuffer)
	} else {
		s.try = s.read
	}
	return s
}

// next waits for bytes. They are good until done.
func (s *source) next() ([]byte, error) {
	switch {
	case len(s.early) > 0:
		b := s.early
		s.early = nil
		return b, nil
	case s.raw != nil:
		if err := s.raw.Read(s.try); err != nil {
			return nil, err
		}
		if s.err != nil || s.n == 0 {
			s.done()
			return nil, orDefault(s.err, io.EOF)
		}
		return s.buf[:s.n], nil
	case !s.more:
		n, err := s.r.Read(s.small)
		s.more = n == len(s.small)
		return s.small[:n], err
	}
	s.buf = buffers.Get()
	n, err := s.r.Read(s.buf)
	s.more = n == len(s.buf)
	return s.buf[:n], err
}

// read reads what there is, into a buffer that it takes. It returns false to be
// called again when there is something.
func (s *source) read(fd uintptr) bool {
	s.buf = buffers.Get()
	for {
		s.n, s.err = syscall.Read(int(fd), s.buf)
		if s.err != syscall.EINTR {
			break
		}
	}
	if s.err == syscall.EAGAIN {
		s.done()
		return false
	}
	return true
}

// done gives the buffer back.
func (s *source) done() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf = nil
	}
}

// changedConn is the connection to an app that has changed its protocol: the
// body of an answer that can be written to.
type changedConn struct {
	net.Conn
	early []byte // what came with the answer's header
}

// changed is the connection without its buffers.
func (c *leanConn) changed() *changedConn {
	early, _ := c.r.Peek(c.r.Buffered())
	return &changedConn{Conn: c.Conn, early: bytes.Clone(early)}
}

// Read implements net.Conn.
func (c *changedConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// under is the connection below one of ours; nil for none.
func under(c any) any {
	switch c := c.(type) {
	case *crowdConn:
		return c.Conn
	case *headedConn:
		return c.Conn
	case *changedConn:
		return c.Conn
	}
	return nil
}

// rawOf is the socket below a connection whose bytes are read as they are; nil
// where there is none.
func rawOf(c any) syscall.RawConn {
	for ; c != nil; c = under(c) {
		if h, ok := c.(*headedConn); ok && h.reader != nil {
			return nil // it may hold bytes
		}
		if socket, ok := c.(syscall.Conn); ok {
			if raw, err := socket.SyscallConn(); err == nil {
				return raw
			}
		}
	}
	return nil
}

// closeWrite half-closes a connection that can be.
func closeWrite(c any) error {
	for ; c != nil; c = under(c) {
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			return half.CloseWrite()
		}
	}
	return errors.ErrUnsupported
}
