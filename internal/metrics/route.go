package metrics

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// methods are those with a label of their own: RFC 9110's and PATCH. Any other
// is "other", because a client can invent them.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", other}

// methodIndex is the place of a method in methods.
func methodIndex(method string) int {
	for i, m := range methods[:len(methods)-1] {
		if m == method {
			return i
		}
	}
	return len(methods) - 1
}

// RouteMetrics are the collectors of one route. Keep it beside the route where
// the look-up by pattern matters.
type RouteMetrics struct {
	metrics  *Metrics
	pattern  string
	duration prometheus.Observer
	// codes has, by method, the status codes seen so far. A list is never
	// changed, only replaced: readers take no lock.
	codes [len(methods)]atomic.Pointer[[]codeCounter]
	grow  sync.Mutex
	size  int
}

type codeCounter struct {
	code    int
	counter prometheus.Counter
}

// Route finds the collectors of a route by its pattern. It allocates when the
// pattern is new.
func (m *Metrics) Route(pattern string) *RouteMetrics {
	if r, ok := m.routes.Load(pattern); ok {
		return r.(*RouteMetrics)
	}
	if m.routeCount.Add(1) > maxRoutes {
		m.routeCount.Add(-1)
		pattern = other
	}
	r, _ := m.routes.LoadOrStore(pattern, &RouteMetrics{
		metrics: m, pattern: label(pattern), duration: m.durations.WithLabelValues(label(pattern)),
	})
	return r.(*RouteMetrics)
}

// Done counts one request of the route; Metrics.Request says what the values
// are.
func (r *RouteMetrics) Done(method string, code int, elapsed, overhead time.Duration) {
	r.counter(methodIndex(method), code).Inc()
	r.duration.Observe(elapsed.Seconds())
	r.metrics.overhead.Observe(max(0, overhead.Seconds()))
}

// counter finds the one of a status; few are seen for one method of one route,
// so that a list beats a map.
func (r *RouteMetrics) counter(method, code int) prometheus.Counter {
	if known := r.codes[method].Load(); known != nil {
		for _, c := range *known {
			if c.code == code {
				return c.counter
			}
		}
	}
	return r.first(method, code)
}

// first makes a counter for a new status.
func (r *RouteMetrics) first(method, code int) prometheus.Counter {
	r.grow.Lock()
	defer r.grow.Unlock()
	var known []codeCounter
	if p := r.codes[method].Load(); p != nil {
		known = *p
	}
	for _, c := range known {
		if c.code == code {
			return c.counter // another goroutine was first
		}
	}
	if code < 100 || code > 999 || r.size >= maxCodes {
		return r.metrics.requests.WithLabelValues(r.pattern, methods[method], other)
	}
	c := r.metrics.requests.WithLabelValues(r.pattern, methods[method], strconv.Itoa(code))
	r.size++
	grown := append(known[:len(known):len(known)], codeCounter{code, c})
	r.codes[method].Store(&grown)
	return c
}
