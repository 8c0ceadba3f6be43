package routes

import (
	"math"
	"strings"
)

// The parameters of RFC 3492, section 5.
const (
	punycodeBase        = 36
	punycodeTMin        = 1
	punycodeTMax        = 26
	punycodeSkew        = 38
	punycodeDamp        = 700
	punycodeInitialBias = 72
	punycodeInitialN    = 128
)

// punycode encodes one label of a host name (RFC 3492, section 6.3).
func punycode(label string) (string, bool) {
	runes := []rune(label)
	var out strings.Builder
	for _, r := range runes {
		if r < punycodeInitialN {
			out.WriteByte(byte(r))
		}
	}
	basic := out.Len()
	if basic > 0 {
		out.WriteByte('-')
	}
	n, delta, bias := rune(punycodeInitialN), 0, punycodeInitialBias
	for handled := basic; handled < len(runes); {
		next := nextRune(runes, n)
		delta += int(next-n) * (handled + 1)
		if delta > math.MaxInt32 {
			return "", false
		}
		n = next
		for _, r := range runes {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			writePunycode(&out, delta, bias)
			bias = adaptPunycode(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		n++
	}
	return out.String(), true
}

// nextRune returns the smallest rune that is not below n.
func nextRune(runes []rune, n rune) rune {
	next := rune(math.MaxInt32)
	for _, r := range runes {
		if r >= n && r < next {
			next = r
		}
	}
	return next
}

// writePunycode writes delta as a variable-length integer.
func writePunycode(out *strings.Builder, delta, bias int) {
	for k := punycodeBase; ; k += punycodeBase {
		t := min(max(k-bias, punycodeTMin), punycodeTMax)
		if delta < t {
			out.WriteByte(punycodeDigit(delta))
			return
		}
		out.WriteByte(punycodeDigit(t + (delta-t)%(punycodeBase-t)))
		delta = (delta - t) / (punycodeBase - t)
	}
}

func punycodeDigit(d int) byte {
	if d < 26 {
		return byte('a' + d)
	}
	return byte('0' + d - 26)
}

func adaptPunycode(delta, points int, first bool) int {
	if first {
		delta /= punycodeDamp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > (punycodeBase-punycodeTMin)*punycodeTMax/2 {
		delta /= punycodeBase - punycodeTMin
		k += punycodeBase
	}
	return k + (punycodeBase-punycodeTMin+1)*delta/(delta+punycodeSkew)
}
