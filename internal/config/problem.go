package config

import (
	"fmt"
	"strings"
)

// An Error is one thing that is wrong with the configuration.
type Error struct {
	// Place is where it stands: "flask2ban.yaml:3:1", "--listen" or
	// "FLASK2BAN_LISTEN".
	Place string
	// Key is the setting's key in the file, with dots where it is nested;
	// empty where Place names the setting or no one setting is wrong.
	Key string
	// Problem says what is wrong.
	Problem string
	// Nearest is what was meant, most likely; empty where nothing is near.
	Nearest string
}

// Error is one line: place: key: what is wrong (did you mean "x"?).
func (e *Error) Error() string {
	var b strings.Builder
	for _, part := range []string{e.Place, e.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(e.Problem)
	if e.Nearest != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", e.Nearest)
	}
	return b.String()
}

// A suggestion is a value's error that knows what was meant.
type suggestion struct{ problem, nearest string }

func (s *suggestion) Error() string { return s.problem }

// problem places the error of a value.
func problem(place, key string, err error) *Error {
	e := &Error{Place: place, Key: key, Problem: err.Error()}
	if s, ok := err.(*suggestion); ok {
		e.Nearest = s.nearest
	}
	return e
}

// maxCompared is how long a word may be for a suggestion.
const maxCompared = 64

// Nearest is the candidate that s most likely was to be: at most a third of its
// letters changed, left out, added or swapped, or else its beginning. Empty
// where none is near.
func Nearest(s string, candidates []string) string {
	s = strings.ToLower(s)
	best, least := "", len(s)/3+1
	for _, c := range candidates {
		if len(s) > maxCompared || len(c) > maxCompared {
			continue
		}
		d := distance(s, c)
		if len(c) >= 3 && strings.HasPrefix(s, c) {
			d = min(d, len(s)/3)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the edits between a and b (optimal string alignment).
func distance(a, b string) int {
	var rows [3][maxCompared + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
