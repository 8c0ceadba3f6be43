package ban

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const minutes10 = 10 * time.Minute

func piece(at time.Duration, path string, weight float64, soft bool) Piece {
	return Piece{Time: start.Add(at), Kind: UnexpectedPath, Path: path, Weight: weight, Soft: soft}
}

func TestSums(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []Piece
		at     time.Duration
		want   sums
	}{
		{"nothing", nil, 0, sums{}},
		{"one", []Piece{piece(0, "/a", 1, false)}, 0, sums{hard: 1}},
		{"a moment before findtime", []Piece{piece(0, "/a", 1, false)}, minutes10 - 1, sums{hard: 1}},
		{"at findtime", []Piece{piece(0, "/a", 1, false)}, minutes10, sums{}},
		{"the window slides", []Piece{piece(0, "/a", 1, false), piece(time.Minute, "/b", 1, false)}, minutes10, sums{hard: 1}},
		{"soft and hard", []Piece{piece(0, "/a", 1, false), piece(0, "/b", .5, true)}, 0, sums{hard: 1, soft: .5, softPaths: 1}},
		{"the same path twice", []Piece{piece(0, "/a", 1, false), piece(time.Minute, "/a", 1, false)}, time.Minute, sums{hard: 1}},
		{"the same path after findtime", []Piece{piece(0, "/a", 1, false), piece(minutes10, "/a", 1, false)}, minutes10, sums{hard: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tally tally
			for _, p := range c.pieces {
				tally.add(p, false, minutes10)
			}
			if got := tally.sums(start.Add(c.at), minutes10); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestOnePathOfTwoKindsIsOneSoftPath(t *testing.T) {
	var tally tally
	first, second := piece(0, "/a", 1, true), piece(time.Minute, "/a", .5, true)
	second.Kind = UnexpectedMethod
	tally.add(first, false, minutes10)
	tally.add(second, false, minutes10)
	for at, want := range map[time.Duration]sums{
		time.Minute: {soft: 1.5, softPaths: 1},
		minutes10:   {soft: .5, softPaths: 1}, // the second alone
	} {
		if got := tally.sums(start.Add(at), minutes10); got != want {
			t.Errorf("after %v: got %+v, want %+v", at, got, want)
		}
	}
}

// TestBeyondTheRemembered: weight counts, memory stays bounded, and it leaks
// away no later than findtime.
func TestBeyondTheRemembered(t *testing.T) {
	var tally tally
	for i := range 10_000 {
		if !tally.add(piece(time.Duration(i)*minutes10/10_000, fmt.Sprint("/", i), 1, i%2 == 0), false, minutes10) {
			t.Fatalf("piece %d did not count", i)
		}
		if len(tally.pieces) > remembered || len(tally.more) > overflowParts+1 {
			t.Fatalf("of %d, %d pieces and %d parts are kept", i+1, len(tally.pieces), len(tally.more))
		}
	}
	got := tally.sums(start.Add(minutes10-minutes10/10_000), minutes10)
	if least := 10_000. * (overflowParts - 1) / overflowParts; got.score() > 10_000 || got.score() < least-1 {
		t.Errorf("score %v, want 10000 less at most a part of findtime", got.score())
	}
	if !tally.add(piece(minutes10/2, "/9999", 1, false), false, minutes10) {
		t.Error("beyond the remembered, a repetition did not count as new")
	}
	if got := tally.sums(start.Add(2*minutes10), minutes10); got != (sums{}) {
		t.Errorf("after findtime: %+v", got)
	}
	tally.expire(start.Add(2*minutes10), minutes10)
	if !tally.empty() {
		t.Errorf("expired: %+v", tally)
	}
}

func TestSmallWeightsReachTheThreshold(t *testing.T) {
	p := newPlay(t, Config{MaxRetry: 1, Weights: map[Kind]float64{UnexpectedPath: .1}})
	for i := range 10 {
		out := p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: fmt.Sprint("/", i)}})
		if banned := out.Banned != nil; banned != (i == 9) {
			t.Errorf("ten times 0.1: banned %v at %d", banned, i+1)
		}
	}
}

