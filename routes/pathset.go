package routes

import (
	"fmt"
	"strings"
)

// A pathSet is a set of path patterns that is searched with a few hash look-ups,
// whatever its size. The patterns, one a line, without regard to case:
//
//	/a/b.txt       that path (a slash at its end or not)
//	/a/**          /a and all below
//	/a*.txt        one star in the last segment, after fixed segments
//	**/name        that last segment anywhere; **/a/name both last segments
//	**/name/**     that segment anywhere
//	**/a/**.php    below a segment anywhere, ending so
//	**/a*          a last segment with one star; **/*.ext an ending
//	**/..**/a/b    those last segments, behind a segment that begins with ..
//	!pattern       never, whatever the others say
type pathSet struct {
	whole  nameSet[int]    // whole paths
	under  nameSet[int]    // paths with all below them
	names  nameSet[int]    // segments, see segmentRule
	rules  []segmentRule   // what names' values point to
	globs  [256][]pathGlob // by the first byte of the last segment
	ends   nameSet[int]    // endings from one of the last two dots on
	except *pathSet        // nil where there are no exceptions
	size   int
}

// segmentRule is what a segment's name means.
type segmentRule struct {
	anywhere bool     // enough by itself
	tails    []string // paths end so, with a slash in front
	dotTails []string // the same, behind a traversal
	endings  []string // what lies below ends so
}

// pathGlob is a pattern with one star in its last segment.
type pathGlob struct {
	dir        string // fixed segments before it; "**" for any
	head, tail string
}

// newPathSet compiles patterns.
func newPathSet(patterns []string) (*pathSet, error) {
	s := emptyPathSet()
	for _, p := range patterns {
		if err := s.add(strings.ToLower(p)); err != nil {
			return nil, fmt.Errorf("path pattern %q: %w", p, err)
		}
	}
	return s, nil
}

// emptyPathSet knows that every path begins with a slash.
func emptyPathSet() *pathSet {
	return &pathSet{whole: nameSet[int]{skip: 1}, under: nameSet[int]{skip: 1}}
}

func (s *pathSet) add(p string) error {
	s.size++
	switch {
	case strings.HasPrefix(p, "!"):
		if s.except == nil {
			s.except = emptyPathSet()
		}
		return s.except.add(p[1:])
	case strings.HasPrefix(p, "**/..**/"):
		return s.addTail(p[len("**/..**/"):], true)
	case strings.HasPrefix(p, "**/"):
		return s.addAnywhere(p[len("**/"):])
	case strings.HasPrefix(p, "/"):
		return s.addRooted(p)
	}
	return fmt.Errorf("it must begin with / or **/")
}

func (s *pathSet) addRooted(p string) error {
	if dir, ok := strings.CutSuffix(p, "/**"); ok && !strings.Contains(dir, "*") {
		return s.under.add(dir, 0)
	}
	if !strings.Contains(p, "*") {
		return s.whole.add(strings.TrimRight(p, "/"), 0)
	}
	i := strings.LastIndexByte(p, '/')
	return s.addGlob(p[:i], p[i+1:])
}

func (s *pathSet) addGlob(dir, name string) error {
	head, tail, _ := strings.Cut(name, "*")
	if head == "" || strings.Contains(tail, "*") || strings.Contains(dir, "*") && dir != "**" {
		return fmt.Errorf("only one star, and not at the start of the last segment")
	}
	s.globs[head[0]] = append(s.globs[head[0]], pathGlob{dir, head, tail})
	return nil
}

func (s *pathSet) addAnywhere(p string) error {
	if name, ok := strings.CutSuffix(p, "/**"); ok && !strings.Contains(name, "*") {
		if dir, last := splitLast(name); dir == "" {
			return s.rule(last, func(r *segmentRule) { r.anywhere = true })
		}
		return s.rule(lastSegment(name), func(r *segmentRule) { r.endings = append(r.endings, "/"+name+"/") })
	}
	if name, ending, ok := strings.Cut(p, "/**"); ok && !strings.Contains(name, "*") && !strings.ContainsAny(ending, "*/") {
		return s.rule(lastSegment(name), func(r *segmentRule) { r.endings = append(r.endings, "/"+name+"/*"+ending) })
	}
	if ending, ok := strings.CutPrefix(p, "*."); ok && !strings.ContainsAny(ending, "*/") {
		return s.ends.add("."+ending, 0)
	}
	if strings.Contains(p, "*") {
		return s.addGlob("**", p)
	}
	return s.addTail(p, false)
}

func (s *pathSet) addTail(p string, traversal bool) error {
	return s.rule(lastSegment(p), func(r *segmentRule) {
		if traversal {
			r.dotTails = append(r.dotTails, "/"+p)
		} else {
			r.tails = append(r.tails, "/"+p)
		}
	})
}

func splitLast(p string) (dir, last string) {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)], p[i+1:]
}

