package routes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// naiveSet says what a pattern list means in the plainest way: each pattern by
// itself, segment by segment.
func naiveContains(patterns []string, path string) bool {
	path, _, _ = strings.Cut(path, "\x00")
	path = strings.TrimRight(lowerASCII(path), "/")
	hit := false
	for _, p := range patterns {
		if not, ok := strings.CutPrefix(p, "!"); ok {
			if naiveMatches(not, path) {
				return false
			}
			continue
		}
		hit = hit || naiveMatches(p, path)
	}
	return hit
}

func naiveMatches(pattern, path string) bool {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	last := segments[len(segments)-1]
	rest, anywhere := strings.CutPrefix(pattern, "**/")
	switch {
	case strings.HasPrefix(rest, "..**/") && anywhere:
		return strings.Contains(path, "/..") && strings.HasSuffix(path, "/"+rest[len("..**/"):])
	case anywhere && strings.HasSuffix(rest, "/**"):
		name := strings.TrimSuffix(rest, "/**")
		if !strings.Contains(name, "/") {
			return slices.Contains(segments, name)
		}
		return strings.Contains(path, "/"+name+"/")
	case anywhere && strings.Contains(rest, "/**"):
		name, ending, _ := strings.Cut(rest, "/**")
		i := strings.Index(path, "/"+name+"/")
		return i >= 0 && strings.HasSuffix(path, ending) && len(path) > i+len(name)+2
	case anywhere && strings.Contains(rest, "*"):
		head, tail, _ := strings.Cut(rest, "*")
		return naiveGlob(head, tail, last)
	case anywhere:
		return strings.HasSuffix(path, "/"+rest)
	case strings.HasSuffix(pattern, "/**"):
		dir := strings.TrimSuffix(pattern, "/**")
		return path == dir || strings.HasPrefix(path, dir+"/")
	case strings.Contains(pattern, "*"):
		i := strings.LastIndexByte(pattern, '/')
		head, tail, _ := strings.Cut(pattern[i+1:], "*")
		return strings.HasPrefix(path, pattern[:i]+"/") && len(segments) == strings.Count(pattern, "/") && naiveGlob(head, tail, last)
	}
	return path == strings.TrimRight(pattern, "/")
}

func naiveGlob(head, tail, text string) bool {
	return len(text) >= len(head)+len(tail) && strings.HasPrefix(text, head) && strings.HasSuffix(text, tail)
}

// TestPathSetIsWhatItsPatternsSay compares the look-ups with the naive reading,
// on paths made of the lists' own pieces.
func TestPathSetIsWhatItsPatternsSay(t *testing.T) {
	l := DefaultLists()
	patterns := append(slices.Clone(l.Honeypaths), "/x*.txt", "**/a/b/**", "**/c*d")
	set, err := newPathSet(patterns)
	if err != nil {
		t.Fatal(err)
	}
	pieces := []string{"", "a", "b", "x", "..", "cxd", "x1.txt", "\x00", "é", "wp-content", "plugins", "a.php", "A.PHP", "b.txt", "thumb.php"}
	for _, p := range patterns {
		for piece := range strings.SplitSeq(strings.TrimPrefix(p, "!"), "/") {
			pieces = append(pieces, strings.ReplaceAll(piece, "*", ""), strings.ReplaceAll(piece, "*", "q"))
		}
	}
	hits := 0
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 4).Draw(t, "segments"), "/")
		if rapid.Bool().Draw(t, "from a pattern") {
			path = strings.ReplaceAll(strings.TrimPrefix(rapid.SampledFrom(patterns).Draw(t, "pattern"), "!"), "**", "y") + path
			path = "/" + strings.TrimLeft(path, "/")
		}
		name := foldPath(path)
		got, want := set.contains(&name), naiveContains(patterns, path)
		if got != want {
			t.Fatalf("%q: got %v, want %v", path, got, want)
		}
		if got {
			hits++
		}
	})
	if hits == 0 {
		t.Error("no path hit: the test tests nothing")
	}
}

// naiveMatch finds the rules that Werkzeug's documentation says match a path:
// each rule as one regex, without the state machine.
func naiveMatch(routes []Route, method, path string) (found, other bool) {
	for _, r := range routes {
		p := &parser{lookup: ruleCompiler{}.lookup(&r)}
		if p.parse(r.Rule) != nil {
			continue
		}
		var pattern strings.Builder
		for _, e := range p.trace {
			if e.variable != nil {
				fmt.Fprintf(&pattern, "(?:%s)", e.variable.converter.regex)
			} else {
				pattern.WriteString(quotePython(e.literal))
			}
		}
		if !compilePython(pattern.String()).matches(path) {
			continue
		}
		if r.Methods == nil || slices.Contains(r.Methods, method) {
			found = true
		} else {
			other = true
		}
	}
	return found, other
}

// TestMatchIffARuleMatches: for rules that are leaves with strict slashes, and
// converters without bounds, a request is a route exactly if some rule's regex
// matches it and has its method.
func TestMatchIffARuleMatches(t *testing.T) {
	literals := []string{"a", "b", "ab", "a.b", "x", "é"}
	variables := []string{"<%s>", "<int:%s>", "<path:%s>", "<string(length=2):%s>", "<any(a,b):%s>", "v<int:%s>", "<%s>.html"}
	values := []string{"a", "b", "ab", "7", "42", "a.b", "x.html", "v3", "é", "x"}
	rapid.Check(t, func(t *rapid.T) {
		var routes []Route
		for range rapid.IntRange(1, 8).Draw(t, "rules") {
			var rule strings.Builder
			for i := range rapid.IntRange(1, 4).Draw(t, "parts") {
				rule.WriteString("/")
				if rapid.Bool().Draw(t, "literal") {
					rule.WriteString(rapid.SampledFrom(literals).Draw(t, "text"))
				} else {
					fmt.Fprintf(&rule, rapid.SampledFrom(variables).Draw(t, "variable"), fmt.Sprintf("v%d", i))
				}
			}
			methods := rapid.SampledFrom([][]string{nil, {"GET"}, {"POST"}}).Draw(t, "methods")
			routes = append(routes, Route{Rule: rule.String(), Methods: methods, Endpoint: rule.String(), StrictSlashes: true})
		}
		table, err := NewTable(TableConfig{Project: &Project{Complete: true, Routes: routes}})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(values), 1, 5).Draw(t, "path"), "/")
			found, other := naiveMatch(routes, "GET", path)
			got := table.Match("h", "GET", quoteURL(path, "/"))
			if (got.Kind == Found) != found || !found && (got.Kind == UnexpectedMethod) != other {
				t.Fatalf("%s: got %v, want found %v, other method %v, of %+v", path, got.Kind, found, other, routes)
			}
		}
	})
}
