package ban

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

const (
	// remembered is how many pieces of evidence of a client are kept whole;
	// beyond that all count as new, and only their weight is kept.
	remembered = 20
	// overflowParts is into how many parts of findtime the time of evidence
	// beyond that is rounded (down: it leaks away early rather than late).
	overflowParts = 32
	// rounding makes sums of weights such as 0.1 reach their thresholds.
	rounding = 1e-9
)

// Piece is one counted piece of evidence, as it is remembered and shown.
type Piece struct {
	Time      time.Time `json:"time"`
	Kind      Kind      `json:"kind"`
	Method    string    `json:"method,omitempty"`
	Path      string    `json:"path"`
	Route     string    `json:"route,omitempty"`
	Verdict   string    `json:"verdict,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Weight    float64   `json:"weight"`
	// Soft pieces can't block before there are many, Local ones were answered
	// by us without asking the app.
	Soft  bool `json:"soft,omitempty"`
	Local bool `json:"local,omitempty"`
}

// newPiece copies what is worth remembering: the texts of a request are parts
// of larger buffers that must not be kept alive.
func newPiece(now time.Time, v Evidence, weight float64, soft bool) Piece {
	return Piece{
		Time: now.UTC().Round(0), Kind: Kind(keep(string(v.Kind))), Method: keep(v.Method),
		Path: keep(v.Path), Route: keep(v.Route), Verdict: keep(v.Verdict),
		RequestID: keep(v.RequestID), Weight: weight, Soft: soft, Local: v.Local,
	}
}

// keep returns a bounded copy of a text; what is cut off stays distinct.
func keep(s string) string {
	if len(s) <= maxText {
		return strings.Clone(s)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return fmt.Sprintf("%s...%016x", strings.ToValidUTF8(s[:maxText-19], ""), h.Sum64())
}

// Overflow is the weight of evidence in one part of findtime that came after
// the remembered pieces.
type Overflow struct {
	Start time.Time `json:"start"`
	Hard  float64   `json:"hard,omitempty"`
	Soft  float64   `json:"soft,omitempty"`
	// SoftPaths is how many soft pieces there were.
	SoftPaths int `json:"soft_paths,omitempty"`
}

// tally is a client's evidence within findtime.
type tally struct {
	pieces []Piece
	more   []Overflow
	// others is what other engines with the same store have beyond that; nil
	// where there is none.
	others *tally
}

// sums is what a tally amounts to at one moment.
type sums struct {
	hard, soft float64
	// softPaths is how many distinct paths the soft evidence has.
	softPaths int
}

func (s sums) score() float64 { return s.hard + s.soft }

// add counts a piece. It returns false for one that isn't distinct.
func (t *tally) add(p Piece, each bool, findtime time.Duration) bool {
	t.expire(p.Time, findtime)
	if !each && t.has(p.Kind, p.Path) {
		return false
	}
	if len(t.pieces) < remembered {
		t.pieces = append(t.pieces, p)
		return true
	}
	t.overflow(p, findtime)
	return true
}

func (t *tally) has(kind Kind, path string) bool {
	return slices.ContainsFunc(t.pieces, func(p Piece) bool { return p.Kind == kind && p.Path == path }) ||
		t.others != nil && t.others.has(kind, path)
}

func (t *tally) overflow(p Piece, findtime time.Duration) {
	start := p.Time.Truncate(findtime / overflowParts)
	i := slices.IndexFunc(t.more, func(o Overflow) bool { return o.Start.Equal(start) })
	if i < 0 {
		t.more = append(t.more, Overflow{Start: start})
		i = len(t.more) - 1
	}
	if p.Soft {
		t.more[i].Soft += p.Weight
		t.more[i].SoftPaths++
		return
	}
	t.more[i].Hard += p.Weight
}

// expire forgets what findtime has passed over.
func (t *tally) expire(now time.Time, findtime time.Duration) {
	t.pieces = slices.DeleteFunc(t.pieces, func(p Piece) bool { return past(p.Time, now, findtime) })
	t.more = slices.DeleteFunc(t.more, func(o Overflow) bool { return past(o.Start, now, findtime) })
	if t.others != nil {
		if t.others.expire(now, findtime); t.others.empty() {
			t.others = nil
		}
	}
}

// past says whether the time since then is d or more. It allocates nothing
// and is never true for a time in the future (a clock that was set back).
func past(then, now time.Time, d time.Duration) bool { return now.Sub(then) >= d }

func (t *tally) empty() bool { return len(t.pieces) == 0 && len(t.more) == 0 && t.others == nil }

// sums adds up what counts at now, without changing anything.
func (t *tally) sums(now time.Time, findtime time.Duration) sums {
	var s sums
	for i := range t.pieces {
		p := &t.pieces[i]
		switch {
		case past(p.Time, now, findtime):
		case p.Soft:
			s.soft += p.Weight
			if !t.softPathBefore(i, now, findtime) {
				s.softPaths++
			}
		default:
			s.hard += p.Weight
		}
	}
	for _, o := range t.more {
		if !past(o.Start, now, findtime) {
			s.hard += o.Hard
			s.soft += o.Soft
			s.softPaths += o.SoftPaths
		}
	}
	if t.others != nil {
		return t.plus(s, now, findtime)
	}
	return s
}

// softPathBefore says whether an earlier soft piece of another kind has the
// path of the i-th.
func (t *tally) softPathBefore(i int, now time.Time, findtime time.Duration) bool {
	return slices.ContainsFunc(t.pieces[:i], func(p Piece) bool {
		return p.Soft && p.Path == t.pieces[i].Path && !past(p.Time, now, findtime)
	})
}
