package kernel

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"pgregory.net/rapid"
)

// network draws a network of a small space, so that many overlap and touch.
func network(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "ipv6") {
		bits := rapid.IntRange(60, 68).Draw(t, "bits")
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: rapid.Byte().Draw(t, "7"), 8: rapid.Byte().Draw(t, "8")}), bits).Masked()
	}
	bits := rapid.IntRange(26, 32).Draw(t, "bits")
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "a")}), bits).Masked()
}

// TestWantProperties: nothing overlaps, nobody told is left out, nobody is
// dropped that no ban covers, and the kernel's elements mean the same networks.
func TestWantProperties(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		var bans []Ban
		for range rapid.IntRange(0, 40).Draw(t, "bans") {
			bans = append(bans, Ban{network(t), now.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "s")) * time.Second), rapid.Bool().Draw(t, "told")})
		}
		f := &Firewall{config: Config{Bans: func(time.Time) []Ban { return slices.Clone(bans) }}}
		want := f.want(now)
		var elements []nftables.SetElement
		for p, until := range want {
			for q := range want {
				if p != q && p.Overlaps(q) {
					t.Fatalf("%s and %s overlap", p, q)
				}
			}
			if !slices.ContainsFunc(bans, func(b Ban) bool { return b.Told && b.Prefix == p && b.Until.Equal(until) }) {
				t.Fatalf("%s is dropped without a ban", p)
			}
			elements = append(elements, interval(p, time.Minute)...)
		}
		for _, b := range bans {
			covered := false
			for p := range want {
				covered = covered || p.Overlaps(b.Prefix) && p.Bits() <= b.Prefix.Bits()
			}
			if b.Told && b.Until.Sub(now) >= soon && !covered {
				t.Fatalf("%s is left out of %v", b.Prefix, want)
			}
		}
		back := prefixes(elements)
		if len(back) != len(want) {
			t.Fatalf("%v come back as %v", want, back)
		}
		for _, p := range back {
			if _, ok := want[p]; !ok {
				t.Fatalf("%v come back as %v", want, back)
			}
		}
	})
}

// TestDifferProperties: what is taken out and put in leads from the one to the
// other.
func TestDifferProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) map[netip.Prefix]time.Time {
			m := map[netip.Prefix]time.Time{}
			for range rapid.IntRange(0, 10).Draw(t, name) {
				m[network(t)] = time.Unix(int64(rapid.IntRange(1, 3).Draw(t, "until")), 0)
			}
			return m
		}
		held, want := draw("held"), draw("want")
		gone, fresh := differ(held, want)
		for _, p := range gone {
			delete(held, p)
		}
		for p, until := range fresh {
			if _, still := held[p]; still {
				t.Fatalf("%s is put in twice", p)
			}
			held[p] = until
		}
		if len(held) != len(want) {
			t.Fatalf("leads to %v, want %v", held, want)
		}
		for p, until := range want {
			if !held[p].Equal(until) {
				t.Fatalf("%s until %v, want %v", p, held[p], until)
			}
		}
	})
}

// TestReport: that it goes wrong is told once, and that it works again.
func TestReport(t *testing.T) {
	var log bytes.Buffer
	f := &Firewall{config: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	for _, err := range []error{nil, errors.New("one"), errors.New("two"), nil, nil} {
		f.report(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "one") || !strings.Contains(lines[1], "again") {
		t.Errorf("got %q", lines)
	}
}
