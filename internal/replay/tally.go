package replay

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// tally counts what every client did. Its memory is what grows with a log: some
// hundred bytes a client.
type tally struct {
	index   map[clientKey]uint32
	clients []client
	banned  []*banned
	// last is the client of the request before: they come in runs.
	last     netip.Prefix
	lastSeen uint32
}

// clientKey is a netip.Prefix without pointers.
type clientKey [3]uint64

func keyOf(p netip.Prefix) clientKey {
	a := p.Addr().As16()
	return clientKey{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:]), uint64(p.Bits() + 1)}
}

// client is one client's counters.
type client struct {
	requests, known, refused, throttled uint32
	standing                            ban.Standing
	// ban is the index of what is known of its bans, plus one.
	ban uint32
}

// banned is a client that would have been banned.
type banned struct {
	prefix netip.Prefix
	client uint32
	first  ban.Ban
	bans   int
	score  float64
	// before is how many requests it had made, the one that banned it
	// included.
	before uint32
	agent  string
	// evidence is what led to the first ban, for the first few clients.
	evidence []ban.Line
}

func newTally() *tally { return &tally{index: map[clientKey]uint32{}} }

// of returns the counters of a client; fresh says that it is a new one.
func (t *tally) of(p netip.Prefix) (id uint32, fresh bool) {
	if p == t.last && len(t.clients) > 0 {
		return t.lastSeen, false
	}
	key := keyOf(p)
	id, ok := t.index[key]
	if !ok {
		id = uint32(len(t.clients))
		t.index[key] = id
		t.clients = append(t.clients, client{})
	}
	t.last, t.lastSeen = p, id
	return id, !ok
}

// detailed is for how many banned clients all evidence is kept.
const detailed = 10_000

// ban notes a ban.
func (t *tally) ban(id uint32, b *ban.Ban, score float64, agent string, why func() []ban.Line) {
	c := &t.clients[id]
	if c.ban == 0 {
		entry := &banned{prefix: b.Client, client: id, first: *b, score: score, before: c.requests, agent: cut(agent, keptText)}
		if len(t.banned) < detailed {
			entry.evidence = why()
		}
		t.banned = append(t.banned, entry)
		c.ban = uint32(len(t.banned))
	}
	t.banned[c.ban-1].bans++
}

// knownShare is the part of a client's requests that were for the app's own
// routes, those that were refused included.
func (c *client) knownShare() float64 {
	if c.requests == 0 {
		return 0
	}
	return float64(c.known) / float64(c.requests)
}

// timeline counts in equal parts of time, as many as fit: when there are too
// many, two become one.
type timeline struct {
	begin time.Time
	width time.Duration
	parts []part
}

// part is what happened in one part of time.
type part struct{ known, unknown, refused, bans int }

const (
	timelineParts = 480
	timelineWidth = time.Minute
	// timelineMost bounds how far a jump of the log's time makes it longer.
	timelineMost = 200 * 365 * 24 * time.Hour
)

// at returns the part for a time; times before the first count with it.
func (l *timeline) at(now time.Time) *part {
	if l.parts == nil {
		l.begin, l.width, l.parts = now.Truncate(time.Hour), timelineWidth, make([]part, 1, timelineParts)
	}
	since := min(max(0, now.Sub(l.begin)), timelineMost)
	for since >= l.width*timelineParts {
		l.halve()
	}
	for i := int(since / l.width); i >= len(l.parts); {
		l.parts = append(l.parts, part{})
	}
	return &l.parts[since/l.width]
}

func (l *timeline) halve() {
	half := make([]part, (len(l.parts)+1)/2, timelineParts)
	for i, p := range l.parts {
		h := &half[i/2]
		h.known += p.known
		h.unknown += p.unknown
		h.refused += p.refused
		h.bans += p.bans
	}
	l.parts, l.width = half, 2*l.width
}
