package config

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	good := []struct {
		text string
		want time.Duration
	}{
		{"0", 0}, {"0s", 0}, {"90s", 90 * time.Second}, {"1h30m", 90 * time.Minute}, {"1.5h", 90 * time.Minute},
		{"1d", day}, {"1.5d", 36 * time.Hour}, {"1w", week}, {"1w2d", 9 * day}, {"1w2d3h4m5s", 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second},
		{"100ms", 100 * time.Millisecond}, {"1d100ns", day + 100},
	}
	for _, tt := range good {
		if got, err := ParseDuration(tt.text); err != nil || got != tt.want {
			t.Errorf("%q: got %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", " ", "1", "1x", "d", "w", "1d1w", "1d1d", "-1d", "+1d", "1d-1h", "-1h", "infd", "nanw", "1e3d", "0x1d", "1..5d", "99999999w", "1 d"} {
		if got, err := ParseDuration(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h",
		10 * time.Hour: "10h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", day: "1d", 36 * time.Hour: "1d12h",
		week: "1w", 8 * day: "1w1d", 28 * day: "4w", 1500 * time.Millisecond: "1.5s", week + time.Nanosecond: "1w1ns",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", int64(d), got, want)
		}
	}
}

func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Beyond 2^53 ns (104 days) only whole seconds survive the sum in
		// floating point; no setting is finer.
		d := time.Duration(rapid.Int64Range(0, 1<<52).Draw(t, "d"))
		if rapid.Bool().Draw(t, "long") {
			d = time.Duration(rapid.Int64Range(0, 4e9).Draw(t, "seconds")) * time.Second
		}
		got, err := ParseDuration(FormatDuration(d))
		if err != nil || got.Truncate(time.Microsecond) != d.Truncate(time.Microsecond) {
			t.Fatalf("%v as %s: got %v, %v", d, FormatDuration(d), got, err)
		}
	})
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "512": 512, "1B": 1, "1KB": 1000, "1kb": 1000, "1KiB": 1024, "1MB": 1e6, "1.5MB": 1.5e6, "1mib": 1 << 20,
		"2GiB": 2 << 30, "2 GB": 2e9, "0.5KiB": 512,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "B", "MB", "1TB", "-1", "-1MB", "1e3", "0x10", "inf", "nan", "1,5MB", "99999999999999GB", "1MBs"} {
		if got, err := ParseSize(bad); err == nil {
			t.Errorf("%q: got %d, want an error", bad, got)
		}
	}
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Size(rapid.Int64Range(0, 1<<50).Draw(t, "size"))
		if got, err := ParseSize(n.String()); err != nil || got != n {
			t.Fatalf("%d as %s: got %d, %v", n, n, got, err)
		}
	})
}

func TestRateRoundTrip(t *testing.T) {
	for text, want := range map[string]float64{"10": 10, "10/s": 10, "100/m": 100. / 60, "1/h": 1. / 3600, "5/d": 5. / 86400, "0.5": .5} {
		got, err := rate.parse(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
		if again, err := rate.parse(rate.text(got)); err != nil || math.Abs(again-got) > 1e-12*got {
			t.Errorf("%q as %q: got %v, %v", text, rate.text(got), again, err)
		}
	}
	for _, bad := range []string{"", "/s", "0", "-1", "1/", "1/w", "1/s/s", "inf", "1e99"} {
		if got, err := rate.parse(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"maxretry", "findtime", "bantime", "bantime-max", "app", "host"}
	for word, want := range map[string]string{
		"maxretry": "maxretry", "max-retry": "maxretry", "maxrtery": "maxretry", "MAXRETRY": "maxretry", "bantim": "bantime",
		"bantime-maximum": "bantime-max", "ap": "", "hosts": "host", "zzz": "", "": "",
		"a long word that nobody would write as a key and that is longer than sixty-four bytes": "",
	} {
		if got := Nearest(word, keys); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// distance is a metric as far as suggestions need: zero for the same, symmetric,
// at most the longer word's length.
func TestDistanceProperties(t *testing.T) {
	word := rapid.StringMatching(`[a-c]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if (d == 0) != (a == b) || d != distance(b, a) || d > max(len(a), len(b)) || d < max(len(a), len(b))-min(len(a), len(b)) {
			t.Fatalf("%q to %q: got %d", a, b, d)
		}
	})
}
