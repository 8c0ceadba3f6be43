package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
	"unsafe"

	"github.com/flask2ban/flask2ban/ban"
)

// The encoding of a record is a version byte and then its fields in order:
// integers as varints, texts and lists after their length, times as Unix
// nanoseconds with 0 for none. It is an eighth of the time of JSON, which
// matters when 100,000 bans are loaded before the first request is served.
//
// Version 1 had no counts of rules.
const codecVersion = 2

var errTruncated = errors.New("record is cut off")

func encode(b []byte, r ban.Record) []byte {
	b = append(b, codecVersion)
	b = appendPrefix(b, r.Client)
	b = appendBan(b, r.Ban)
	b = appendPieces(b, r.Evidence)
	b = appendPieces(b, r.Spent)
	b = binary.AppendUvarint(b, uint64(len(r.More)))
	for _, o := range r.More {
		b = appendTime(b, o.Start)
		b = appendFloat(b, o.Hard)
		b = appendFloat(b, o.Soft)
		b = binary.AppendUvarint(b, uint64(o.SoftPaths))
	}
	b = appendTime(b, r.Last)
	for _, n := range [...]uint16{r.Good, r.Bad, r.Routes, r.Sessions} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = appendTime(b, r.Expires)
	return appendCounts(b, r.Counts)
}

func appendCounts(b []byte, counts []ban.Counts) []byte {
	b = binary.AppendUvarint(b, uint64(len(counts)))
	for _, c := range counts {
		b = appendText(b, c.Rule)
		b = binary.AppendUvarint(b, uint64(len(c.Ticks)))
		for _, t := range c.Ticks {
			b = appendTime(b, t.At)
			b = binary.AppendUvarint(b, uint64(t.N))
		}
	}
	return b
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	return appendText(b, string(must(p.MarshalBinary())))
}

// must drops the error of netip.Prefix.MarshalBinary, which is always nil.
func must(b []byte, _ error) []byte { return b }

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.UnixNano())
}

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendFlags(b []byte, flags ...bool) []byte {
	var n byte
	for i, f := range flags {
		if f {
			n |= 1 << i
		}
	}
	return append(b, n)
}

func appendBan(b []byte, x *ban.Ban) []byte {
	if x == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = appendPrefix(b, x.Client)
	b = appendTime(b, x.Since)
	b = appendTime(b, x.Until)
	for _, s := range [...]string{x.Rule, x.Reason, string(x.Penalty)} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(x.Count))
	b = binary.AppendUvarint(b, uint64(x.Refusals))
	return appendFlags(b, x.Manual, x.Observed)
}

func appendPieces(b []byte, pieces []ban.Piece) []byte {
	b = binary.AppendUvarint(b, uint64(len(pieces)))
	for _, p := range pieces {
		b = appendTime(b, p.Time)
		for _, s := range [...]string{string(p.Kind), p.Method, p.Path, p.Route, p.Verdict, p.RequestID} {
			b = appendText(b, s)
		}
		b = appendFloat(b, p.Weight)
		b = appendFlags(b, p.Soft, p.Local)
	}
	return b
}

func decode(b []byte) (ban.Record, error) { return texts{}.decode(b) }

// texts are those of bans that many records have in common (rules, reasons),
// so that each is in memory once. A nil one makes all texts empty, for a check
// that allocates little.
type texts map[string]string

// mostTexts bounds them, and shortText their length in bytes.
const (
	mostTexts = 1024
	shortText = 64
)