func TestKeepCutsAtCharacters(t *testing.T) {
	for _, s := range []string{"", "/a", strings.Repeat("é", 128), strings.Repeat("é", 129), strings.Repeat("日本", 1000), "\xff\xfe" + strings.Repeat("x", 999)} {
		got := keep(s)
		if len(s) <= maxText && got != s {
			t.Errorf("%q was changed to %q", s, got)
		}
		if len(got) > maxText {
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q is cut within a character", got)
		}
	}
	if long := strings.Repeat("a", 1000); keep(long+"x") == keep(long+"y") || keep(long) != keep(strings.Clone(long)) {
		t.Error("cut texts are not as distinct as whole ones")
	}
}

func TestMerit(t *testing.T) {
	type step struct {
		seconds, bad, routes, sessions int
	}
	for _, c := range []struct {
		name          string
		step          step
		known, shared bool
	}{
		{"nothing", step{}, false, false},
		{"nine seconds", step{9, 0, 3, 1}, false, false},
		{"ten seconds", step{10, 0, 3, 1}, true, false},
		{"one route only", step{100, 0, 1, 1}, false, false},
		{"one offence in ten", step{10, 1, 3, 1}, true, false},
		{"two offences in ten", step{10, 2, 3, 1}, false, false},
		{"many sessions", step{100, 0, 3, 20}, true, true},
		{"many sessions without a record", step{5, 0, 3, 5}, false, false},
		{"months of use", step{100_000, 0, 3, 1}, true, false},
		{"offences without end", step{1000, 100_000, 3, 1}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m merit
			for i := range c.step.seconds {
				m.credit(uint32(1+i), strconv.Itoa(i%max(c.step.routes, 1)), uint64(1+i%max(c.step.sessions, 1)))
			}
			for range c.step.bad {
				m.blame(uint32(1 + c.step.seconds))
			}
			if m.known() != c.known || m.shared() != c.shared {
				t.Errorf("known %v, shared %v; want %v, %v: %+v", m.known(), m.shared(), c.known, c.shared, m)
			}
		})
	}
}

func TestWorthFadesWithIdleHours(t *testing.T) {
	m := merit{seen: 1_000_000, good: 64}
	for hours, want := range map[uint32]uint16{0: 64, 1: 32, 6: 1, 7: 0, 1000: 0} {
		if got := m.worth(m.seen + hours*3600); got != want {
			t.Errorf("after %d hours: %d, want %d", hours, got, want)
		}
	}
	if got := m.worth(m.seen - 3600); got != 64 {
		t.Errorf("with the clock set back: %d, want 64", got)
	}
}

// FuzzEvidence holds that no request's text upsets the engine.
func FuzzEvidence(f *testing.F) {
	f.Add("unexpected_path", "/a", "GET", "", false, uint8(3))
	f.Add("honeypath", "/.env\r\nX: y", "G\x00T", "\xff", true, uint8(200))
	f.Add("x", strings.Repeat("/a", 5000), "", "", false, uint8(9))
	f.Fuzz(func(t *testing.T, kind, path, method, id string, soft bool, times uint8) {
		e := newEngine(t, Config{MaxClients: 10})
		for range times {
			e.Observe(start, Observation{Client: address(1), Evidence: &Evidence{Kind: Kind(kind), Path: path, Method: method, RequestID: id, Soft: soft}})
		}
		x := e.Why(start, address(1))
		if len(x.Evidence) > 2*remembered || x.Ban != nil && (strings.Contains(x.Ban.Reason, path) && len(path) > 12 && !strings.Contains(kind, path)) {
			t.Errorf("%d pieces, ban %+v", len(x.Evidence), x.Ban)
		}
	})
}

// TestTwoRoutesAreARecord: which two routes an app has must not decide whether
// its regulars are known ones, and neither must a restart.
func TestTwoRoutesAreARecord(t *testing.T) {
	routes := []string{"/", "/<int:year>", "/user/<name>", "/static/<path:filename>", "/login", "/a", "/b"}
	for i := range 50 {
		routes = append(routes, fmt.Sprintf("/api/v%d/<item>", i))
	}
	for i, one := range routes {
		for _, other := range routes[:i] {
			var m merit
			for second := range uint32(goodSeconds) {
				m.credit(1+second, []string{one, other}[second%2], 0)
			}
			if !m.known() {
				t.Errorf("who used %s and %s is not known", one, other)
			}
		}
	}
	if got, want := fingerprint("/user/<name>"), uint16(0x33f8); got != want {
		t.Errorf("the fingerprint is %#x, want %#x: saved records would be lost", got, want)
	}
}
