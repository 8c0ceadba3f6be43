package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// longUnits are the units that Go's durations lack.
var longUnits = []struct {
	name   string
	length time.Duration
}{{"w", week}, {"d", day}}

// ParseDuration reads Go's durations, and "d" for 24 hours and "w" for 7 days
// before them: "1w", "1d12h", "90s". Negative ones are errors.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("want a duration such as 90s, 10m, 12h, 1d or 1w, not %q", s)
	rest := s
	total := 0.0
	for _, u := range longUnits {
		count, after, found := strings.Cut(rest, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(count, 64)
		if err != nil || !plainNumber(count) {
			return 0, bad
		}
		total += n * float64(u.length)
		rest = after
	}
	if rest != "" || s == "" {
		d, err := time.ParseDuration(rest)
		if err != nil || strings.ContainsAny(rest, "+-") {
			return 0, bad
		}
		total += float64(d)
	}
	if total > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is too long: at most 146 years", s)
	}
	return time.Duration(total), nil
}

// plainNumber says whether s has digits and a point only: no sign, exponent or
// name such as "inf".
func plainNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

// FormatDuration writes d so that ParseDuration reads it back, with the largest
// units that fit: 1w, 1d12h, 10m, 1.5s.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range longUnits {
		if n := d / u.length; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.length
		}
	}
	if d > 0 || b.Len() == 0 {
		short := d.String()
		short = strings.TrimSuffix(short, "m0s") + suffixIf(short, "m0s", "m")
		short = strings.TrimSuffix(short, "h0m") + suffixIf(short, "h0m", "h")
		b.WriteString(short)
	}
	return b.String()
}

func suffixIf(s, suffix, then string) string {
	if strings.HasSuffix(s, suffix) {
		return then
	}
	return ""
}

// sizeUnits are the units of sizes, larger ones first: what Size.String tries
// in order.
var sizeUnits = []struct {
	name  string
	bytes Size
}{
	{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1},
}

// ParseSize reads a number of bytes: "1MB" is 1,000,000 and "1MiB" 1,048,576;
// a bare number counts bytes. Case does not matter.
func ParseSize(s string) (Size, error) {
	count, factor := s, Size(1)
	for _, u := range sizeUnits {
		if len(s) > len(u.name) && strings.EqualFold(s[len(s)-len(u.name):], u.name) {
			count, factor = strings.TrimSpace(s[:len(s)-len(u.name)]), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(count, 64)
	if err != nil || !plainNumber(count) {
		return 0, fmt.Errorf("want a size such as 512KB, 1MB or 2GiB, not %q", s)
	}
	if n*float64(factor) > 1<<60 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Size(n * float64(factor)), nil
}

// String writes s with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return "0B"
}
