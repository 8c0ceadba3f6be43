package routes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Nearest is a route that nearly has a path.
type Nearest struct {
	Route *Route
	// Why says what keeps it from matching.
	Why string
}

const (
	// nearestShown is how many near routes an explanation names.
	nearestShown = 3
	// nearestCost is the difference beyond which a route is not near.
	nearestCost = 6
	// partCost is what a whole segment costs that is too much, missing or
	// refused.
	partCost = 3
	// longSegment is the length from which a segment is compared no closer.
	longSegment = 64
)

// candidate is a route with how far it is from a path.
type candidate struct {
	near     Nearest
	cost     int
	literals int // segments that agree to the letter
}

// nearest compares a path with every rule, segment by segment. It is for
// people, so it may take its time.
func (t *Table) nearest(path string) []Nearest {
	segments := strings.Split(path, "/")
	var found []candidate
	for _, r := range t.rules {
		if r.route.BuildOnly {
			continue
		}
		if cost, why := r.distance(segments); cost < nearestCost {
			found = append(found, candidate{Nearest{r.route, why}, cost, r.agreeing(segments)})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Or(a.cost-b.cost, b.literals-a.literals) })
	out := make([]Nearest, 0, nearestShown)
	for _, c := range found[:min(len(found), nearestShown)] {
		out = append(out, c.near)
	}
	return out
}

// distance counts what must change for the segments to match, and says the
// first of it.
func (r *rule) distance(segments []string) (cost int, why string) {
	note := func(n int, format string, args ...any) {
		if cost += n; why == "" {
			why = fmt.Sprintf(format, args...)
		}
	}
	parts := r.parts[1:]
	for i, p := range parts {
		if i >= len(segments) {
			note(partCost*(len(parts)-i), "a segment is missing: %s", p.words())
			break
		}
		text := segments[i]
		if p.final {
			text = strings.Join(segments[i:], "/")
		}
		if n, reason := p.differs(text); n > 0 {
			note(n, "%s", reason)
		}
		if p.final {
			return cost, why
		}
	}
	if extra := len(segments) - len(parts); extra > 0 {
		note(partCost*extra, "%q is too much", strings.Join(segments[len(parts):], "/"))
	}
	return cost, why
}

// agreeing counts the segments that are a literal of the rule.
func (r *rule) agreeing(segments []string) int {
	n := 0
	for i, p := range r.parts[1:] {
		if i < len(segments) && p.static && p.literal() != "" && p.literal() == segments[i] {
			n++
		}
	}
	return n
}

// words shows a part as the rule writes it.
func (p *part) words() string {
	if p.static {
		return fmt.Sprintf("%q", p.literal())
	}
	var b strings.Builder
	for _, e := range p.elements {
		if e.variable != nil {
			b.WriteString("<" + e.variable.name + ">")
		} else {
			b.WriteString(e.literal)
		}
	}
	return b.String()
}

// differs says how far a text is from a part.
func (p *part) differs(text string) (cost int, why string) {
	switch {
	case p.static && p.literal() == text:
		return 0, ""
	case p.static && (text == "" || p.literal() == ""):
		return partCost, fmt.Sprintf("%q instead of %s", text, p.words())
	case p.static:
		n := editDistance(p.literal(), text)
		if n*2 > max(len(p.literal()), len(text)) {
			n = nearestCost
		}
		return n, fmt.Sprintf("%q is not %s", text, p.words())
	case !p.match.matches(text):
		return partCost, fmt.Sprintf("%s refuses %q", p.words(), text)
	}
	return p.differsInValue(text)
}

// differsInValue finds the numbers that a converter's bounds refuse.
func (p *part) differsInValue(text string) (cost int, why string) {
	values := p.match.captures(text)
	i := 0
	for _, e := range p.elements {
		if e.variable == nil {
			continue
		}
		if n := e.variable.converter.number; n != nil && i < len(values) && n.check(values[i].text) != accepted {
			return 1, fmt.Sprintf("%s refuses %q: out of its bounds", p.words(), text)
		}
		i++
	}
	return 0, ""
}

// editDistance is Levenshtein's, in bytes; long texts only compare equal.
func editDistance(a, b string) int {
	if len(a) > longSegment || len(b) > longSegment {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}

// whyWords say in a sentence what each kind rests on.
var whyWords = map[Kind]string{
	Found:            "it matches this rule",
	Redirect:         "the app redirects it",
	UnexpectedMethod: "the path is a route, the method is not",
	BadValue:         "it has the shape of this rule, and a converter refuses the value",
	Honeypath:        "only scanners ask for it, and no route has it",
	Benign:           "no route has it, and browsers, crawlers or systems ask for it unbidden",
	UnresolvedPath:   "no known route has it, and unknown ones may lie here",
	BadRequest:       "the app's server refuses this request line",
	BadHost:          "Werkzeug refuses this host name",
	WebSocketOnly:    "the rule and the request differ in being a WebSocket",
	Failed:           "the app fails on it before its view runs",
}

// why says what decided.
func (t *Table) why(e *Explanation) string {
	switch {
	case e.Verdict == UnexpectedPath && t.AtOtherHost(e.Method, e.Target):
		return fmt.Sprintf("`%s` is a route at another host of the app's, so it counts as soft", e.Path)
	case e.Verdict == UnexpectedPath:
		return missWords(e)
	}
	text := whyWords[e.Verdict]
	if e.Verdict == UnresolvedPath && e.Route != nil {
		return "a route that the app had until lately matches it: " + routeWords(e.Route)
	}
	if e.Verdict == UnresolvedPath {
		if u := t.openAt(e.Path); u != nil && u.File != "" {
			text += fmt.Sprintf(": %s:%d: %s", u.File, u.Line, u.Reason)
		} else if u != nil {
			text += ": " + u.Reason
		}
	}
	return text
}

// openAt returns the unresolved entry that a path lies below.
func (t *Table) openAt(path string) *Unresolved {
	for i, prefix := range t.open {
		if below(path, prefix) {
			return &t.unresolved[i]
		}
	}
	return nil
}

// missWords say of an unknown path which routes come near.
func missWords(e *Explanation) string {
	text := fmt.Sprintf("`%s` is not a route", e.Path)
	if len(e.Nearest) == 0 {
		return text
	}
	return text + "; nearest: " + routeWords(e.Nearest[0].Route)
}

func routeWords(r *Route) string {
	text := "`" + hostWord(*r) + r.Rule + "`"
	if place := placeWord(*r); place != "" {
		text += " (" + place + ")"
	}
	return text
}
