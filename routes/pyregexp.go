package routes

import (
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dlclark/regexp2"
)

const (
	// backtrackTimeout bounds one match of a regex that Go's linear engine
	// cannot run. Past it the text counts as matched, never as refused.
	backtrackTimeout = 25 * time.Millisecond
	// backtrackLength bounds the text for the same reason.
	backtrackLength = 512
	// backtrackStrikes is how many time-outs a regex has before it counts as
	// matching everything: who finds its weak spot gains nothing by repeating.
	backtrackStrikes = 5
)

// tuneClock lets regexp2 notice a time-out within some milliseconds; it would
// take a tenth of a second. The setting is the library's, for the whole process.
var tuneClock = sync.OnceFunc(func() { regexp2.SetTimeoutCheckPeriod(5 * time.Millisecond) })

// pyRegexp is a regular expression of Python's, anchored at both ends.
type pyRegexp struct {
	linear       *regexp.Regexp  // used where it is not nil
	backtracking *regexp2.Regexp // else this; where both are nil, all matches
	strikes      atomic.Int32
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
	tuneClock()
	re.MatchTimeout = backtrackTimeout
	return &pyRegexp{backtracking: re}
}

func (p *pyRegexp) matches(s string) bool {
	switch {
	case p.linear != nil:
		return p.linear.MatchString(s)
	case p.usable(s):
		ok, err := p.backtracking.MatchString(s)
		return ok || p.struck(err)
	}
	return true
}

// usable says that the backtracking engine may run on s.
func (p *pyRegexp) usable(s string) bool {
	return p.backtracking != nil && len(s) <= backtrackLength && p.strikes.Load() < backtrackStrikes
}

// struck counts a time-out.
func (p *pyRegexp) struck(err error) bool {
	if err != nil {
		p.strikes.Add(1)
	}
	return err != nil
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
	if !p.usable(s) {
		return nil
	}
	m, err := p.backtracking.FindStringMatch(s)
	if p.struck(err) || m == nil {
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
