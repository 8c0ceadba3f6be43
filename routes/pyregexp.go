package routes

import (
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

const (
	// backtrackTimeout bounds one match of a regex that Go's linear engine
	// cannot run. Past it the text counts as matched, never as refused.
	backtrackTimeout = 5 * time.Millisecond
	// backtrackLength bounds the text for the same reason.
	backtrackLength = 512
)

// pyRegexp is a regular expression of Python's, anchored at both ends.
type pyRegexp struct {
	linear       *regexp.Regexp  // used where it is not nil
	backtracking *regexp2.Regexp // else this; where both are nil, all matches
}

// compilePython translates a pattern. What neither engine can run matches
// everything, because a narrower pattern would make the app's own URLs
// unexpected.
func compilePython(pattern string) *pyRegexp {
	t := translate(pattern)
	if t.failed {
		return &pyRegexp{}
	}
	text := `\A(?:` + t.text() + `)\z`
	if !t.backtracks {
		if re, err := regexp.Compile(text); err == nil {
			return &pyRegexp{linear: re}
		}
	}
	re, err := regexp2.Compile(text, regexp2.None)
	if err != nil {
		return &pyRegexp{}
	}
	re.MatchTimeout = backtrackTimeout
	return &pyRegexp{backtracking: re}
}

func (p *pyRegexp) matches(s string) bool {
	switch {
	case p.linear != nil:
		return p.linear.MatchString(s)
	case p.backtracking != nil && len(s) <= backtrackLength:
		ok, err := p.backtracking.MatchString(s)
		return ok || err != nil
	}
	return true
}

// groups returns what each group matched, the whole text first; nil where that
// is not known.
func (p *pyRegexp) groups(s string) []capture {
	if p.linear != nil {
		var out []capture
		at := p.linear.FindStringSubmatchIndex(s)
		for i := 0; i+1 < len(at); i += 2 {
			if at[i] < 0 {
				out = append(out, capture{})
			} else {
				out = append(out, capture{s[at[i]:at[i+1]], true})
			}
		}
		return out
	}
	if p.backtracking == nil || len(s) > backtrackLength {
		return nil
	}
	m, err := p.backtracking.FindStringMatch(s)
	if err != nil || m == nil {
		return nil
	}
	var out []capture
	for _, g := range m.Groups() {
		out = append(out, capture{g.String(), len(g.Captures) > 0})
	}
	return out
}

// countGroups returns how many capturing groups a pattern has.
func countGroups(pattern string) int { return translate(pattern).groups }
