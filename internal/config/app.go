package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Workers is how many instances of the app run: from Min to Max, as many as
// are needed.
type Workers struct{ Min, Max int }

// maxWorkers is more than any machine that one process fronts has use for.
const maxWorkers = 256

var workers = codec[Workers]{name: "workers", parse: parseWorkers, text: func(w Workers) string {
	if w.Min == w.Max {
		return strconv.Itoa(w.Min)
	}
	return fmt.Sprintf("auto:%d-%d", w.Min, w.Max)
}}

func parseWorkers(s string) (Workers, error) {
	bad := fmt.Errorf("want a number from 1 to %d, or auto:1-8 for as many as are needed, not %q", maxWorkers, s)
	low, high := s, s
	if limits, auto := strings.CutPrefix(s, "auto:"); auto {
		var ok bool
		if low, high, ok = strings.Cut(limits, "-"); !ok {
			return Workers{}, bad
		}
	}
	least, err1 := strconv.Atoi(low)
	most, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || least < 1 || most < least || most > maxWorkers {
		return Workers{}, bad
	}
	return Workers{least, most}, nil
}

// umask is a file mode mask as umask(1) takes it.
var umask = checked("octal", func(s string) error {
	if n, err := strconv.ParseUint(s, 8, 32); err != nil || n > 0o777 {
		return fmt.Errorf("want octal digits like 027, not %q", s)
	}
	return nil
})

// variable is an environment variable with its value. Commas are part of it.
var variable = codec[string]{name: "NAME=value", text: itself, split: whole, parse: func(s string) (string, error) {
	if name, _, ok := strings.Cut(s, "="); !ok || name == "" || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("want NAME=value, not %q", s)
	}
	return s, nil
}}

// healthPath is a path of the app's.
var healthPath = checked("path", func(s string) error {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, " \r\n#") {
		return fmt.Errorf("want a path like /healthz, not %q", s)
	}
	return nil
})
