package store

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// call is the saving script's keys and arguments for some records.
func (s *shared) call(records []ban.Record) (keys []string, args []any) {
	keys = []string{s.key("seq"), s.key("changes"), s.key("expiry"), s.key("epoch")}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	args = []any{s.instance, s.key("news"), s.epoch}
	for _, r := range records {
		keys = append(keys, s.clientKey(r.Client))
		args = append(args, s.request(now, r)...)
	}
	return keys, args
}

// request is a record as the saving script takes it.
func (s *shared) request(now time.Time, r ban.Record) []any {
	m := s.known[r.Client]
	known, operation, at, till, person, decision, evidence := m.gen, "save", int64(0), expiry(now, r), 0, "", ""
	switch {
	case r.Forgotten:
		operation = "forget"
	case r.Empty():
		operation, at, till, person = "lift", now.UnixMicro(), later(now.Add(tombstone), m.expires), 1
	case r.Ban != nil:
		at, decision = r.Ban.Since.UnixMicro(), string(encode(nil, decisionOf(r)))
		if r.Ban.Manual {
			person = 1
		}
	}
	if m.outdates(now, r, at) {
		known--
	}
	if len(r.Evidence) > 0 || len(r.More) > 0 || len(r.Counts) > 0 {
		evidence = string(encode(nil, evidenceOf(r)))
	}
	return []any{r.Client.String(), operation, known, at, till.UnixMilli(), person, decision, evidence}
}

// outdates says that the record was made before what is known was, in the
// moment between being collected and being saved.
func (m mark) outdates(now time.Time, r ban.Record, at int64) bool {
	if r.Empty() || !m.banned && m.at == 0 || now.After(m.expires) {
		return false
	}
	return r.Ban == nil && m.banned || r.Ban != nil && at < m.at
}

// expiry is from when on nothing in the record matters.
func expiry(now time.Time, r ban.Record) time.Time {
	till := r.Expires
	if r.Ban != nil {
		till = later(till, r.Ban.Until)
	}
	if till.IsZero() {
		till = now.Add(endless)
	}
	return till
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// decisionOf is the part of a record that all instances have in common.
func decisionOf(r ban.Record) ban.Record {
	r.Evidence, r.More, r.Counts = nil, nil, nil
	return r
}

// evidenceOf is the part of a record that is this instance's own.
func evidenceOf(r ban.Record) ban.Record {
	r.Ban, r.Spent = nil, nil
	return r
}

// state is what Redis has of a client.
type state struct {
	client  netip.Prefix
	gen     int64
	seq     int64
	at      int64
	ban     *ban.Record
	parts   []part
	expires time.Time
}

// part is one instance's contribution.
type part struct {
	instance string
	record   ban.Record
}

var errEpoch = errors.New("everything was deleted in Redis meanwhile")

var errReply = errors.New("the server's answer is not one of our script's: is another program using these keys?")

// readState reads a client, its sequence, and its fields with their values.
func readState(values []any, t texts) (state, error) {
	if len(values) < 2 {
		return state{}, errReply
	}
	client, _ := values[0].(string)
	seq, _ := values[1].(string)
	return readFields(client, number(seq), values[2:], t)
}

func readFields(name string, seq int64, values []any, t texts) (state, error) {
	client, err := netip.ParsePrefix(name)
	if err != nil || len(values)%2 != 0 {
		return state{}, fmt.Errorf("client %q: %w", name, errReply)
	}
	c := state{client: client, seq: seq}
	for i := 0; i < len(values); i += 2 {
		field, _ := values[i].(string)
		value, _ := values[i+1].(string)
		if err := c.field(field, value, t); err != nil {
			return state{}, fmt.Errorf("client %s: %w", client, err)
		}
	}
	return c, nil
}

// number is a number of our scripts; 0 for anything else.
func number(s string) int64 {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	n, _ := strconv.ParseFloat(s, 64) // scores can come as 1e+06
	return int64(n)
}

// field reads one field of a client's hash. Those of later versions are left
// alone.
func (c *state) field(name, value string, t texts) error {
	switch {
	case name == "gen":
		c.gen = number(value)
	case name == "at":
		c.at = number(value)
	case name == "ban":
		return c.decide(value, t)
	case strings.HasPrefix(name, "i:"):
		till, data, _ := strings.Cut(value, " ")
		expires := time.UnixMilli(number(till))
		c.expires = later(c.expires, expires)
		if time.Now().After(expires) {
			return nil
		}
		return c.contribute(name[2:], data, t)
	}
	return nil
}

func (c *state) decide(data string, t texts) error {
	r, err := t.decodeText(data)
	if err == nil && r.Ban == nil {
		err = errReply
	}
	if err != nil {
		return err
	}
	c.ban, c.expires = &r, later(c.expires, expiry(time.Time{}, r))
	return nil
}

func (c *state) contribute(instance, data string, t texts) error {
	r, err := t.decodeText(data)
	if err == nil {
		c.parts = append(c.parts, part{instance, r})
	}
	return err
}

// others is what all but one instance have contributed.
func (c *state) others(instance string) ban.Share {
	var share ban.Share
	for _, p := range c.parts {
		if p.instance != instance {
			share.Evidence = append(share.Evidence, p.record.Evidence...)
			share.More = append(share.More, p.record.More...)
			share.Counts = append(share.Counts, p.record.Counts...)
		}
	}
	return share
}

// record is all that is known of the client, seen from one instance. Its good
// record is the best that any has.
func (c *state) record(instance string) ban.Record {
	r := ban.Record{Client: c.client}
	if c.ban != nil {
		r = *c.ban
	}
	r.Others = c.others(instance)
	for _, p := range c.parts {
		q := p.record
		if p.instance == instance {
			r.Evidence, r.More, r.Counts = q.Evidence, q.More, q.Counts
		}
		if q.Good > r.Good || c.ban == nil && r.Bad == 0 {
			r.Good, r.Bad, r.Routes, r.Sessions = q.Good, q.Bad, q.Routes, q.Sessions
		}
		r.Last, r.Expires = later(r.Last, q.Last), later(r.Expires, q.Expires)
	}
	return r
}
