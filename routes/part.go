package routes

import (
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// capture is what one group of a part matched; not present is Python's None.
type capture struct {
	text    string
	present bool
}

// partMatcher matches one dynamic part against the text it has to cover.
type partMatcher interface {
	matches(s string) bool
	// captures returns the groups in the order in which Werkzeug hands them
	// to the rule's converters. It is called only after matches said yes.
	captures(s string) []capture
}

// compilePart finds the cheapest matcher that is exact.
func compilePart(p *part, b behaviour) partMatcher {
	if m, ok := affixedOf(p); ok {
		return m
	}
	return regexPartOf(p, b)
}

// affixed is a part with one variable, such as <x>, v<int:n> or <name>.html:
// the anchors leave the variable only one possible text.
type affixed struct {
	prefix, suffix string
	accepts        func(string) bool
}

func affixedOf(p *part) (affixed, bool) {
	var m affixed
	for _, e := range p.elements {
		switch {
		case e.variable == nil && m.accepts == nil:
			m.prefix = e.literal
		case e.variable == nil:
			m.suffix = e.literal
		case m.accepts != nil || e.variable.converter.accepts == nil:
			return affixed{}, false
		default:
			m.accepts = e.variable.converter.accepts
		}
	}
	return m, true
}

func (m affixed) matches(s string) bool {
	if len(s) < len(m.prefix)+len(m.suffix) || !strings.HasPrefix(s, m.prefix) || !strings.HasSuffix(s, m.suffix) {
		return false
	}
	return m.accepts(s[len(m.prefix) : len(s)-len(m.suffix)])
}

func (m affixed) captures(s string) []capture {
	return []capture{{s[len(m.prefix) : len(s)-len(m.suffix)], true}}
}

// regexPart is any other part: the regex that Werkzeug would build for it.
type regexPart struct {
	pattern *pyRegexp
	// order lists the groups that become values, from 1.
	order []int
}

func regexPartOf(p *part, b behaviour) regexPart {
	var pattern strings.Builder
	var own []int // the group around each variable
	groups := 0
	for _, e := range p.elements {
		if e.variable == nil {
			pattern.WriteString(quotePython(e.literal))
			continue
		}
		groups++
		own = append(own, groups)
		pattern.WriteString("(" + e.variable.converter.regex + ")")
		groups += countGroups(e.variable.converter.regex)
	}
	m := regexPart{pattern: compilePython(pattern.String())}
	if b.namedGroups {
		m.order = byName(own)
		return m
	}
	for i := range groups {
		m.order = append(m.order, i+1)
	}
	return m
}

// quotePython escapes a literal for Python's re.
func quotePython(literal string) string { return regexp.QuoteMeta(literal) }

// byName orders groups as Werkzeug 2.3 and later do: by the text of their
// names __werkzeug_0, __werkzeug_1, ..., which puts the eleventh second.
func byName(groups []int) []int {
	names := make([]string, len(groups))
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	sort.Strings(names)
	out := make([]int, len(groups))
	for i, name := range names {
		n, _ := strconv.Atoi(name)
		out[i] = groups[n]
	}
	return out
}

func (m regexPart) matches(s string) bool { return m.pattern.matches(s) }

func (m regexPart) captures(s string) []capture {
	groups := m.pattern.groups(s)
	out := make([]capture, 0, len(m.order))
	for _, g := range m.order {
		if g < len(groups) {
			out = append(out, groups[g])
		} else {
			out = append(out, capture{})
		}
	}
	return out
}
