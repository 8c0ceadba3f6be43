package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
)

// BenchmarkOwnPart is what we add to a request: each of ours beside what
// net/http and httputil alone do for it ("bare"), over the same transport. The
// difference is to be at most 3 µs and two allocations.
func BenchmarkOwnPart(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the daemon does
	g := newRig(b, flask, func(c *Config, judge *ban.Config) {
		c.Now = nil
		c.Queue.Slots = func() int { return 64 }
		judge.SuspectUnknown = ban.Rate{PerSecond: 1e9, Burst: 1e9}
	})
	h := g.handler
	clients, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.1.1/32")}})
	if err != nil {
		b.Fatal(err)
	}
	h.Clients = clients
	for _, path := range []string{"/no/a", "/no/b", "/no/c", "/no/d"} {
		g.do("192.0.2.77", "GET", path)
	}
	h.reverse.Transport = memoryTransport{}
	g.tables.confirmed = true
	bare := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "127.0.0.1:1" },
		Transport: memoryTransport{}, BufferPool: &bufferPool{},
	}
	bareStatus := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	banned := netip.MustParsePrefix("198.51.100.7/32")
	h.Engine.Add(h.Now(), ban.Ban{Client: banned, Until: h.Now().Add(time.Hour)})
	for _, c := range []struct {
		name    string
		handler http.Handler
		from    string
		target  string
		chain   string
		want    int
	}{
		{"forward/bare", bare, "192.0.2.1:4000", "/2020", "", 200},
		{"forward/ours", h, "192.0.2.1:4000", "/2020", "", 200},
		{"forward behind a proxy/bare", bare, "127.0.1.1:4000", "/2020", "192.0.2.1", 200},
		{"forward behind a proxy/ours", h, "127.0.1.1:4000", "/2020", "192.0.2.1", 200},
		{"refused/bare", bareStatus(403), "127.0.1.1:4000", "/", "198.51.100.7", 403},
		{"refused/ours", h, "127.0.1.1:4000", "/", "198.51.100.7", 403},
		{"unknown path/bare", bareStatus(404), "192.0.2.77:4000", "/no/a", "", 404},
		{"unknown path/ours", h, "192.0.2.77:4000", "/no/a", "", 404},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", c.target, nil)
			r.RemoteAddr = c.from
			r.Header.Set("User-Agent", "bench")
			r.Header.Set("Accept", "*/*")
			if c.chain != "" {
				r.Header.Set("X-Forwarded-For", c.chain)
			}
			w := &reusedWriter{header: http.Header{}}
			for range 20 {
				clear(w.header)
				c.handler.ServeHTTP(w, r)
			}
			if w.status != c.want {
				b.Fatalf("status %d, want %d", w.status, c.want)
			}
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				clear(w.header)
				c.handler.ServeHTTP(w, r)
			}
		})
	}
}

// reusedWriter discards an answer and keeps its status.
type reusedWriter struct {
	header http.Header
	status int
}

func (w *reusedWriter) Header() http.Header         { return w.header }
func (w *reusedWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *reusedWriter) WriteHeader(status int)      { w.status = status }

// BenchmarkSlot is what a slot costs a request that need not wait for it.
func BenchmarkSlot(b *testing.B) {
	g := newRig(b, flask, func(c *Config, _ *ban.Config) { c.Now = nil; c.Queue.Slots = func() int { return 64 } })
	x := &exchange{handler: g.handler, request: httptest.NewRequest("GET", "/2020", nil)}
	x.verdict = g.tables.table.Match("", "GET", "/2020")
	x.identity.Client = netip.MustParsePrefix("192.0.2.1/32")
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		x.slot = slot{}
		if !g.handler.gate.acquire(x) {
			b.Fatal("no slot")
		}
		g.handler.gate.release(&x.slot)
	}
}

// reportCPU has the processor time of an iteration reported: what others make
// a busy machine do is not in it.
func reportCPU(b *testing.B) (end func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}
