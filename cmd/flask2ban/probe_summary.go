package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

// probeSample is one request of a probe.
type probeSample struct {
	at     time.Time
	took   time.Duration
	status int
	err    error
}

// up says whether the service was there: it answered, and not with its own
// failure.
func (s probeSample) up() bool { return s.err == nil && s.status < http.StatusInternalServerError }

func (s probeSample) String() string {
	return fmt.Sprintf("%s  %s  %s", s.at.Format("15:04:05.000"), milliseconds(s.took), s.outcome())
}

// outcome leaves out the method and URL that net/http repeats in its errors.
func (s probeSample) outcome() string {
	if s.err == nil {
		return fmt.Sprintf("%d %s", s.status, http.StatusText(s.status))
	}
	var u *url.Error
	if errors.As(s.err, &u) {
		return cmdline.Printable(u.Err.Error())
	}
	return cmdline.Printable(s.err.Error())
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// probeSummary adds samples up. It keeps them all: at one a second, a day's
// are 8 MB.
type probeSummary struct {
	samples []probeSample
	failed  int
	// outage is the running one's first failure, longest the longest so far:
	// from the first request that failed to the first that did not.
	outage  time.Time
	longest time.Duration
}

func (s *probeSummary) add(sample probeSample) {
	s.samples = append(s.samples, sample)
	if !sample.up() {
		s.failed++
		if s.outage.IsZero() {
			s.outage = sample.at
		}
		s.longest = max(s.longest, sample.at.Add(sample.took).Sub(s.outage))
		return
	}
	if !s.outage.IsZero() {
		s.longest = max(s.longest, sample.at.Sub(s.outage))
		s.outage = time.Time{}
	}
}

// latencies are those of the requests that succeeded, sorted.
func (s *probeSummary) latencies() []time.Duration {
	var all []time.Duration
	for _, sample := range s.samples {
		if sample.up() {
			all = append(all, sample.took)
		}
	}
	slices.Sort(all)
	return all
}

// quantile is the nearest-rank one of sorted values; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(rank, 0)]
}

func (s *probeSummary) write(w io.Writer) {
	total := len(s.samples)
	if total == 0 {
		fmt.Fprintln(w, "no request was answered before the end")
		return
	}
	all := s.latencies()
	fmt.Fprintf(w, "\n%d requests, %d failed: %.3f %% available\n", total, s.failed, 100*float64(total-s.failed)/float64(total))
	if len(all) > 0 {
		fmt.Fprintf(w, "latency p50 %s, p90 %s, p99 %s, max %s\n", milliseconds(quantile(all, .5)),
			milliseconds(quantile(all, .9)), milliseconds(quantile(all, .99)), milliseconds(all[len(all)-1]))
	}
	if s.failed > 0 {
		fmt.Fprintf(w, "longest outage %s\n", s.longest.Round(time.Millisecond))
	}
	fmt.Fprintln(w, sparkline(s.samples))
}

// sparkWidth is how many characters a sparkline has at most.
const sparkWidth = 60

// sparkline draws latency over time, the slowest of each stretch; a stretch
// with a failure is an x.
func sparkline(samples []probeSample) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var slowest time.Duration
	for _, s := range samples {
		slowest = max(slowest, s.took)
	}
	stretch := (len(samples) + sparkWidth - 1) / sparkWidth
	var b strings.Builder
	for part := range slices.Chunk(samples, max(stretch, 1)) {
		if slices.ContainsFunc(part, func(s probeSample) bool { return !s.up() }) {
			b.WriteByte('x')
			continue
		}
		top := slices.MaxFunc(part, func(a, b probeSample) int { return int(a.took - b.took) }).took
		b.WriteRune(bars[int(top*time.Duration(len(bars)-1)/max(slowest, 1))])
	}
	return b.String()
}
