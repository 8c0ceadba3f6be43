package overview

import (
	"context"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/metrics"
)

const (
	// SampleEvery is the time between samples, and what one sample averages.
	SampleEvery = 5 * time.Second
	// maxSamples are kept: the last hour, 60 KB.
	maxSamples = int(time.Hour / SampleEvery)
)

// Sample is what went on in the SampleEvery before At.
type Sample struct {
	At time.Time `json:"at"`
	// Requests, Refused (requests and connections) and Errors (answers 5xx) a
	// second.
	Requests float64 `json:"requests"`
	Refused  float64 `json:"refused"`
	Errors   float64 `json:"errors"`
	// P50 and P95 are seconds that requests for the app's routes took; 0 where
	// there was none.
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	// InFlight requests were being handled at the end, Queued ones waited.
	InFlight float64 `json:"in_flight"`
	Queued   float64 `json:"queued"`
}

// Sums are counters since the start of the daemon.
type Sums struct {
	Requests float64 `json:"requests"`
	Refused  float64 `json:"refused"`
	Errors   float64 `json:"errors"`
	Evidence float64 `json:"evidence"`
	Bans     float64 `json:"bans"`

	latency metrics.Histogram
}

func sumsOf(t metrics.Totals) Sums {
	s := Sums{Refused: t.Refused, Evidence: t.Evidence, Bans: t.Bans}
	for route, r := range t.Routes {
		s.Requests += r.Requests
		s.Errors += r.ServerErrors
		if route != metrics.NoRoute {
			s.latency = s.latency.Plus(r.Latency)
		}
	}
	return s
}

// history is the last hour in samples.
type history struct {
	mu     sync.Mutex
	ring   []Sample
	oldest int // in a full ring
	last   Sums
	at     time.Time
}

// add makes a sample of what came since the last call. The first call only
// notes where the counters stand.
func (h *history) add(now time.Time, t metrics.Totals) {
	sums := sumsOf(t)
	h.mu.Lock()
	defer h.mu.Unlock()
	last, seconds := h.last, now.Sub(h.at).Seconds()
	first := h.at.IsZero()
	h.last, h.at = sums, now
	if first || seconds <= 0 {
		return
	}
	rate := func(now, before float64) float64 { return max(0, now-before) / seconds }
	latency := sums.latency.Since(last.latency)
	h.push(Sample{
		At:       now.UTC().Round(0),
		Requests: rate(sums.Requests, last.Requests),
		Refused:  rate(sums.Refused, last.Refused),
		Errors:   rate(sums.Errors, last.Errors),
		P50:      latency.Quantile(0.5),
		P95:      latency.Quantile(0.95),
		InFlight: t.InFlight,
		Queued:   t.Queued,
	})
}

func (h *history) push(s Sample) {
	if len(h.ring) < maxSamples {
		h.ring = append(h.ring, s)
		return
	}
	h.ring[h.oldest] = s
	h.oldest = (h.oldest + 1) % maxSamples
}

// since returns copies of the samples after t, oldest first.
func (h *history) since(t time.Time) []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []Sample{}
	for i := range h.ring {
		if s := h.ring[(h.oldest+i)%len(h.ring)]; s.At.After(t) {
			out = append(out, s)
		}
	}
	return out
}

// latest is the last sample; zero where there is none.
func (h *history) latest() Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) == 0 {
		return Sample{}
	}
	return h.ring[(h.oldest+len(h.ring)-1)%len(h.ring)]
}

// Serve takes the samples until ctx ends.
func (c *Collector) Serve(ctx context.Context) error {
	tick := time.NewTicker(SampleEvery)
	defer tick.Stop()
	c.sample()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.sample()
		}
	}
}

func (c *Collector) sample() {
	if c.config.Metrics != nil {
		c.history.add(c.config.Now(), c.config.Metrics.Totals())
	}
}

// History returns the samples after since, oldest first: at most the last hour.
func (c *Collector) History(since time.Time) []Sample { return c.history.since(since) }
