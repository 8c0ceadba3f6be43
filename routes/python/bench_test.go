package python

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// corpus is the Python source that benchmarks read: the standard library where
// there is one, else the snippets of this package.
func corpus(b *testing.B) ([][]byte, int) {
	b.Helper()
	files, _ := filepath.Glob("/usr/lib/python3*/*.py")
	if len(files) == 0 {
		files, _ = filepath.Glob("testdata/*.py")
	}
	var out [][]byte
	lines := 0
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, src)
		lines += bytes.Count(src, []byte("\n"))
	}
	return out, lines
}

// perThousandLines runs f over the corpus and reports its time.
func perThousandLines(b *testing.B, f func([]byte)) {
	files, lines := corpus(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for _, src := range files {
			f(src)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(lines)*1000, "µs/1000lines")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkSkim(b *testing.B) {
	perThousandLines(b, func(src []byte) { Skim(src) })
}

func BenchmarkSplit(b *testing.B) {
	perThousandLines(b, func(src []byte) { Parse(src, Limits{Lazy: true}) })
}

// BenchmarkLower splits and lowers, without gpython.
func BenchmarkLower(b *testing.B) {
	perThousandLines(b, func(src []byte) {
		m := Parse(src, Limits{Lazy: true})
		each(m.Body, func(s *Stmt) {
			if lower := headers[s.Keyword]; lower != nil && s.broken == "" {
				l := &s.src.parser().lower
				l.clear()
				l.begin(s.off, s.end)
				lower(l, s.off)
			}
		})
	})
}

func BenchmarkParse(b *testing.B) {
	perThousandLines(b, func(src []byte) { Parse(src, Limits{}) })
}

// BenchmarkParseTop parses what importing the modules would run: all but the
// bodies of functions.
func BenchmarkParseTop(b *testing.B) {
	perThousandLines(b, func(src []byte) {
		m := Parse(src, Limits{Lazy: true})
		parseTop(m.Body)
	})
}

func parseTop(list []*Stmt) {
	ParseSuite(list)
	for _, s := range list {
		if s.Keyword != "def" {
			parseTop(s.Body)
			parseTop(s.Clauses)
		}
	}
}

// each calls f for every statement of a tree.
func each(list []*Stmt, f func(*Stmt)) {
	for _, s := range list {
		f(s)
		each(s.Body, f)
		each(s.Clauses, f)
	}
}
