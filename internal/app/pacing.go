package app

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/internal/app/health"
)

// pacing counts answers by how long they took, in buckets of which each is a
// quarter longer than the one before, from 64 µs on.
type pacing struct {
	buckets [paceBuckets]atomic.Uint32
}

const (
	paceBuckets = 96
	paceUnit    = 16 * time.Microsecond
)

func (p *pacing) add(d time.Duration) { p.buckets[paceBucket(d)].Add(1) }

// paceBucket has four buckets for each power of two.
func paceBucket(d time.Duration) int {
	n := uint64(max(d/paceUnit, 4))
	power := bits.Len64(n) - 1
	quarter := int(n>>(power-2)) & 3
	return min(4*(power-2)+quarter, paceBuckets-1)
}

// bucketTime is the upper end of a bucket.
func bucketTime(b int) time.Duration {
	return time.Duration(5+b%4) << (b / 4) * paceUnit
}

// take returns what was counted since the last time.
func (p *pacing) take(over time.Duration) health.Pace {
	var counts [paceBuckets]int
	pace := health.Pace{Over: over}
	for i := range p.buckets {
		counts[i] = int(p.buckets[i].Swap(0))
		pace.Answers += counts[i]
	}
	below := 0
	for i, n := range counts {
		below += n
		if n > 0 && 2*below >= pace.Answers {
			pace.Median = bucketTime(i)
			break
		}
	}
	return pace
}
