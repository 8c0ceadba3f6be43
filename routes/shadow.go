package routes

import (
	"strings"
)

// lintShadows asks for paths that a rule is made for and reports the rule when
// another one answers all of them.
func lintShadows(t *Table) []Finding {
	var out []Finding
	for _, r := range t.rules {
		if r.route.BuildOnly || r.route.WebSocket || r.methods.empty() {
			continue
		}
		if by := t.shadow(r); by != nil {
			out = append(out, shadowFinding(r, by))
		}
	}
	return out
}

func shadowFinding(r, by *rule) Finding {
	place := ""
	if w := placeWord(*by.route); w != "" {
		place = " (" + w + ")"
	}
	if r.route.Rule == by.route.Rule {
		return finding(r.route, CheckDuplicate, "%s %s is registered twice; only %s%s answers",
			methodWords(r.route.Methods), r.route.Rule, endpointWord(by.route), place)
	}
	return finding(r.route, CheckShadowed, "%s is never reached: %s%s answers its paths first", r.route.Rule, by.route.Rule, place)
}

func endpointWord(r *Route) string {
	if r.Endpoint == "" {
		return "the first"
	}
	return r.Endpoint
}

// shadow returns the rule that answers all samples of r, for all its methods,
// or nil.
func (t *Table) shadow(r *rule) *rule {
	samples := r.samples()
	domain, ok := r.sampleDomain(t)
	if len(samples) == 0 || !ok {
		return nil
	}
	var by *rule
	for _, method := range sampleMethods(r.route.Methods) {
		for _, path := range samples {
			s := search{path: path, domain: domain, method: askedMethod(method)}
			found := s.run(t.machine.root)
			if found == nil || found == r || s.needsSlash || by != nil && found != by {
				return nil
			}
			by = found
		}
	}
	return by
}

// sampleMethods leaves out the methods that Flask adds by itself.
func sampleMethods(methods []string) []string {
	if methods == nil {
		return []string{"GET", "POST", "QUERY"}
	}
	if words := methodWords(methods); words != "" {
		return strings.Split(words, ",")
	}
	return nil
}

// samples returns paths that only this rule is made for; none where a converter
// is unknown. Two rules that agree on all of them agree on everything that a
// person would call a difference.
func (r *rule) samples() []string {
	var out []string
	for i := range samplesPerRule {
		path, ok := sampleText(r.pathTrace, i)
		if !ok {
			return nil
		}
		out = append(out, path)
	}
	return out
}

const samplesPerRule = 16

func sampleText(trace []element, i int) (string, bool) {
	var b strings.Builder
	for _, e := range trace {
		if e.variable == nil {
			b.WriteString(e.literal)
			continue
		}
		text, ok := e.variable.converter.sample(i)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

func (r *rule) sampleDomain(t *Table) (string, bool) {
	if t.hosts.fixed && len(r.domainTrace) > 0 {
		return "", false
	}
	return sampleText(r.domainTrace, 0)
}

// sampleTexts are tried in order; a converter's samples are those it takes.
var sampleTexts = []string{
	"7", "x", "abc", "1234", "hello-world", "a/b/c.txt", "-3", "3.5", "0.25", "12345678", "ab", "abcdef",
	"00000000-0000-4000-8000-000000000001", "10-20_30~40", "123e4567-e89b-42d3-a456-426614174000", "z/9", "50", "0042",
}

// sample returns the i-th text that the converter takes.
func (c *converter) sample(i int) (string, bool) {
	if len(c.items) > 0 {
		return c.items[i%len(c.items)], true
	}
	if c.accepts == nil || c.regex == wideRegex || c.regex == wideSegment {
		return "", false
	}
	var taken []string
	for _, text := range sampleTexts {
		if c.takes(text) {
			taken = append(taken, text)
		}
	}
	if len(taken) == 0 {
		return "", false
	}
	return taken[i%len(taken)], true
}

// takes says that a URL with this text reaches the view.
func (c *converter) takes(text string) bool {
	if c.isolating && strings.Contains(text, "/") || !c.accepts(text) {
		return false
	}
	return c.number == nil || c.number.check(text) == accepted
}
