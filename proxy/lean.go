package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// lean is a RoundTripper for requests over HTTP/1.1, to apps that speak TLS too.
//
// http.Transport hands each request to a writing and a reading goroutine of
// its connection and waits for them. With nothing to write after the header
// there is no need: lean writes and reads on the caller's goroutine, which
// costs a fifth less CPU (BenchmarkTransports). It sends no trailers and waits for
// no 100 Continue.
type lean struct {
	dialer  net.Dialer
	lingers lingers

	mu    sync.Mutex
	idle  []*leanConn // the last used is last, and used first
	sweep *time.Timer // closes those that were idle for too long; nil while none is kept
}

// Bounds of lean.
const (
	leanMaxIdle = 256
	// leanIdleTime is below gunicorn's default keep-alive of 2 s.
	leanIdleTime = 1500 * time.Millisecond
	// leanMaxHeader bounds an answer's header, in bytes.
	leanMaxHeader = 1 << 20
	leanDialTime  = 10 * time.Second
)

// errStale is a kept connection that the app had closed.
var errStale = errors.New("the app closed a kept connection")

// leanConn is one connection to the app.
type leanConn struct {
	net.Conn
	raw   syscall.RawConn
	r     *bufio.Reader
	w     *bufio.Writer
	limit io.LimitedReader // what r reads from
	addr  string           // where it leads
	since time.Time        // when it became idle
	used  bool             // it has carried an answer before
}

// hasBody says whether a request brings a body.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// RoundTrip implements http.RoundTripper. The request's body is not looked at.
// Where the app has closed a kept connection, one fresh connection is tried. A
// change of protocol begins with a fresh one.
func (l *lean) RoundTrip(r *http.Request) (*http.Response, error) {
	if c := l.taken(r); c != nil {
		res, err := l.exchange(c, r)
		if !errors.Is(err, errStale) || r.Context().Err() != nil {
			return res, err
		}
	}
	c, err := l.dial(r.Context(), r.URL)
	if err != nil {
		return nil, err
	}
	return l.exchange(c, r)
}

// taken takes a kept connection for r that is as quiet as it should be; nil if
// there is none. A change of protocol gets none, and none are kept over TLS.
func (l *lean) taken(r *http.Request) *leanConn {
	u := r.URL
	if u.Scheme == "https" || len(r.Header["Upgrade"]) > 0 {
		return nil
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.idle) - 1; i >= 0; i-- {
		c := l.idle[i]
		if c.addr != u.Host {
			continue
		}
		l.idle = slices.Delete(l.idle, i, i+1)
		if now.Sub(c.since) < leanIdleTime && c.quiet() {
			return c
		}
		c.Close() // never blocks: nothing is unsent
	}
	return nil
}

// quiet says that a kept connection is open and that the app has sent nothing
// on it since the last answer. Whatever it did send (the rest of an answer, a
// 408) must not become the answer to somebody else's request.
func (c *leanConn) quiet() bool {
	quiet := false
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}

func (l *lean) dial(ctx context.Context, u *url.URL) (*leanConn, error) {
	ctx, cancel := context.WithTimeout(ctx, leanDialTime)
	defer cancel()
	conn, err := dialApp(ctx, &l.dialer, u.Host)
	if err != nil {
		return nil, errUnsent{err}
	}
	c := &leanConn{Conn: conn, addr: u.Host}
	if c.raw, err = conn.(*net.TCPConn).SyscallConn(); err != nil {
		conn.Close()
		return nil, err
	}
	size := 4 << 10
	if u.Scheme == "https" {
		c.Conn, size = secured(conn, u), maxRecord
	}
	c.w = bufio.NewWriterSize(c.Conn, size)
	c.limit.R = c.Conn
	c.r = bufio.NewReaderSize(&c.limit, 4<<10)
	return c, nil
}

// keep puts a connection back.
func (l *lean) keep(c *leanConn) {
	c.since, c.used = time.Now(), true
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) >= leanMaxIdle {
		c.Close()
		return
	}
	l.idle = append(l.idle, c)
	if l.sweep == nil {
		l.sweep = time.AfterFunc(leanIdleTime, l.closeIdle)
	}
}

// closeIdle closes the connections that were idle for too long: the app may
// hold a worker for each.
func (l *lean) closeIdle() {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = slices.DeleteFunc(l.idle, func(c *leanConn) bool {
		old := now.Sub(c.since) >= leanIdleTime
		if old {
			c.Close()
		}
		return old
	})
	l.sweep = nil
	if len(l.idle) > 0 {
		l.sweep = time.AfterFunc(leanIdleTime/2, l.closeIdle)
	}
}

// CloseIdleConnections closes what is kept.
func (l *lean) CloseIdleConnections() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.idle {
		c.Close()
	}
	l.idle = nil
}

// past is a deadline that ends all reading and writing.
var past = time.Unix(1, 0)

