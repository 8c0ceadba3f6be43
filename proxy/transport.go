package proxy

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// transport sends requests to the app. Requests that can safely be sent again
// share kept connections, and are sent again when the app dies before it
// answers; the rest get a connection of their own, so that none is lost to one
// that the app closes at that moment.
type transport struct {
	kept, fresh http.RoundTripper
	poison      poison
}

func newTransport() http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	kept := &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 256,
		// gunicorn keeps a connection for 2 s by default.
		IdleConnTimeout:       1500 * time.Millisecond,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
		// The app's certificate, where it makes one itself (adhoc), is
		// for a host that nobody asked for.
	}
	fresh := kept.Clone()
	fresh.DisableKeepAlives = true
	return &transport{kept: kept, fresh: fresh}
}

// RoundTrip sends r, and sends it again where nothing of an answer came. Our
// listening socket outlives the app, so the second try waits in the kernel's
// queue until the app is back.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !idempotent[r.Method] || r.Body != nil && r.Body != http.NoBody {
		return t.fresh.RoundTrip(r)
	}
	route := ""
	if x := exchangeOf(r.Context()); x != nil {
		route = x.label()
	}
	for try := 0; ; try++ {
		res, err := t.kept.RoundTrip(r)
		if err == nil || r.Context().Err() != nil || isUpgrade(r, "websocket") {
			return res, err
		}
		if try >= maxResend || t.poison.has(route) {
			return nil, err
		}
		if try > 0 {
			t.poison.add(route)
		}
	}
}

// maxResend is how often a request is sent again.
const maxResend = 3

// idempotent are the methods that may be sent again (RFC 9110 9.2.2); of
// those that change something, a view may not keep the promise.
var idempotent = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true,
}

// poison remembers the routes with a request that broke the app twice: their
// requests are not sent again, or one of them could kill each new instance.
type poison struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// poisonTime is how long a route stays poison.
const poisonTime = 10 * time.Minute

func (p *poison) has(route string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until[route])
}

func (p *poison) add(route string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	p.until[route] = time.Now().Add(poisonTime)
}

// bufferPool lends the buffers that bodies are copied with.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, bufferSize)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
