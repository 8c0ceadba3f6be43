package ban

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawPrefix draws networks close to each other, so that they nest and touch.
func drawPrefix(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "IPv4") {
		bits := rapid.SampledFrom([]int{0, 1, 8, 24, 28, 30, 31, 32}).Draw(t, "bits")
		return netip.PrefixFrom(drawAddr(t, true), bits).Masked()
	}
	bits := rapid.SampledFrom([]int{0, 1, 32, 63, 64, 65, 96, 120, 127, 128}).Draw(t, "bits")
	return netip.PrefixFrom(drawAddr(t, false), bits).Masked()
}

// drawAddr draws addresses with few different bits, and the very first and last.
func drawAddr(t *rapid.T, is4 bool) netip.Addr {
	low := rapid.SampledFrom([]uint64{0, 1, 2, 3, 14, 15, 16, 255, 256, 1<<32 - 1}).Draw(t, "low")
	if is4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(low))
		return netip.AddrFrom4(b)
	}
	high := rapid.SampledFrom([]uint64{0, 1, 0x20010db8 << 32, 1 << 63, 1<<64 - 1}).Draw(t, "high")
	if high == 1<<64-1 && low == 1<<32-1 {
		low = 1<<64 - 1
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], high)
	binary.BigEndian.PutUint64(b[8:], low)
	return netip.AddrFrom16(b).Unmap()
}

// TestRangesAreWhatTheNetworksSay compares with asking each network.
func TestRangesAreWhatTheNetworksSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []*rule
		base := newBitset(70)
		for i := range 70 {
			r := &rule{Rule: Rule{}, index: i}
			for range rapid.IntRange(0, 3).Draw(t, "networks") {
				r.Match.Peers = append(r.Match.Peers, drawPrefix(t))
			}
			if len(r.Match.Peers) == 0 {
				base.set(i)
			}
			rules = append(rules, r)
		}
		v4, v6 := newRanges(rules, true, base), newRanges(rules, false, base)
		for range 30 {
			a := drawAddr(t, rapid.Bool().Draw(t, "IPv4"))
			in := v6
			if a.Is4() {
				in = v4
			}
			got := in.of(pointOf(a))
			for i, r := range rules {
				want := len(r.Match.Peers) == 0 || slices.ContainsFunc(r.Match.Peers, func(p netip.Prefix) bool { return p.Contains(a) })
				if got.has(i) != want {
					t.Fatalf("%s in %v: %v, want %v", a, r.Match.Peers, got.has(i), want)
				}
			}
		}
	})
}

func TestEmptyRanges(t *testing.T) {
	base := newBitset(3)
	base.set(1)
	if got := newRanges(nil, true, base).of(point{1, 2}); !got.has(1) || got.has(0) {
		t.Errorf("%v", got)
	}
}

func TestNextIsTheFirstInAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 200
		var in [3][]int
		var sets [3]bitset
		for s := range sets {
			sets[s] = newBitset(n)
			in[s] = rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 150).Draw(t, "set")
			for _, i := range in[s] {
				sets[s].set(i)
			}
		}
		from := rapid.IntRange(0, n).Draw(t, "from")
		want := -1
		for i := n - 1; i >= from; i-- {
			if slices.Contains(in[0], i) && slices.Contains(in[1], i) && slices.Contains(in[2], i) {
				want = i
			}
		}
		if got := next(from, sets[0], sets[1], sets[2]); got != want {
			t.Fatalf("from %d: %d, want %d", from, got, want)
		}
	})
}

func TestChoices(t *testing.T) {
	rules := []*rule{
		{Rule: Rule{Match: Match{Methods: []string{"GET"}}}},
		{Rule: Rule{}},
		{Rule: Rule{Match: Match{Methods: []string{"PUT", "POST"}}}},
	}
	c := newChoices(rules, (*rule).methods)
	for method, want := range map[string][]bool{
		"GET": {true, true, false}, "HEAD": {true, true, false}, "POST": {false, true, true}, "DELETE": {false, true, false}, "": {false, true, false},
	} {
		for i := range rules {
			if got := c.of(method).has(i); got != want[i] {
				t.Errorf("%s, rule %d: %v", method, i, got)
			}
		}
	}
}