func (t texts) of(b []byte) string {
	if t == nil {
		return ""
	}
	if s, ok := t[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(t) < mostTexts && len(s) <= shortText {
		t[s] = s
	}
	return s
}

func (t texts) decode(b []byte) (ban.Record, error) {
	return t.read(decoder{whole: b, rest: b, texts: t})
}

// decodeText decodes without a copy: the texts of pieces are parts of s. The
// decoder only reads its bytes.
func (t texts) decodeText(s string) (ban.Record, error) {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	return t.read(decoder{whole: b, rest: b, copied: s, texts: t})
}

func (t texts) read(d decoder) (ban.Record, error) {
	v := d.byte()
	if d.err == nil && (v < 1 || v > codecVersion) {
		return ban.Record{}, fmt.Errorf("record has encoding %d, this flask2ban knows %d", v, codecVersion)
	}
	r := ban.Record{Client: d.prefix(), Ban: d.ban(), Evidence: d.pieces(), Spent: d.pieces()}
	if n := d.count(overflowBytes); n > 0 {
		r.More = make([]ban.Overflow, n)
	}
	for i := range r.More {
		r.More[i] = ban.Overflow{Start: d.time(), Hard: d.float(), Soft: d.float(), SoftPaths: int(d.uvarint())}
	}
	r.Last = d.time()
	for _, n := range [...]*uint16{&r.Good, &r.Bad, &r.Routes, &r.Sessions} {
		*n = uint16(d.uvarint())
	}
	r.Expires = d.time()
	if v > 1 {
		r.Counts = d.counts()
	}
	if d.err != nil {
		return ban.Record{}, d.err
	}
	return r, nil
}

// The least bytes that one element of a list takes: a length that promises
// more elements than there are bytes is refused before anything is allocated.
const (
	pieceBytes    = 16
	overflowBytes = 18
	countsBytes   = 2
	tickBytes     = 2
)

// decoder reads fields until the first error, after which all are zero.
type decoder struct {
	whole, rest []byte
	texts       texts
	copied      string // whole, once a text of it is needed
	err         error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail(errTruncated)
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail(errTruncated)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) time() time.Time {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail(errTruncated)
		return time.Time{}
	}
	d.rest = d.rest[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

func (d *decoder) text() string { return d.texts.of(d.take(d.uvarint())) }

// own is a text of a piece of evidence. All such texts of a record are parts of
// one copy of it: they come and go together.
func (d *decoder) own() string {
	b := d.take(d.uvarint())
	if d.texts == nil || len(b) == 0 {
		return ""
	}
	if d.copied == "" {
		d.copied = string(d.whole)
	}
	end := len(d.whole) - len(d.rest)
	return d.copied[end-len(b) : end]
}

func (d *decoder) float() float64 {
	if b := d.take(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) count(each int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/each) {
		d.fail(errTruncated)
		return 0
	}
	return int(n)
}

func (d *decoder) counts() []ban.Counts {
	var all []ban.Counts
	for range d.count(countsBytes) {
		c := ban.Counts{Rule: d.text()}
		for range d.count(tickBytes) {
			c.Ticks = append(c.Ticks, ban.Tick{At: d.time(), N: int(d.uvarint())})
		}
		all = append(all, c)
	}
	return all
}

func (d *decoder) prefix() netip.Prefix {
	var p netip.Prefix
	if err := p.UnmarshalBinary(d.take(d.uvarint())); d.err == nil && (err != nil || !p.IsValid()) {
		d.fail(errors.New("record has no valid client"))
	}
	return p
}

func (d *decoder) ban() *ban.Ban {
	if d.byte() == 0 {
		return nil
	}
	b := ban.Ban{Client: d.prefix(), Since: d.time(), Until: d.time(), Rule: d.text(), Reason: d.text()}
	b.Penalty, b.Count, b.Refusals = ban.Penalty(d.text()), int(d.uvarint()), int(d.uvarint())
	flags := d.byte()
	b.Manual, b.Observed = flags&1 != 0, flags&2 != 0
	return &b
}

func (d *decoder) pieces() []ban.Piece {
	n := d.count(pieceBytes)
	if n == 0 || d.texts == nil {
		for range n {
			d.piece()
		}
		return nil
	}
	pieces := make([]ban.Piece, n)
	for i := range pieces {
		pieces[i] = d.piece()
	}
	return pieces
}

func (d *decoder) piece() ban.Piece {
	p := ban.Piece{Time: d.time(), Kind: ban.Kind(d.own()), Method: d.own(), Path: d.own()}
	p.Route, p.Verdict, p.RequestID, p.Weight = d.own(), d.own(), d.own(), d.float()
	flags := d.byte()
	p.Soft, p.Local = flags&1 != 0, flags&2 != 0
	return p
}
