package routes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/quick"
)

// tableOf is a table of rules for GET.
func tableOf(t testing.TB, rules ...string) *Table {
	t.Helper()
	p := &Project{Complete: true, Options: Options{StrictSlashes: true, MergeSlashes: true}}
	for _, r := range rules {
		p.Routes = append(p.Routes, Route{Rule: r, Methods: getOnly, Endpoint: r, StrictSlashes: true, MergeSlashes: true})
	}
	return mustTable(t, TableConfig{Project: p})
}

// TestManyDynamicPartsAreIndexed: the cost of a segment must not grow with the
// rules that begin otherwise.
func TestManyDynamicPartsAreIndexed(t *testing.T) {
	rules := []string{"/<int:n>", "/<name>.html", "/item-<x>"}
	for i := range 1000 {
		rules = append(rules, fmt.Sprintf("/item%d-<x>", i))
	}
	table := tableOf(t, rules...)
	top := table.machine.root.slash.slash
	if top.index == nil {
		t.Fatal("no index for a thousand dynamic parts")
	}
	for text, most := range map[string]int{"item77-a": 3, "item-7": 3, "x": 2, "7": 2, "": 2} {
		if n := len(top.candidates(text)); n > most {
			t.Errorf("%q has %d candidates", text, n)
		}
	}
	for target, want := range map[string]string{
		"/item77-a": "/item77-<x>", "/item7-7-a": "/item7-<x>", "/item-x": "/item-<x>", "/5": "/<int:n>", "/item9-a.html": "/item9-<x>", "/a.html": "/<name>.html",
	} {
		if got := table.Match("h", "GET", target); got.Kind != Found || got.Route.Rule != want {
			t.Errorf("%s: got %v, want %s", target, got, want)
		}
	}
}