// exchange sends r over c and reads the answer's header. c is closed or kept
// when the answer's body is.
func (l *lean) exchange(c *leanConn, r *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(r.Context(), func() { c.SetDeadline(past) })
	onConn(r, c)
	res, err := c.roundTrip(r)
	if err != nil {
		stop()
		if cause := r.Context().Err(); cause != nil {
			l.lingers.linger(r.Context(), c.Conn)
			return nil, cause
		}
		c.Close()
		return nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols && stop() {
		res.Body = c.changed()
		return res, nil
	}
	body := &leanBody{ReadCloser: res.Body, lean: l, conn: c, stop: stop, keep: !res.Close && !c.secure(), of: exchangeOf(r.Context())}
	res.Body = body.begin(res)
	return res, nil
}

// onConn tells the request's flight which connection it has.
func onConn(r *http.Request, c *leanConn) {
	if x := exchangeOf(r.Context()); x != nil {
		x.flight.On(c.Conn)
	}
}

// roundTrip writes the request and reads the answer's header.
func (c *leanConn) roundTrip(r *http.Request) (*http.Response, error) {
	if err := c.greet(); err != nil {
		return nil, err
	}
	if err := c.write(r); err != nil {
		return nil, c.stale(err)
	}
	return c.answer(r)
}

// answer reads headers until the final answer's.
func (c *leanConn) answer(r *http.Request) (*http.Response, error) {
	c.limit.N = leanMaxHeader
	if _, err := c.r.Peek(1); err != nil {
		return nil, c.stale(err)
	}
	for {
		res, err := http.ReadResponse(c.r, r)
		if err != nil {
			if c.limit.N == 0 {
				err = fmt.Errorf("the answer's header exceeds %d bytes", leanMaxHeader)
			}
			return nil, err
		}
		if res.StatusCode < 100 { // net/http's server panics at it
			return nil, fmt.Errorf("the app answered with status %q", res.Status)
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			c.limit.N = 1<<63 - 1
			return res, nil
		}
		if err := trace1xx(r.Context(), res); err != nil {
			return nil, err
		}
	}
}

// trace1xx passes an informational answer on, as http.Transport does.
func trace1xx(ctx context.Context, res *http.Response) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.Got1xxResponse == nil {
		return nil
	}
	return trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header))
}

// stale turns the first error on a used connection into errStale, but for a
// deadline's: that was ours, and the app is at the request.
func (c *leanConn) stale(err error) error {
	if c.used && !errors.Is(err, os.ErrDeadlineExceeded) {
		return errStale
	}
	return err
}

// leanExclude are headers that write sets itself or that have no place in a
// request without body.
var leanExclude = map[string]bool{"Host": true, "User-Agent": true, "Transfer-Encoding": true, "Content-Length": true, "Trailer": true}

// write sends a request without a body.
func (c *leanConn) write(r *http.Request) error {
	if err := c.writeHead(r); err != nil {
		return err
	}
	if c.secure() && len(r.Header["Upgrade"]) == 0 {
		c.w.WriteString("Connection: close\r\n")
	}
	c.w.WriteString("\r\n")
	return c.w.Flush()
}

// writeHead writes the request's header, without the line that ends it. The
// values come from net/http's server, which has checked them, or from us;
// Header.Write makes a line break in one a space all the same.
func (c *leanConn) writeHead(r *http.Request) error {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	c.w.WriteString(r.Method)
	c.w.WriteByte(' ')
	c.w.WriteString(r.URL.RequestURI())
	c.w.WriteString(" HTTP/1.1\r\nHost: ")
	c.w.WriteString(host)
	c.w.WriteString("\r\n")
	if agent := first(r.Header, "User-Agent"); agent != "" { // empty is how ReverseProxy says none
		c.w.WriteString("User-Agent: ")
		c.w.WriteString(agent)
		c.w.WriteString("\r\n")
	}
	return r.Header.WriteSubset(c.w, leanExclude)
}

// leanBody is an answer's body. Its end gives the connection back.
type leanBody struct {
	io.ReadCloser
	lean  *lean
	conn  *leanConn
	stop  func() bool
	keep  bool
	ended bool
	of    *exchange // whose slot is free at the end; nil for none
	once  sync.Once
}

// begin is the answer's body from here on.
func (b *leanBody) begin(res *http.Response) io.ReadCloser {
	b.ended = res.Body == http.NoBody
	if b.of != nil && !b.ended {
		b.of.stream = b
	}
	return b
}

// Read implements io.Reader.
func (b *leanBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended = true
		b.release()
	}
	return n, err
}

// Close implements io.Closer.
func (b *leanBody) Close() error {
	b.release()
	return nil
}

func (b *leanBody) release() {
	b.once.Do(func() {
		if b.ended && b.of != nil {
			b.of.handler.gate.release(&b.of.slot)
		}
		if b.stop() && b.ended && b.keep && b.conn.r.Buffered() == 0 {
			b.lean.keep(b.conn)
			return
		}
		b.conn.Close()
	})
}

// cut ends the body from another goroutine, unless it has ended.
func (b *leanBody) cut() {
	b.once.Do(func() {
		b.stop()
		b.conn.abort()
	})
}
