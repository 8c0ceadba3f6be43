package routes

import (
	"regexp"
	"strconv"
	"strings"
)

// argumentPattern is Werkzeug's routing.rules._converter_args_re, with Python's
// Unicode \w written out.
var argumentPattern = regexp.MustCompile(`(?:([\p{L}\p{N}_]+)\s*=\s*)?(True|False|\p{Nd}+.\p{Nd}+|\p{Nd}+.|\p{Nd}+|[\p{L}\p{N}_.]+|[urUR]?("[^"]*?"|'[^']*'))\s*,`)

// arguments are the values in the parentheses of a converter. Values are nil,
// bool, int64, float64 or string.
type arguments struct {
	positional []any
	named      map[string]any
}

// parseArguments reads the text between a converter's parentheses as
// Werkzeug's parse_converter_args does.
func parseArguments(text string) arguments {
	args := arguments{named: map[string]any{}}
	if text == "" {
		return args
	}
	for _, m := range argumentPattern.FindAllStringSubmatch(text+",", -1) {
		value := m[2]
		if m[3] != "" {
			value = m[3]
		}
		if m[1] == "" {
			args.positional = append(args.positional, pythonize(value))
		} else {
			args.named[m[1]] = pythonize(value)
		}
	}
	return args
}

// pythonConstants is Werkzeug's routing.rules._PYTHON_CONSTANTS.
var pythonConstants = map[string]any{"None": nil, "True": true, "False": false}

// pythonize is Werkzeug's routing.rules._pythonize.
func pythonize(value string) any {
	if constant, ok := pythonConstants[value]; ok {
		return constant
	}
	if number, ok := pythonNumber(strings.ReplaceAll(strings.TrimSpace(value), "_", "")); ok {
		return number
	}
	if n := len(value); n > 1 && value[0] == value[n-1] && strings.IndexByte(`"'`, value[0]) >= 0 {
		return value[1 : n-1]
	}
	return value
}

// pythonNumber reads what int() or float() would.
func pythonNumber(text string) (any, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !strings.ContainsAny(text, "xXpP")
}

// get returns the argument by its name, or by its place where that is not
// negative, and whether it was given (None counts as not given, as every
// built-in converter takes it so).
func (a arguments) get(name string, place int) (any, bool) {
	if v, ok := a.named[name]; ok {
		return v, v != nil
	}
	if place >= 0 && place < len(a.positional) {
		v := a.positional[place]
		return v, v != nil
	}
	return nil, false
}

// integer returns an argument as Python's int() reads it; ok is false where it
// was not given, bad is true where int() would raise.
func (a arguments) integer(name string, place int) (n int64, ok, bad bool) {
	v, given := a.get(name, place)
	if !given {
		return 0, false, false
	}
	switch v := v.(type) {
	case int64:
		return v, true, false
	case float64:
		return int64(v), true, false
	case bool:
		if v {
			return 1, true, false
		}
		return 0, true, false
	default:
		return 0, false, true
	}
}

// truth returns an argument's truth value as Python sees it.
func (a arguments) truth(name string, place int) bool {
	v, given := a.get(name, place)
	return given && v != false && v != int64(0) && v != float64(0) && v != ""
}