func TestCountsAgainstAPlainList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &rule{Rule: Rule{
			MaxRetry: rapid.SampledFrom([]int{1, 2, 10, exact, exact + 1, 500}).Draw(t, "maxretry"),
			FindTime: rapid.SampledFrom([]time.Duration{time.Second, time.Minute}).Draw(t, "findtime"),
		}}
		var st state
		var all []time.Time
		now := start
		for range rapid.IntRange(1, 300).Draw(t, "matches") {
			now = now.Add(time.Duration(rapid.IntRange(0, int(r.FindTime/40)).Draw(t, "pause")))
			all = append(all, now)
			want := 0
			for _, at := range all {
				if now.Sub(at) < r.FindTime {
					want++
				}
			}
			got := st.count(now, r)
			step := time.Duration(0)
			if r.MaxRetry > exact {
				step = r.FindTime / exact
			}
			least := 0 // what is younger than findtime less the step can't have leaked
			for _, at := range all {
				if now.Sub(at) < r.FindTime-step {
					least++
				}
			}
			if r.MaxRetry <= exact {
				want, least, got = min(want, r.MaxRetry), min(least, r.MaxRetry), min(got, r.MaxRetry)
			}
			if got > want || got < least {
				t.Fatalf("after %d: %d, want %d to %d", len(all), got, least, want)
			}
			if len(st.matches) > exact+1 {
				t.Fatalf("%d times are remembered", len(st.matches))
			}
		}
	})
}

// TestStatesAreTheNewest compares the bounded states of one shard with a list.
func TestStatesAreTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 5
		s := &stateShard{limit: limit, m: map[stateKey]*state{}}
		var order []stateKey // the newest last
		busy := map[stateKey]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := stateKey{rule: uint32(rapid.IntRange(0, 9).Draw(t, "id"))}
			if i := slices.Index(order, id); i >= 0 {
				order = slices.Delete(order, i, i+1)
			} else if len(order) >= limit {
				if i := slices.IndexFunc(order, func(id stateKey) bool { return !busy[id] }); i >= 0 {
					order = slices.Delete(order, i, i+1)
				}
			}
			order = append(order, id)
			st := s.get(id, start)
			if rapid.Bool().Draw(t, "busy") {
				busy[id] = !busy[id]
				st.inFlight = 0
				if busy[id] {
					st.inFlight = 1
				}
			}
			var got []stateKey
			for st := s.oldest; st != nil; st = st.prev {
				got = append(got, st.id)
			}
			if !slices.Equal(got, order) || len(s.m) != len(order) {
				t.Fatalf("%v in a map of %d, want %v", got, len(s.m), order)
			}
		}
	})
}

func TestIdleStatesAreForgotten(t *testing.T) {
	p := ruled(t, login, Rule{Name: "rate", Measure: Throttle, Limits: Limits{Rate: 1, Burst: 5, ConnectionRate: 1}},
		Rule{Name: "nets", Measure: Block, Match: Match{Peers: prefixes("203.0.113.0/24")}})
	p.served(mallory, "POST", "/login", 401)
	p.Connect(p.now, mallory.Addr())
	p.request(netip.MustParsePrefix("203.0.113.1/32"), "GET", "/")
	if s := p.Stats(p.now); s.States != 3 || s.Bytes < 3*sizeState {
		t.Fatalf("%+v", s)
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 3}, {2 * time.Second, 2}, {time.Minute, 1}, {DefaultFindTime, 0}} {
		p.now = start.Add(c.after)
		p.Expire(p.now)
		if s := p.Stats(p.now); s.States != c.want {
			t.Errorf("after %v: %d states, want %d", c.after, s.States, c.want)
		}
	}
}