func lastSegment(p string) string {
	_, last := splitLast(p)
	return last
}

// rule changes what a segment's name means.
func (s *pathSet) rule(name string, change func(*segmentRule)) error {
	n, ok := s.names.find(name)
	if !ok {
		n = len(s.rules)
		s.rules = append(s.rules, segmentRule{})
		if err := s.names.add(name, n); err != nil {
			return err
		}
	}
	change(&s.rules[n])
	return nil
}

// foldedPath is a decoded path made ready for look-ups in several sets.
type foldedPath struct {
	text string // lower case, no slash at its end, nothing from a NUL on
	last int    // where the last segment begins
	// dot and secondDot are the places of the last dots in the last segment,
	// -1 where there are none.
	dot, secondDot int
}

// foldClass marks the bytes that foldPath has to look at.
var foldClass = func() (table [256]bool) {
	for c := byte('A'); c <= 'Z'; c++ {
		table[c] = true
	}
	for _, c := range []byte{0, '/', '.'} {
		table[c] = true
	}
	return table
}()

// foldPath reads a path once. What follows a NUL is there for C programs to
// overlook, so it is overlooked.
func foldPath(path string) foldedPath {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	f := foldedPath{text: path, dot: -1, secondDot: -1}
	upper := false
	for i := 0; i < len(path); i++ {
		c := path[i]
		if !foldClass[c] {
			continue
		}
		switch c {
		case '/':
			f.last, f.dot, f.secondDot = i+1, -1, -1
		case '.':
			f.dot, f.secondDot = i, f.dot
		case 0:
			return foldPath(path[:i])
		default:
			upper = true
		}
	}
	if upper {
		f.text = lowerASCII(path)
	}
	return f
}

// lowerASCII leaves other letters alone, whose lower case may be longer.
func lowerASCII(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c-'A' < 26 {
			out[i] = c | 0x20
		}
	}
	return string(out)
}

// contains says whether a path is in the set. Its time is linear in the path's
// length.
func (s *pathSet) contains(f *foldedPath) bool {
	if s.size == 0 || !s.has(f) {
		return false
	}
	return s.except == nil || !s.except.has(f)
}

func (s *pathSet) has(f *foldedPath) bool {
	if _, ok := s.whole.find(f.text); ok {
		return true
	}
	if s.under.values != nil || s.names.values != nil {
		if s.hasSegment(f.text) {
			return true
		}
	}
	return s.hasLast(f)
}

// hasSegment walks the segments once.
func (s *pathSet) hasSegment(path string) bool {
	for start := 1; start <= len(path); {
		end := len(path)
		if i := strings.IndexByte(path[start:], '/'); i >= 0 {
			end = start + i
		}
		if _, ok := s.under.find(path[:end]); ok {
			return true
		}
		if n, ok := s.names.find(path[start:end]); ok && s.rules[n].applies(path, end) {
			return true
		}
		start = end + 1
	}
	return false
}

// applies judges a path that has the rule's segment, which ends at end.
func (r *segmentRule) applies(path string, end int) bool {
	return r.anywhere || end == len(path) && r.endsPath(path) || r.isAbove(path, end)
}

// endsPath judges a path whose last segment is the rule's.
func (r *segmentRule) endsPath(path string) bool {
	for _, tail := range r.tails {
		if strings.HasSuffix(path, tail) {
			return true
		}
	}
	for _, tail := range r.dotTails {
		if strings.HasSuffix(path, tail) && strings.Contains(path, "/..") {
			return true
		}
	}
	return false
}

// isAbove judges what lies below the rule's segment.
func (r *segmentRule) isAbove(path string, end int) bool {
	if end+1 >= len(path) {
		return false
	}
	for _, e := range r.endings {
		dir, ending, _ := strings.Cut(e, "*")
		if strings.HasSuffix(path[:end+1], dir) && strings.HasSuffix(path, ending) {
			return true
		}
	}
	return false
}

// hasLast judges the last segment's beginning and ending.
func (s *pathSet) hasLast(f *foldedPath) bool {
	last := f.text[f.last:]
	if last == "" {
		return false
	}
	for i := range s.globs[last[0]] {
		if g := &s.globs[last[0]][i]; g.matches(f.text[:max(f.last-1, 0)], last) {
			return true
		}
	}
	return f.dot >= 0 && (s.hasEnding(f.text[f.dot:]) || f.secondDot >= 0 && s.hasEnding(f.text[f.secondDot:]))
}

func (g *pathGlob) matches(dir, last string) bool {
	return len(last) >= len(g.head)+len(g.tail) && strings.HasPrefix(last, g.head) && strings.HasSuffix(last, g.tail) &&
		(g.dir == "**" || g.dir == dir)
}

// hasEnding looks up what follows one of the last two dots.
func (s *pathSet) hasEnding(ending string) bool {
	_, ok := s.ends.find(ending)
	return ok
}