// TestIndexFindsWhatTryingAllWould holds the index against trying every edge.
func TestIndexFindsWhatTryingAllWould(t *testing.T) {
	var rules []string
	for _, prefix := range []string{"", "a", "ab", "abc", "b", "ba", "é", "x-", "x--", "aa", "c"} {
		for _, variable := range []string{"<v>", "<int:v>", "<any(q,1):v>", "<v>z"} {
			rules = append(rules, "/"+prefix+variable)
		}
	}
	top := tableOf(t, rules...).machine.root.slash.slash
	alphabet := []string{"a", "b", "c", "é", "x", "-", "1", "q", "z"}
	check := func(picks []uint8) bool {
		var text strings.Builder
		for _, p := range picks[:min(len(picks), 6)] {
			text.WriteString(alphabet[int(p)%len(alphabet)])
		}
		var all, indexed []*edge
		for _, e := range top.dynamic {
			if e.part.match.matches(text.String()) {
				all = append(all, e)
			}
		}
		for _, e := range top.candidates(text.String()) {
			if e.part.match.matches(text.String()) {
				indexed = append(indexed, e)
			}
		}
		return slices.Equal(all, indexed)
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

// TestOrderOfDynamicParts is Werkzeug's order of precedence (routing/rules.py,
// Weighting): more literal text first, then lighter converters.
func TestOrderOfDynamicParts(t *testing.T) {
	table := tableOf(t, "/<path:p>", "/<x>", "/<float:f>", "/<int:i>", "/a<x>", "/ab<x>", "/<x>b", "/a<x>b", "/<any(q,7):k>", "/<x>-<y>", "/<int:x>-<int:y>")
	var got []string
	for _, e := range table.machine.root.slash.slash.dynamic {
		got = append(got, e.to.rules[0].route.Rule)
	}
	// Two literals go before one; of one, the longer; of equals, the more
	// variables; then the lighter converters. Equals keep their order.
	want := "/a<x>b /ab<x> /<int:x>-<int:y> /<x>-<y> /a<x> /<x>b /<float:f> /<int:i> /<x> /<any(q,7):k> /<path:p>"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	for target, rule := range map[string]string{"/7": "/<int:i>", "/1.5": "/<float:f>", "/q": "/<x>", "/axb": "/a<x>b", "/abx": "/ab<x>", "/1-2": "/<int:x>-<int:y>", "/a/b": "/<path:p>"} {
		if got := table.Match("h", "GET", target); got.Kind != Found || got.Route.Rule != rule {
			t.Errorf("%s: got %v, want %s", target, got, rule)
		}
	}
}

func TestNameSet(t *testing.T) {
	var s nameSet[int]
	if _, ok := s.find("a"); ok {
		t.Error("an empty set has a name")
	}
	for i, name := range []string{"a", "abc", strings.Repeat("x", maxName-1)} {
		if err := s.add(name, i); err != nil {
			t.Fatal(err)
		}
		if got, ok := s.find(name); !ok || got != i {
			t.Errorf("%s: got %d %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "b", "ab", "abd", strings.Repeat("x", maxName), strings.Repeat("x", maxName-2)} {
		if _, ok := s.find(name); ok {
			t.Errorf("%q is found", name)
		}
	}
	if s.add("", 1) == nil || s.add(strings.Repeat("x", maxName), 1) == nil {
		t.Error("a name is accepted that cannot be found")
	}
}

// TestDeepRules goes beyond what a search remembers on its stack.
func TestDeepRules(t *testing.T) {
	var rule, target strings.Builder
	for i := range 3 * maxSteps {
		fmt.Fprintf(&rule, "/<int(max=99):v%d>", i)
		fmt.Fprintf(&target, "/%d", i)
	}
	table := tableOf(t, rule.String())
	e := table.Explain("h", "GET", target.String())
	if e.Verdict != Found || e.Args[fmt.Sprintf("v%d", 3*maxSteps-1)] != fmt.Sprint(3*maxSteps-1) || len(e.Args) != 3*maxSteps {
		t.Errorf("got %v %v", e.Verdict, e.Args)
	}
	if got := table.Match("h", "GET", target.String()+"00"); got.Kind != UnexpectedPath {
		t.Errorf("got %v for a value out of bounds", got.Kind)
	}
}

func TestMethodSets(t *testing.T) {
	for _, c := range []struct {
		methods []string
		asked   string
		want    bool
	}{
		{nil, "ANYTHING", true},
		{[]string{}, "GET", false},
		{[]string{"GET"}, "HEAD", true},
		{[]string{"get"}, "Get", true},
		{[]string{"POST"}, "HEAD", false},
		{[]string{"REPORT"}, "report", true},
		{[]string{"REPORT"}, "REPOR", false},
		{[]string{"PROPFIND", "MOVE"}, "MOVE", true},
		{[]string{"GET"}, "", false},
	} {
		set := newMethodSet(c.methods)
		if got := set.has(askedMethod(c.asked)); got != c.want {
			t.Errorf("%v has %q: %v", c.methods, c.asked, got)
		}
	}
}

// BenchmarkMatchByTableSize shows that the number of routes does not matter.
func BenchmarkMatchByTableSize(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		var rules []string
		for i := range n {
			rules = append(rules, fmt.Sprintf("/s%d/<int:id>", i), fmt.Sprintf("/p%d-<x>", i))
		}
		table := tableOf(b, rules...)
		for name, target := range map[string]string{
			"literal": fmt.Sprintf("/s%d/7", n/2), "affixed": fmt.Sprintf("/p%d-7", n/2), "miss": "/nothing", "refused": fmt.Sprintf("/s%d/x", n/2),
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					table.Match("example.com", "GET", target)
				}
			})
		}
	}
}

// BenchmarkNewTable is the cost of a reload.
func BenchmarkNewTable(b *testing.B) {
	p := &Project{Complete: true, Routes: thousand(b).Routes()}
	for b.Loop() {
		if _, err := NewTable(TableConfig{Project: p, Lists: DefaultLists()}); err != nil {
			b.Fatal(err)
		}
	}
}
