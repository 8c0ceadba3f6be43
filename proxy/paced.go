package proxy

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// pacedBody is a request's body. It knows why it failed, and its sender must
// keep up: it has a minute's patience, which waiting uses up and bytes give back at the least rate. So a
// slow upload goes on for hours, and a trickle ends. There is no bound on the
// whole: that is what cuts honest uploads.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	rate    int64         // bytes a second; 0 means any
	left    time.Duration // patience
	timer   bool          // a deadline ends the body also between two reads: HTTP/2

	reads  sync.Mutex // held within a Read
	mu     sync.Mutex
	ended  bool  // the connection may be the next request's
	whole  bool  // it was read to its end
	failed error // what a Read failed with
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	b.reads.Lock()
	defer b.reads.Unlock()
	began := time.Now()
	if !b.deadline(began.Add(b.left)) {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil || b.timer {
		b.deadline(time.Time{}) // net/http goes on to wait for the client to leave
	}
	if err != nil {
		b.mu.Lock()
		if b.whole = err == io.EOF; !b.whole {
			b.failed = err
		}
		b.mu.Unlock()
	}
	if b.rate > 0 {
		earned := time.Duration(n) * time.Second / time.Duration(b.rate)
		b.left = min(b.left-time.Since(began)+earned, patience)
	}
	return n, err
}

// failure is why the client's body could not be read; nil where it could.
func (b *pacedBody) failure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// unread says whether there is more of it.
func (b *pacedBody) unread() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.whole
}

// deadline bounds the reading; false once it is not ours any more.
func (b *pacedBody) deadline(t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended && b.rate > 0 {
		b.control.SetReadDeadline(t) // where it can't, IdleTimeout bounds the connection
	}
	return !b.ended
}

// duplex lets the answer begin before the body's end. Else net/http's server
// first reads what is left of it, up to 256 KiB, and takes that away from an app
// that answers while it reads.
func (b *pacedBody) duplex() {
	if b != nil {
		b.control.EnableFullDuplex() // where it can't, there is no connection
	}
}

// end leaves the connection alone from now on. Who still reads the body is
// stopped; net/http, which reads a part of the rest, gets as long as anybody.
func (b *pacedBody) end() {
	if b.unread() && !b.timer && b.control.SetReadDeadline(past) == nil {
		b.reads.Lock()
		defer b.reads.Unlock()
		b.control.SetReadDeadline(time.Time{})
		b.deadline(time.Now().Add(patience))
	}
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
}

// pace bounds how slowly a request's body may come.
func (x *exchange) pace() {
	if !hasBody(x.request) {
		return
	}
	x.paced = &pacedBody{
		ReadCloser: x.request.Body, control: http.NewResponseController(x.writer),
		rate: x.handler.MinRate, left: patience, timer: x.request.ProtoMajor >= 2,
	}
	x.request.Body = x.paced
	if !x.paced.timer {
		// net/http reads what nobody has read.
		x.paced.deadline(x.start.Add(patience))
	}
}

// pressWrite bounds how long a Write of n bytes to an HTTP/2 client may take:
// there a client can refuse to take a stream's bytes while its connection is
// fine. done is called when the Write has ended; from then on the writer is left
// alone, which net/http takes away from under us when the handler returns.
func (x *exchange) pressWrite(n int) (done func()) {
	limit := patience + time.Duration(n)*time.Second/time.Duration(x.handler.MinRate)
	var mu sync.Mutex
	ended := false
	timer := time.AfterFunc(limit, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			http.NewResponseController(x.writer).SetWriteDeadline(past)
		}
	})
	return func() {
		timer.Stop()
		mu.Lock()
		ended = true
		mu.Unlock()
	}
}

// pressEnd bounds how long the end of an answer over HTTP/2 may take, which
// net/http writes after us.
func (x *exchange) pressEnd() {
	if x.multiplexed() {
		http.NewResponseController(x.writer).SetWriteDeadline(time.Now().Add(patience))
	}
	if x.paced != nil {
		x.paced.end()
	}
}

// multiplexed says whether a slow client must be looked for here: over HTTP/1
// the crowd does it.
func (x *exchange) multiplexed() bool {
	return x.handler.MinRate > 0 && x.request.ProtoMajor >= 2
}
