package routes

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// converter is one URL converter with its arguments applied. It mirrors
// Werkzeug's routing/converters.py.
type converter struct {
	// regex is in Python's syntax, without a group around it.
	regex     string
	weight    int
	isolating bool
	// accepts says whether regex matches all of s, without running it; nil
	// where only the regex can tell. It may be called with s of any content.
	accepts func(s string) bool
	// items are all the texts that an any converter takes.
	items []string
	// number is set for the converters that turn the text into a number.
	number *number
	// quote writes a value into a URL; nil means percent-encoding.
	quote func(raw string) string
}

const (
	defaultWeight = 100 // BaseConverter.weight
	numberWeight  = 50  // NumberConverter.weight
	pathWeight    = 200 // PathConverter.weight

	uuidRegex = `[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}`
	// wideRegex matches anything, slashes and nothing at all included.
	wideRegex = `(?s:.*)`
	// wideSegment matches anything that can stand between two slashes.
	wideSegment = `[^/]*`
)

// builtins are the converters that every map has, by the name used in rules.
var builtins = map[string]func(arguments) (*converter, error){
	"default": stringConverter,
	"string":  stringConverter,
	"any":     anyConverter,
	"path":    pathConverter,
	"int":     intConverter,
	"float":   floatConverter,
	"uuid":    uuidConverter,
}

func stringConverter(args arguments) (*converter, error) {
	least, _, bad1 := args.integer("minlength", 0)
	most, capped, bad2 := args.integer("maxlength", 1)
	exact, fixed, bad3 := args.integer("length", 2)
	if bad1 || bad2 || bad3 {
		return nil, fmt.Errorf("string converter: a length is no integer")
	}
	if _, given := args.get("minlength", 0); !given {
		least = 1
	}
	regex := fmt.Sprintf("[^/]{%d,}", least)
	switch {
	case fixed:
		regex, least, most, capped = fmt.Sprintf("[^/]{%d}", exact), exact, exact, true
	case capped:
		regex = fmt.Sprintf("[^/]{%d,%d}", least, most)
	}
	accepts := func(s string) bool { return lengthWithin(s, int(least), int(most), capped) }
	if least == 1 && !capped {
		accepts = func(s string) bool { return s != "" }
	}
	return &converter{regex: regex, weight: defaultWeight, isolating: true, accepts: accepts}, nil
}

// lengthWithin counts code points, and only where counting bytes cannot tell.
func lengthWithin(s string, least, most int, capped bool) bool {
	if len(s) < least {
		return false
	}
	if len(s) >= least*utf8.UTFMax && !capped {
		return true
	}
	n := utf8.RuneCountInString(s)
	return n >= least && (!capped || n <= most)
}

func anyConverter(args arguments) (*converter, error) {
	items := make([]string, len(args.positional))
	escaped := make([]string, len(args.positional))
	for i, v := range args.positional {
		items[i] = pythonText(v)
		escaped[i] = regexp.QuoteMeta(items[i])
	}
	accepts := func(s string) bool {
		for _, item := range items {
			if item == s {
				return true
			}
		}
		return false
	}
	if len(items) > 8 {
		set := make(map[string]struct{}, len(items))
		for _, item := range items {
			set[item] = struct{}{}
		}
		accepts = func(s string) bool { _, ok := set[s]; return ok }
	}
	regex := "(?:" + strings.Join(escaped, "|") + ")"
	return &converter{
		regex: regex, weight: defaultWeight, isolating: true, accepts: accepts, items: items,
		quote: func(raw string) string { return raw },
	}, nil
}

func pathConverter(arguments) (*converter, error) {
	return &converter{regex: `[^/].*?`, weight: pathWeight, accepts: acceptsPath}, nil
}

// acceptsPath is [^/].*? anchored at both ends; the dot takes no newline.
func acceptsPath(s string) bool {
	return s != "" && s[0] != '/' && (len(s) == 1 || strings.IndexByte(s[1:], '\n') < 0)
}

func uuidConverter(arguments) (*converter, error) {
	return &converter{
		regex: uuidRegex, weight: defaultWeight, isolating: true,
		accepts: acceptsUUID, quote: strings.ToLower,
	}, nil
}

func acceptsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// customConverter makes the best of what is known of an app's own converter.
func customConverter(c Converter, args arguments) *converter {
	regex := c.Regex
	if c.RegexFromArg {
		regex = ""
		if len(args.positional) > 0 {
			regex = pythonText(args.positional[0])
		}
	}
	weight := c.Weight
	if weight == 0 {
		weight = defaultWeight
	}
	if regex == "" {
		return unknownConverter(c.PartIsolating, weight)
	}
	return &converter{regex: regex, weight: weight, isolating: c.PartIsolating}
}

// unknownConverter matches as widely as any converter could: a converter that
// matched less than the app's would turn the app's own URLs into evidence.
func unknownConverter(isolating bool, weight int) *converter {
	regex := wideRegex
	if isolating {
		regex = wideSegment
	}
	return &converter{regex: regex, weight: weight, isolating: isolating, accepts: func(string) bool { return true }}
}

// pythonText is str(v) in Python, for the values that arguments and defaults
// can have.
func pythonText(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case float64:
		return pythonFloat(v)
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// pythonFloat is repr(v) in Python.
func pythonFloat(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'f', -1, 64)), "+")
	}
	if v != 0 && (v < 1e-4 && v > -1e-4 || v >= 1e16 || v <= -1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// defaultText is str(v) for a rule's default. A default that came through JSON
// has lost whether it was 1 or 1.0; it is far more often an int.
func defaultText(v any) string {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return pythonText(v)
}
