package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// anyText is the kind of settings that take any text.
const anyText = "string"

// text is any text but the empty one.
var text = codec[string]{name: anyText, parse: notEmpty, text: itself}

// words are a command's arguments. As one text they are split at blanks; a word
// with blanks needs a list.
var words = codec[string]{name: "words", parse: anything, text: itself, split: strings.Fields}

func itself(s string) string            { return s }
func anything(s string) (string, error) { return s, nil }

func notEmpty(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("want a value, not an empty one; leave the setting out instead")
	}
	if strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("contains a zero byte")
	}
	return s, nil
}

// checked is a text that must pass a test.
func checked(name string, check func(string) error) codec[string] {
	return codec[string]{name: name, text: itself, parse: func(s string) (string, error) {
		return s, check(s)
	}}
}

var boolean = codec[bool]{
	name: "bool",
	parse: func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, fmt.Errorf("want true or false, not %q", s)
		}
		return s == "true", nil
	},
	text: strconv.FormatBool,
}

// choice takes one of a few words.
func choice(values ...string) codec[string] {
	return checked(strings.Join(values, "|"), func(s string) error { return oneOf(s, values) })
}

// flagWords is a choice of two that is a bool to the program.
func flagWords(no, yes string) codec[bool] {
	return codec[bool]{
		name: no + "|" + yes,
		parse: func(s string) (bool, error) {
			return s == yes, oneOf(s, []string{no, yes})
		},
		text: func(b bool) string {
			if b {
				return yes
			}
			return no
		},
	}
}

func oneOf(s string, values []string) error {
	if slices.Contains(values, s) {
		return nil
	}
	return &suggestion{
		problem: fmt.Sprintf("want %s, not %q", orList(values), s),
		nearest: Nearest(s, values),
	}
}

func orList(values []string) string {
	last := len(values) - 1
	if last < 1 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// Unlimited is the AppConcurrency that sets no limit.
const Unlimited = -1

// concurrency takes auto, off or a whole number.
var concurrency = codec[int]{
	name: "auto, off or int",
	parse: func(s string) (int, error) {
		switch s {
		case "auto":
			return 0, nil
		case "off":
			return Unlimited, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > mostConcurrency {
			return 0, fmt.Errorf("want auto, off or a whole number from 1 to %d, not %q", mostConcurrency, s)
		}
		return n, nil
	},
	text: func(n int) string {
		switch n {
		case 0:
			return "auto"
		case Unlimited:
			return "off"
		}
		return strconv.Itoa(n)
	},
}

const mostConcurrency = 100_000

// integer takes whole numbers from least to most.
func integer(least, most int) codec[int] {
	return codec[int]{
		name: "int",
		parse: func(s string) (int, error) {
			n, err := strconv.Atoi(s)
			if err != nil || n < least || n > most {
				return 0, fmt.Errorf("want a whole number from %d to %d, not %q", least, most, s)
			}
			return n, nil
		},
		text: strconv.Itoa,
	}
}

// number takes numbers from least to most.
func number(least, most float64) codec[float64] {
	return codec[float64]{
		name: "number",
		parse: func(s string) (float64, error) {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil || !(n >= least && n <= most) { // NaN too
				return 0, fmt.Errorf("want a number from %s to %s, not %q", formatNumber(least), formatNumber(most), s)
			}
			return n, nil
		},
		text: formatNumber,
	}
}

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// duration takes lengths of time from least on.
func duration(least time.Duration) codec[time.Duration] {
	return codec[time.Duration]{
		name: "duration",
		parse: func(s string) (time.Duration, error) {
			d, err := ParseDuration(s)
			if err == nil && d < least {
				err = fmt.Errorf("want at least %s, not %q", FormatDuration(least), s)
			}
			return d, err
		},
		text: FormatDuration,
	}
}

// size takes numbers of bytes from least to most.
func size(least, most Size) codec[Size] {
	return codec[Size]{
		name: "size",
		parse: func(s string) (Size, error) {
			n, err := ParseSize(s)
			if err == nil && (n < least || n > most) {
				err = fmt.Errorf("want %s to %s, not %q", least, most, s)
			}
			return n, err
		},
		text: Size.String,
	}
}

// parseCIDR takes an address as the network of itself. Bits beyond the size are
// an error: 10.1.2.3/8 is either a slip of the size or of the address.
func parseCIDR(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("want an address or a CIDR such as 192.0.2.0/24, not %q", s)
	}
	if p != p.Masked() {
		return p, &suggestion{problem: fmt.Sprintf("%q has bits beyond its size", s), nearest: p.Masked().String()}
	}
	return p, nil
}

func formatCIDR(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// pathPattern is a pattern of package routes' lists. A comma separates several,
// so that none can hold one.
var pathPattern = codec[string]{name: "pattern", text: itself, parse: func(s string) (string, error) {
	rest := strings.TrimPrefix(s, "!")
	if !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, "**/") || strings.ContainsAny(s, " ?#") {
		return "", fmt.Errorf("want a path such as /a, /a/**, **/*.map or !/a, not %q", s)
	}
	return s, nil
}}
