package routes

import (
	"fmt"
	"strings"
	"testing"
)

// thousand is a table like a large app's: blueprints with the usual rules.
func thousand(tb testing.TB) *Table {
	p := &Project{Complete: true, Options: Options{StrictSlashes: true, MergeSlashes: true}}
	get := []string{"GET", "HEAD", "OPTIONS"}
	add := func(rule string, methods ...string) {
		if methods == nil {
			methods = get
		}
		p.Routes = append(p.Routes, Route{Rule: rule, Methods: methods, Endpoint: rule, StrictSlashes: true, MergeSlashes: true})
	}
	add("/static/<path:filename>")
	for i := range 142 {
		base := fmt.Sprintf("/section%d", i)
		add(base + "/")
		add(base + "/<int:id>")
		add(base+"/<int:id>/edit", "GET", "HEAD", "OPTIONS", "POST")
		add(base + "/by/<name>")
		add(base + "/<uuid:id>/files/<path:name>")
		add(base + "/search")
		add(base+"/items", "POST", "OPTIONS")
	}
	add("/user/<name>/posts/<int:post>")
	return mustTable(tb, TableConfig{Project: p, Lists: DefaultLists()})
}

// BenchmarkMatch is the hot path of every request; the aims are 300 ns and no
// allocation for a hit, 150 ns for a miss at the first segment.
func BenchmarkMatch(b *testing.B) {
	t := thousand(b)
	for _, c := range []struct {
		name, target string
		want         Kind
	}{
		{"literal", "/section77/search", Found},
		{"int", "/section77/12345", Found},
		{"int-edit", "/section77/12345/edit?tab=2", Found},
		{"string", "/section77/by/someone", Found},
		{"uuid-path", "/section77/123e4567-e89b-42d3-a456-426614174000/files/a/b/c.txt", Found},
		{"static", "/static/css/site.min.css?v=3", Found},
		{"encoded", "/section77/by/J%C3%B6rg", Found},
		{"redirect", "/section77", Redirect},
		{"miss-first", "/nothing", UnexpectedPath},
		{"miss-second", "/section77/nothing", BadValue},
		{"miss-deep", "/section77/by/a/b/c/d", UnexpectedPath},
		{"honeypath", "/wp-login.php", Honeypath},
		{"honeypath-deep", "/app/backend/.git/config", Honeypath},
		{"benign", "/favicon.ico", Benign},
		{"method", "/section77/items", UnexpectedMethod},
		{"long", "/" + strings.Repeat("a", 4000), UnexpectedPath},
		{"slashes", strings.Repeat("/a", 2000), UnexpectedPath},
	} {
		b.Run(c.name, func(b *testing.B) {
			if got := t.Match("example.com", "GET", c.target); got.Kind != c.want {
				b.Fatalf("got %v, want %v", got.Kind, c.want)
			}
			b.ReportAllocs()
			for b.Loop() {
				t.Match("example.com", "GET", c.target)
			}
		})
	}
}
