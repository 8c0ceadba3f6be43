package routes

import "strings"

// unexpected judges a path that no rule has, in the order of the design's
// verdict table: what is harmless first, then what we can't know, then what
// counts.
func (t *Table) unexpected(s *search, path string) Verdict {
	name := foldPath(path)
	if t.lists.benign(&name) {
		return Verdict{Kind: Benign}
	}
	if v, ok := t.excused(s, path); ok {
		return v
	}
	if t.lists.honeypath(&name) {
		return Verdict{Kind: Honeypath}
	}
	if t.lists.subresource(&name) || t.linkified(s, path) {
		return Verdict{Kind: Benign}
	}
	if s.branched {
		if r := t.shape(s, path); r != nil {
			return Verdict{Kind: BadValue, Route: r.route}
		}
	}
	return Verdict{Kind: UnexpectedPath}
}

// elsewhere judges a path that is not below the app's prefix.
func (t *Table) elsewhere(path string) Verdict {
	name := foldPath(path)
	switch {
	case t.lists.benign(&name):
		return Verdict{Kind: Benign}
	case t.lists.honeypath(&name):
		return Verdict{Kind: Honeypath}
	case t.lists.subresource(&name):
		return Verdict{Kind: Benign}
	}
	return Verdict{Kind: UnexpectedPath}
}

// excused says that the table's word is no evidence for this path.
func (t *Table) excused(s *search, path string) (Verdict, bool) {
	for _, prefix := range t.open {
		if below(path, prefix) {
			return Verdict{Kind: UnresolvedPath}, true
		}
	}
	if t.retired == nil {
		return Verdict{}, false
	}
	old := search{path: path, domain: s.domain, method: s.method, websocket: s.websocket}
	if r := old.run(t.retired.root); r != nil {
		return Verdict{Kind: UnresolvedPath, Route: r.route}, true
	}
	if old.other != nil {
		return Verdict{Kind: UnresolvedPath, Route: old.other.route}, true
	}
	return Verdict{}, false
}

// openPrefix is the text that the paths below an unresolved prefix begin with.
func openPrefix(prefix string) string {
	prefix, _, _ = strings.Cut(prefix, "<")
	if strings.Trim(prefix, "/") == "" {
		return ""
	}
	return prefix
}

// below says that a path lies at or below an unresolved prefix. A prefix need
// not end where a segment does.
func below(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) || path == strings.TrimRight(prefix, "/")
}

// linkTrail is the punctuation that mail and chat programs take into a link
// when they turn text into one.
const linkTrail = ")].,;:!>'\"\u00a0\u201d\u2019*"

// linkified says that the path is a route with the punctuation behind a link.
func (t *Table) linkified(s *search, path string) bool {
	if path == "" || isLetterOrDigit(path[len(path)-1]) || path[len(path)-1] == '/' {
		return false
	}
	trimmed := strings.TrimRight(path, linkTrail)
	if trimmed == path || trimmed == "" {
		return false
	}
	again := search{path: trimmed, domain: s.domain, method: s.method, websocket: s.websocket}
	return again.run(t.machine.root) != nil
}

// shape returns a rule that has the path's literal segments and shape, though a
// converter of it refuses a value. Rules without a literal segment don't
// count: anything has their shape.
func (t *Table) shape(s *search, path string) *rule {
	w := wide{path: path}
	if start := t.machine.root.next(s.domain); start != nil {
		if r := w.walk(start, 0, 0); r != nil {
			return r
		}
	}
	for _, e := range t.machine.root.dynamic {
		if !e.part.final && e.part.match.matches(s.domain) {
			if r := w.walk(e.to, 0, 0); r != nil {
				return r
			}
		}
	}
	return nil
}

// wide walks the state machine as if every converter took everything.
type wide struct {
	path string
}

func (w *wide) walk(at *state, pos, literals int) *rule {
	if pos > len(w.path) {
		return w.arrive(at, literals)
	}
	end := partEnd(w.path, pos)
	text := w.path[pos:end]
	if next := at.next(text); next != nil {
		said := 0
		if text != "" {
			said = 1
		}
		if r := w.walk(next, end+1, literals+said); r != nil {
			return r
		}
	}
	return w.walkDynamic(at, pos, end, literals)
}

func (w *wide) walkDynamic(at *state, pos, end, literals int) *rule {
	for _, e := range at.candidates(w.path[pos:end]) {
		to := end
		if e.part.final {
			to = len(w.path)
		}
		if pos == to || !e.part.fits(w.path[pos:to]) {
			continue
		}
		if r := w.walk(e.to, to+1, literals); r != nil {
			return r
		}
	}
	return nil
}

func (w *wide) arrive(at *state, literals int) *rule {
	if literals == 0 {
		return nil
	}
	if len(at.rules) > 0 {
		return at.rules[0]
	}
	if at.slash != nil && len(at.slash.rules) > 0 {
		return at.slash.rules[0]
	}
	return nil
}

// fits says that the literal beginning and end of a part are there.
func (p *part) fits(text string) bool {
	first, last := p.elements[0].literal, p.elements[len(p.elements)-1].literal
	return len(text) > len(first)+len(last) && strings.HasPrefix(text, first) && strings.HasSuffix(text, last)
}
