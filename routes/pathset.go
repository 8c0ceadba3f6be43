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
	whole  nameSet         // whole paths
	under  nameSet         // paths with all below them
	names  nameSet         // segments, see segmentRule
	rules  []segmentRule   // what names' values point to
	globs  [256][]pathGlob // by the first byte of the last segment
	ends   map[string]bool // endings after the last dot but one or the last
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

// maxName is the length up to which names are in the sets.
const maxName = 64

// nameSet maps names to numbers. Most names that are asked for are told from
// those it has by their first byte and length.
type nameSet struct {
	lengths [256]uint64
	numbers map[string]int
}

func (s *nameSet) add(name string, number int) error {
	if name == "" || len(name) >= maxName {
		return fmt.Errorf("a name must have between 1 and %d bytes", maxName-1)
	}
	if s.numbers == nil {
		s.numbers = map[string]int{}
	}
	s.lengths[name[0]] |= 1 << len(name)
	s.numbers[name] = number
	return nil
}

func (s *nameSet) find(name string) (int, bool) {
	if name == "" || len(name) >= maxName || s.lengths[name[0]]&(1<<len(name)) == 0 {
		return 0, false
	}
	n, ok := s.numbers[name]
	return n, ok
}

// newPathSet compiles patterns.
func newPathSet(patterns []string) (*pathSet, error) {
	s := &pathSet{ends: map[string]bool{}}
	for _, p := range patterns {
		if err := s.add(strings.ToLower(p)); err != nil {
			return nil, fmt.Errorf("path pattern %q: %w", p, err)
		}
	}
	return s, nil
}

func (s *pathSet) add(p string) error {
	s.size++
	switch {
	case strings.HasPrefix(p, "!"):
		if s.except == nil {
			s.except = &pathSet{ends: map[string]bool{}}
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
		s.ends["."+ending] = true
		return nil
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

// contains says whether a decoded path is in the set. Its time is linear in the
// path's length.
func (s *pathSet) contains(path string) bool {
	if s == nil || s.size == 0 {
		return false
	}
	if i := strings.IndexByte(path, 0); i > 0 {
		path = path[:i] // what follows a NUL is for C programs to overlook
	}
	if hasUpper(path) {
		path = strings.ToLower(path)
	}
	return s.containsFolded(path) && (s.except == nil || !s.except.containsFolded(path))
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if s[i]-'A' < 26 {
			return true
		}
	}
	return false
}

func (s *pathSet) containsFolded(path string) bool {
	trimmed := strings.TrimRight(path, "/")
	if _, ok := s.whole.find(trimmed); ok {
		return true
	}
	return s.containsSegment(trimmed) || s.containsLast(trimmed)
}

// containsSegment walks the segments once.
func (s *pathSet) containsSegment(path string) bool {
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
	if r.anywhere {
		return true
	}
	if end == len(path) {
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
	}
	for _, e := range r.endings {
		dir, ending, _ := strings.Cut(e, "*")
		if strings.HasSuffix(path[:min(end+1, len(path))], dir) && len(path) > end+1 && strings.HasSuffix(path, ending) {
			return true
		}
	}
	return false
}

// containsLast judges the last segment's beginning and ending.
func (s *pathSet) containsLast(path string) bool {
	dir, last := splitLast(path)
	if last == "" {
		return false
	}
	for _, g := range s.globs[last[0]] {
		if len(last) >= len(g.head)+len(g.tail) && strings.HasPrefix(last, g.head) && strings.HasSuffix(last, g.tail) &&
			(g.dir == "**" || g.dir == dir) {
			return true
		}
	}
	return s.hasEnding(last)
}

// hasEnding looks at what follows the last dot, and the last but one.
func (s *pathSet) hasEnding(last string) bool {
	if len(s.ends) == 0 {
		return false
	}
	dot := strings.LastIndexByte(last, '.')
	if dot < 0 || len(last)-dot >= maxName {
		return false
	}
	if s.ends[last[dot:]] {
		return true
	}
	second := strings.LastIndexByte(last[:dot], '.')
	return second >= 0 && len(last)-second < maxName && s.ends[last[second:]]
}
