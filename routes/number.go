package routes

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDigits is Python's limit for turning text into an int (sys.int_info
// .default_max_str_digits); beyond it the app answers 500.
const maxDigits = 4300

// refusal is what a converter's to_python says of a value its regex took.
type refusal uint8

const (
	accepted refusal = iota
	refused          // ValidationError: the rule does not match
	raised           // any other exception: the app answers 500
)

// number is the second half of Werkzeug's NumberConverter: to_python and to_url.
type number struct {
	float       bool
	fixedDigits int
	min, max    *float64
}

// bounded says whether to_python can refuse a value.
func (n *number) bounded() bool {
	return n.fixedDigits != 0 || n.min != nil || n.max != nil
}

func intConverter(args arguments) (*converter, error) {
	fixed, _, bad := args.integer("fixed_digits", 0)
	least, err1 := bound(args, "min", 1)
	most, err2 := bound(args, "max", 2)
	if bad || err1 || err2 {
		return nil, fmt.Errorf("int converter: a bound is no number")
	}
	n := &number{fixedDigits: int(fixed), min: least, max: most}
	return numberConverter(n, `\d+`, acceptsInt, args.truth("signed", 3)), nil
}

func floatConverter(args arguments) (*converter, error) {
	least, err1 := bound(args, "min", 0)
	most, err2 := bound(args, "max", 1)
	if err1 || err2 {
		return nil, fmt.Errorf("float converter: a bound is no number")
	}
	n := &number{float: true, min: least, max: most}
	return numberConverter(n, `\d+\.\d+`, acceptsFloat, args.truth("signed", 2)), nil
}

func numberConverter(n *number, regex string, accepts func(string) bool, signed bool) *converter {
	if signed {
		unsigned := accepts
		regex = "-?" + regex
		accepts = func(s string) bool { return unsigned(strings.TrimPrefix(s, "-")) }
	}
	return &converter{
		regex: regex, weight: numberWeight, isolating: true,
		accepts: accepts, number: n, quote: n.text,
	}
}

func bound(args arguments, name string, place int) (limit *float64, bad bool) {
	v, given := args.get(name, place)
	if !given {
		return nil, false
	}
	f, ok := asFloat(v)
	if !ok {
		return nil, true
	}
	return &f, false
}

// asFloat turns what Python counts as a number into one.
func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// acceptsInt is \d+ anchored; \d takes every decimal digit of Unicode.
func acceptsInt(s string) bool {
	return s != "" && digitsIn(s) == len(s)
}

func acceptsFloat(s string) bool {
	whole := digitsIn(s)
	if whole == 0 || whole == len(s) || s[whole] != '.' {
		return false
	}
	return acceptsInt(s[whole+1:])
}

// digitsIn returns how many bytes at the start of s are decimal digits.
func digitsIn(s string) int {
	i := 0
	for i < len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			if c-'0' > 9 {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !unicode.Is(unicode.Nd, r) {
			return i
		}
		i += size
	}
	return i
}

// check is NumberConverter.to_python for text that the regex took.
func (n *number) check(raw string) refusal {
	if n.fixedDigits != 0 && utf8.RuneCountInString(raw) != n.fixedDigits {
		return refused
	}
	if !n.float && tooLong(raw) {
		return raised
	}
	if n.min != nil && compareNumber(raw, *n.min) < 0 {
		return refused
	}
	if n.max != nil && compareNumber(raw, *n.max) > 0 {
		return refused
	}
	return accepted
}

// tooLong says that Python's int() raises for the number of digits.
func tooLong(raw string) bool {
	return len(raw) > maxDigits && utf8.RuneCountInString(strings.TrimPrefix(raw, "-")) > maxDigits
}

// compareNumber compares a number's text with a bound, exactly also where the
// number is too long for a float64.
func compareNumber(raw string, limit float64) int {
	raw = asciiDigits(raw)
	if len(raw) < 16 {
		f, _ := strconv.ParseFloat(raw, 64)
		switch {
		case f < limit:
			return -1
		case f > limit:
			return 1
		}
		return 0
	}
	if i, ok := new(big.Int).SetString(raw, 10); ok && !math.IsInf(limit, 0) && !math.IsNaN(limit) {
		return new(big.Float).SetInt(i).Cmp(big.NewFloat(limit))
	}
	f, _ := strconv.ParseFloat(raw, 64)
	return big.NewFloat(clampInf(f)).Cmp(big.NewFloat(clampInf(limit)))
}

func clampInf(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// asciiDigits replaces Unicode's decimal digits by ASCII ones. Each block of
// ten starts at a code point whose value Unicode gives as zero.
func asciiDigits(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(asciiDigit, s)
		}
	}
	return s
}

func asciiDigit(r rune) rune {
	if r < utf8.RuneSelf || !unicode.Is(unicode.Nd, r) {
		return r
	}
	for _, block := range unicode.Nd.R16 {
		if digit, ok := digitIn(rune(block.Lo), rune(block.Hi), r); ok {
			return digit
		}
	}
	for _, block := range unicode.Nd.R32 {
		if digit, ok := digitIn(rune(block.Lo), rune(block.Hi), r); ok {
			return digit
		}
	}
	return r
}

func digitIn(low, high, r rune) (digit rune, ok bool) {
	return '0' + (r-low)%10, low <= r && r <= high
}

// text is NumberConverter.to_url of to_python: leading zeros go, the fixed
// number of digits is filled up again.
func (n *number) text(raw string) string {
	raw = asciiDigits(raw)
	if n.float {
		f, _ := strconv.ParseFloat(raw, 64)
		return pythonFloat(f)
	}
	digits := strings.TrimPrefix(raw, "-")
	sign := raw[:len(raw)-len(digits)]
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		sign, digits = "", "0"
	}
	if missing := n.fixedDigits - len(sign) - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return sign + digits
}
