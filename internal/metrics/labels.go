package metrics

import (
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds on label values. What comes beyond them is "other".
const (
	maxRoutes     = 10_000 // rules of one app
	maxCodes      = 64     // method and status pairs of one route
	maxExceptions = 100
	maxRules      = 1_000
	maxWords      = 100 // kinds, reasons, classes
	maxLabel      = 200 // bytes of one value
)

// other stands for all values beyond a bound.
const other = "other"

// counters is a CounterVec with one or two labels of bounded cardinality, whose
// hot path is one look-up without allocation.
type counters struct {
	vec    *prometheus.CounterVec
	labels int // 1 or 2
	limit  int64
	count  atomic.Int64
	known  sync.Map // pair → prometheus.Counter
}

// pair are the values of a counter's labels; with one label the second is not
// used.
type pair struct{ a, b string }

func (c *counters) inc(a, b string) {
	if known, ok := c.known.Load(pair{a, b}); ok {
		known.(prometheus.Counter).Inc()
		return
	}
	c.first(pair{a, b}).Inc()
}

// first makes the counter of new values, or gives that of "other" when there
// are too many: it is then found anew each time, so that what is remembered is
// bounded too.
func (c *counters) first(p pair) prometheus.Counter {
	if c.count.Add(1) > c.limit {
		c.count.Add(-1)
		return c.of(pair{other, other})
	}
	known, loaded := c.known.LoadOrStore(p, c.of(p))
	if loaded {
		c.count.Add(-1)
	}
	return known.(prometheus.Counter)
}

func (c *counters) of(p pair) prometheus.Counter {
	values := []string{label(p.a), label(p.b)}
	return c.vec.WithLabelValues(values[:c.labels]...)
}

// label makes a value that Prometheus takes: valid UTF-8 of bounded length.
func label(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxLabel {
		return s
	}
	cut := maxLabel
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
