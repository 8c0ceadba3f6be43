package replay

import (
	"context"
	"math"
	"slices"
)

// merge gives the requests of several logs in the order of their times. A log
// is opened when its time has come, so of a year of rotated logs one or two
// are open; the logs of several servers are woven together.
type merge struct {
	ctx    context.Context
	parser *parser
	// waiting are the logs not yet begun, the earliest first.
	waiting []*source
	open    []*cursor
	// seen is told of every piece before its requests' turn.
	seen func(*batch)
}

// cursor is a place in a log.
type cursor struct {
	pieces <-chan (<-chan *batch)
	batch  *batch // nil where it was used up
	at     int
}

// time is that of the next request.
func (c *cursor) time() int64 { return c.batch.records[c.at].time }

// next returns the next requests, nil after the last. The batch is the
// caller's.
func (m *merge) next() *batch {
	if !m.begin() {
		return nil
	}
	c := m.earliest()
	if c.at > 0 || c.batch.latest > m.limit(c) {
		return m.weave()
	}
	b := c.batch
	c.batch = nil // the next piece may be long in coming: not before b is used
	return b
}

// woven is how many requests of several logs make a batch.
const woven = 1024

// weave takes requests one by one from the log whose turn it is.
func (m *merge) weave() *batch {
	b := m.parser.empty(nil)
	for len(b.records) < woven && m.begin() {
		c := m.earliest()
		b.records = append(b.records, c.batch.records[c.at])
		if c.at++; c.at == len(c.batch.records) {
			m.parser.recycle(c.batch)
			c.batch = nil
		}
	}
	return b
}

// begin reads on where a piece was used up, and opens the logs whose time has
// come; false where none is left.
func (m *merge) begin() bool {
	for i := 0; i < len(m.open); {
		if c := m.open[i]; c.batch == nil && !m.advance(c) {
			continue // closed
		}
		i++
	}
	for len(m.waiting) > 0 && (len(m.open) == 0 || m.waiting[0].first <= m.earliest().time()) {
		s := m.waiting[0]
		m.waiting = m.waiting[1:]
		c := &cursor{pieces: m.parser.stream(m.ctx, s)}
		m.open = append(m.open, c)
		m.advance(c)
	}
	return len(m.open) > 0
}

// earliest is the log with the next request.
func (m *merge) earliest() *cursor {
	first := m.open[0]
	for _, c := range m.open[1:] {
		if c.time() < first.time() {
			first = c
		}
	}
	return first
}

// limit is up to which time c goes before all other logs.
func (m *merge) limit(c *cursor) int64 {
	limit := int64(math.MaxInt64)
	for _, other := range m.open {
		if other != c {
			limit = min(limit, other.time())
		}
	}
	if len(m.waiting) > 0 {
		limit = min(limit, m.waiting[0].first)
	}
	return limit
}

// advance goes to the log's next piece with a request. After the last it closes
// the log and returns false.
func (m *merge) advance(c *cursor) bool {
	c.at = 0
	for piece := range c.pieces {
		select {
		case c.batch = <-piece:
		case <-m.ctx.Done():
			continue
		}
		m.seen(c.batch)
		if len(c.batch.records) > 0 {
			return true
		}
		m.parser.recycle(c.batch)
	}
	m.open = slices.DeleteFunc(m.open, func(o *cursor) bool { return o == c })
	return false
}
