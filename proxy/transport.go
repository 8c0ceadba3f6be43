package proxy

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// transport sends requests to the app. Requests that can safely be sent again
// share kept connections, and are sent again when the app dies before it
// answers; the rest get a connection of their own, so that none meets one that
// the app closes at that moment, and are sent again only where the app has
// provably not begun.
type transport struct {
	lean   lean
	poison poison       // routes that have ended the app
	weary  poison       // routes that an app of others did not answer
	kept   atomic.Int64 // bytes of bodies that are kept for a second try
}

// RoundTrip sends r, and sends it again where nothing of an answer came and it
// may be; see again. Our listening socket outlives the app, so the second try
// waits in the kernel's queue until the app is back.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if x := exchangeOf(r.Context()); x != nil && t.poison.has(x.culprit()) {
		return nil, errPoison
	}
	if hasBody(r) {
		var body *keptBody
		r, body = t.keep(r)
		defer body.done(true)
	}
	for try := 0; ; try++ {
		res, err := t.send(r)
		if err == nil || try >= maxResend {
			return res, err
		}
		next, again := t.again(r, err, try)
		if !again {
			return nil, err
		}
		r = next
	}
}

// send tries once.
func (t *transport) send(r *http.Request) (*http.Response, error) {
	if hasBody(r) || !idempotent[r.Method] {
		return t.lean.upload(r)
	}
	return prefetch(t.lean.RoundTrip(r))
}

// maxPrefetch is the largest body that is read before its header is passed on,
// in bytes: most pages and API answers.
const maxPrefetch = 16 << 10

// prefetch reads a small body of known length, so that an app that dies
// between an answer's header and its body has not answered yet.
func prefetch(res *http.Response, err error) (*http.Response, error) {
	if err != nil || res.ContentLength <= 0 || res.ContentLength > maxPrefetch || res.Request.Method == http.MethodHead {
		return res, err
	}
	body := &prefetched{buf: prefetchPool.Get().(*[maxPrefetch]byte)}
	body.left = body.buf[:res.ContentLength]
	_, err = io.ReadFull(res.Body, body.left)
	res.Body.Close()
	if err != nil {
		body.Close()
		return nil, err
	}
	res.Body = body
	return res, nil
}

var prefetchPool = sync.Pool{New: func() any { return new([maxPrefetch]byte) }}

// prefetched is a body in memory.
type prefetched struct {
	buf  *[maxPrefetch]byte
	left []byte
}

// Read implements io.Reader.
func (b *prefetched) Read(p []byte) (int, error) {
	n := copy(p, b.left)
	b.left = b.left[n:]
	if len(b.left) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (b *prefetched) Close() error {
	if b.buf != nil {
		prefetchPool.Put(b.buf)
		b.buf, b.left = nil, nil
	}
	return nil
}

// idempotent are the methods that may be sent again (RFC 9110 9.2.2); of
// those that change something, a view may not keep the promise.
var idempotent = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true,
}

// poison remembers culprits for poisonTime. The zero value is empty.
type poison struct {
	any   atomic.Int64 // how many are remembered
	mu    sync.Mutex
	until map[string]time.Time
}

// The bounds of poison.
const (
	// poisonTime is how long a culprit stays poison.
	poisonTime = 10 * time.Minute
	// maxPoison is how many there may be: each has cost the app two processes.
	maxPoison = 1000
)

func (p *poison) has(culprit string) bool {
	if p.any.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until[culprit])
}

func (p *poison) add(culprit string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.until, func(_ string, until time.Time) bool { return now.After(until) })
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	if len(p.until) < maxPoison {
		p.until[strings.Clone(culprit)] = now.Add(poisonTime)
	}
	p.any.Store(int64(len(p.until)))
}

// buffers are what bodies, and tunnels' bytes, are copied with.
var buffers bufferPool

// bufferPool lends buffers of bufferSize.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, bufferSize)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[bufferSize]byte)(b)) }

// eventBuffers are for streams of events. Each holds its buffer to its end, and
// one that was lent before is memory in use, even where only a line is in it.
type eventBuffers struct{}

// eventBuffer holds most events, in bytes.
const eventBuffer = 2 << 10

func (eventBuffers) Get() []byte { return make([]byte, eventBuffer) }

func (eventBuffers) Put([]byte) {}
