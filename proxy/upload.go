package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"
)

// lateAnswer is how long an answer is awaited after the app has stopped
// reading.
const lateAnswer = time.Second

// errUpload wraps an error of the client's side while its body was read.
type errUpload struct{ error }

// Unwrap gives the client's error.
func (e errUpload) Unwrap() error { return e.error }

// upload sends a request with a body, or one that must not run twice, over a
// connection of its own, writing on one goroutine and reading on this one. An app may
// answer an upload without reading it (no permission, too large) and close;
// http.Transport then reports that writing failed, and the answer that is
// already there is lost.
func (l *lean) upload(r *http.Request) (*http.Response, error) {
	c, err := l.dial(r.Context(), r.URL)
	if err != nil {
		return nil, err
	}
	onConn(r, c)
	stop := context.AfterFunc(r.Context(), func() { c.SetDeadline(past) })
	res, err := c.exchangeUpload(r)
	if err != nil {
		stop()
		if cause := r.Context().Err(); cause != nil {
			l.lingers.linger(r.Context(), c.Conn)
			return nil, errors.Join(cause, err)
		}
		c.Close()
		return nil, err
	}
	body := &leanBody{ReadCloser: res.Body, lean: l, conn: c, stop: stop, of: exchangeOf(r.Context())}
	res.Body = body.begin(res)
	return res, nil
}

// exchangeUpload sends the request and reads the answer's header.
func (c *leanConn) exchangeUpload(r *http.Request) (*http.Response, error) {
	if err := c.greet(); err != nil {
		return nil, err
	}
	kept, isKept := r.Body.(*keptBody)
	if isKept {
		kept.take()
	}
	sent := make(chan error, 1)
	go func() {
		err := c.sendUpload(r)
		if isKept {
			kept.done(false)
		}
		sent <- err
	}()
	res, err := c.answer(r)
	if err != nil {
		return nil, c.uploadError(<-sent, err)
	}
	return res, nil
}

// uploadError is why there was no answer: the client's fault before the app's.
func (c *leanConn) uploadError(sent, read error) error {
	var client errUpload
	if errors.As(sent, &client) {
		return client.error
	}
	return errors.Join(read, sent)
}

// sendUpload writes header and body. When the app stops reading, its answer
// gets a moment to be read; when the client fails, there is none to wait for.
func (c *leanConn) sendUpload(r *http.Request) error {
	err := c.writeUpload(r)
	var client errUpload
	switch {
	case err == nil:
		uploaded(r)
	case errors.As(err, &client):
		c.SetDeadline(past)
	case err != nil:
		c.SetReadDeadline(time.Now().Add(lateAnswer))
	}
	return err
}

func (c *leanConn) writeUpload(r *http.Request) error {
	if err := c.writeHead(r); err != nil {
		return err
	}
	body := clientBody{Reader: r.Body, of: exchangeOf(r.Context())}
	if r.ContentLength >= 0 {
		if r.ContentLength > 0 || carriesBody[r.Method] {
			c.w.WriteString("Content-Length: " + strconv.FormatInt(r.ContentLength, 10) + "\r\n")
		}
		c.w.WriteString("Connection: close\r\n\r\n")
		if body.of != nil && len(body.of.request.Header["Expect"]) > 0 {
			c.w.Flush() // the app may answer before the body; CopyN reports an error again
		}
		if _, err := io.CopyN(c.w, body, r.ContentLength); err != nil {
			return err
		}
		return c.w.Flush()
	}
	c.w.WriteString("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
	if err := c.w.Flush(); err != nil { // the app may answer before the first part
		return err
	}
	chunks := httputil.NewChunkedWriter(flushing{c})
	if _, err := io.Copy(chunks, body); err != nil {
		return err
	}
	if err := chunks.Close(); err != nil {
		return err
	}
	c.w.WriteString("\r\n")
	return c.w.Flush()
}

// carriesBody are the methods whose requests say that their body is empty
// (RFC 9110 8.6).
var carriesBody = map[string]bool{http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true}

// flushing sends each part on at once: it may be an event.
type flushing struct{ c *leanConn }

// Write implements io.Writer.
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.c.w.Write(p)
	return n, errors.Join(err, f.c.w.Flush())
}

// clientBody marks the errors of reading the client's body, and the time that
// it takes.
type clientBody struct {
	io.Reader
	of *exchange
}

// Read implements io.Reader.
func (b clientBody) Read(p []byte) (int, error) {
	if b.of != nil {
		b.of.flight.AwaitsClient(true)
		defer b.of.flight.AwaitsClient(false)
	}
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = errUpload{err}
	}
	return n, err
}
