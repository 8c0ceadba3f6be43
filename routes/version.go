package routes

import (
	"strconv"
	"strings"
)

// version is a release of Werkzeug as major, minor, patch.
type version [3]int

// newest is the Werkzeug whose routing was last compared with ours.
var newest = version{3, 1, 8}

// parseVersion reads "2.2.2". What follows the numbers ("rc1") is dropped; an
// empty or unreadable text means the newest.
func parseVersion(text string) version {
	fields := strings.SplitN(text, ".", 3)
	var v version
	for i, f := range fields {
		digits := strings.TrimRightFunc(f, func(r rune) bool { return r < '0' || r > '9' })
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = digits[:end]
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			if i == 0 {
				return newest
			}
			break
		}
		v[i] = n
	}
	return v
}

func (v version) atLeast(major, minor, patch int) bool {
	for i, n := range [3]int{major, minor, patch} {
		if v[i] != n {
			return v[i] > n
		}
	}
	return true
}

// behaviour holds what differs between releases of Werkzeug (and Flask), so
// that no code below asks for a version number. Releases before 2.2 matched
// with one regular expression per rule; they are treated as 2.2.0.
type behaviour struct {
	// suffixed: a path converter before a trailing slash redirects like any
	// other (2.2.3, routing/rules.py "suffixed").
	suffixed bool
	// namedGroups: groups inside a converter's own regex don't shift the
	// values of the next ones (2.3.0).
	namedGroups bool
	// urllib: targets are split by urllib.parse, paths quoted with RFC 3986's
	// segment set, host names IDNA-encoded even when ASCII (2.3.0).
	urllib bool
	// mergeOptOut: a rule with merge_slashes=False is never redirected to
	// (3.0.2).
	mergeOptOut bool
	// mergeRuns: a run of slashes is merged whole, not in pairs (3.1.7).
	mergeRuns bool
	// hostChecked: a Host with other characters counts as empty (3.1.8; 3.1.7
	// refused an absent one).
	hostChecked bool
	// serverNameFree: SERVER_NAME no longer restricts which hosts are served
	// (Flask 3.1, which needs Werkzeug 3.1).
	serverNameFree bool
}

func behaviourOf(o Options) behaviour {
	v := parseVersion(o.Werkzeug)
	flask := v.atLeast(3, 1, 0)
	if o.Flask != "" {
		flask = parseVersion(o.Flask).atLeast(3, 1, 0)
	}
	return behaviour{
		suffixed:       v.atLeast(2, 2, 3),
		namedGroups:    v.atLeast(2, 3, 0),
		urllib:         v.atLeast(2, 3, 0),
		mergeOptOut:    v.atLeast(3, 0, 2),
		mergeRuns:      v.atLeast(3, 1, 7),
		hostChecked:    v.atLeast(3, 1, 7),
		serverNameFree: flask,
	}
}
