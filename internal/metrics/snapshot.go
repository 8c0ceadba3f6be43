package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// NoRoute is the route of requests that matched none: refused ones, and those
// for paths that the app doesn't have.
const NoRoute = "(none)"

// Totals are the counters at one moment, for those who show them to people.
// All count from the start of the process.
type Totals struct {
	// Refused counts requests and connections refused, Evidence and Bans what
	// was held against clients.
	Refused, Evidence, Bans float64
	// InFlight requests are being handled now, Queued ones wait for a slot.
	InFlight, Queued float64
	// Routes are the requests by route, NoRoute among them.
	Routes map[string]RouteTotals
}

// RouteTotals are the requests of one route.
type RouteTotals struct {
	Requests float64
	// ClientErrors were answered 4xx, ServerErrors 5xx.
	ClientErrors, ServerErrors float64
	Latency                    Histogram
}

// Totals reads the counters. It costs some microseconds a route, and nothing on
// a request's way.
func (m *Metrics) Totals() Totals {
	t := Totals{
		Refused:  sum(m.refused.vec),
		Evidence: sum(m.evidence.vec),
		Bans:     sum(m.bans.vec),
		InFlight: sum(m.inFlight),
		Queued:   sum(m.depth),
		Routes:   map[string]RouteTotals{},
	}
	each(m.requests, func(d *dto.Metric) {
		route, code := labelOf(d, "route"), labelOf(d, "code")
		r := t.Routes[route]
		n := d.GetCounter().GetValue()
		r.Requests += n
		switch {
		case code == "":
		case code[0] == '4':
			r.ClientErrors += n
		case code[0] == '5':
			r.ServerErrors += n
		}
		t.Routes[route] = r
	})
	each(m.durations, func(d *dto.Metric) {
		r := t.Routes[labelOf(d, "route")]
		r.Latency = newHistogram(d.GetHistogram())
		t.Routes[labelOf(d, "route")] = r
	})
	return t
}

func sum(c prometheus.Collector) (total float64) {
	each(c, func(d *dto.Metric) { total += d.GetCounter().GetValue() + d.GetGauge().GetValue() })
	return total
}

// each calls f for every metric of a collector.
func each(c prometheus.Collector, f func(*dto.Metric)) {
	found := make(chan prometheus.Metric)
	go func() {
		defer close(found)
		c.Collect(found)
	}()
	for metric := range found {
		var d dto.Metric
		if metric.Write(&d) == nil { // fails only for metrics that were made wrong
			f(&d)
		}
	}
}

func labelOf(d *dto.Metric, name string) string {
	for _, l := range d.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Histogram counts durations by their length.
type Histogram struct {
	// counts has the durations up to each of durationBuckets and, at its end,
	// all of them; nil for none.
	counts []uint64
	sum    float64
}

func newHistogram(h *dto.Histogram) Histogram {
	if h.GetSampleCount() == 0 {
		return Histogram{}
	}
	out := Histogram{sum: h.GetSampleSum(), counts: make([]uint64, 0, len(durationBuckets)+1)}
	for _, b := range h.GetBucket() {
		out.counts = append(out.counts, b.GetCumulativeCount())
	}
	out.counts = append(out.counts, h.GetSampleCount())
	return out
}

// Count is how many durations there are.
func (h Histogram) Count() uint64 {
	if len(h.counts) == 0 {
		return 0
	}
	return h.counts[len(h.counts)-1]
}

// Plus adds two histograms up.
func (h Histogram) Plus(o Histogram) Histogram {
	return h.combine(o, func(a, b uint64) uint64 { return a + b }, 1)
}

// Since is what was added since an earlier state of the same histogram.
func (h Histogram) Since(o Histogram) Histogram {
	return h.combine(o, func(a, b uint64) uint64 { return a - min(a, b) }, -1)
}

func (h Histogram) combine(o Histogram, f func(a, b uint64) uint64, sign float64) Histogram {
	switch {
	case len(o.counts) == 0:
		return h
	case len(h.counts) == 0:
		h.counts = make([]uint64, len(o.counts))
	}
	out := Histogram{sum: h.sum + sign*o.sum, counts: make([]uint64, len(h.counts))}
	for i := range out.counts {
		out.counts[i] = f(h.counts[i], o.counts[i])
	}
	return out
}

// Mean is the average duration in seconds, 0 where there is none.
func (h Histogram) Mean() float64 {
	if h.Count() == 0 {
		return 0
	}
	return max(0, h.sum) / float64(h.Count())
}

// Quantile estimates a quantile in seconds, such as 0.95, as Prometheus'
// histogram_quantile does: evenly spread within a bucket, the upper bound of the
// largest for all beyond it. It is 0 where there is no duration.
func (h Histogram) Quantile(q float64) float64 {
	rank := q * float64(h.Count())
	if rank == 0 {
		return 0
	}
	lower, below := 0., 0.
	for i, upper := range durationBuckets {
		if upTo := float64(h.counts[i]); upTo >= rank {
			return lower + (upper-lower)*(rank-below)/(upTo-below)
		}
		lower, below = upper, float64(h.counts[i])
	}
	return lower
}
