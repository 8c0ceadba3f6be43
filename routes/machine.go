package routes

import "strings"

// step is one dynamic edge taken, with the place of the text it matched; from
// is -1 for the domain.
type step struct {
	edge     *edge
	from, to int
}

// maxSteps is how many variables-bearing parts are remembered without
// allocating.
const maxSteps = 8

// search is one walk through the machine. It lives on the stack.
type search struct {
	path      string
	domain    string
	method    asked
	websocket bool

	// other is the first rule met that has this path for other methods,
	// mismatched the first whose scheme (plain or WebSocket) differs.
	other, mismatched *rule
	// needsSlash is set where a rule matches with a slash more: Werkzeug's
	// SlashRequired.
	needsSlash bool
	// merged is set where path had doubled slashes that were merged.
	merged bool
	// branched is set where the path got further than its first segment, or
	// could have with another value.
	branched bool
	// allow collects the methods of the rules met, where it is not nil.
	allow map[string]bool

	steps [maxSteps]step
	more  []step
	depth int
}

// run matches the search's path, starting from the domain.
func (s *search) run(root *state) *rule {
	if next := root.next(s.domain); next != nil {
		if r := s.walk(next, 0); r != nil {
			return r
		}
	}
	for _, e := range root.candidates(s.domain) {
		// A domain part that may hold slashes takes the whole path too, after
		// which no rule is left to match.
		if e.part.final || !e.part.match.matches(s.domain) {
			continue
		}
		s.push(step{e, -1, len(s.domain)})
		if r := s.walk(e.to, 0); r != nil {
			return r
		}
		s.depth--
	}
	return nil
}

// walk is StateMachineMatcher.match's inner _match. The parts left are those of
// path from pos on; none are left where pos is beyond its end. It visits each
// state of the tree at most once, so it is linear in the path and takes no
// more than the alternatives that fit.
func (s *search) walk(at *state, pos int) *rule {
	if pos > len(s.path) {
		return s.arrive(at)
	}
	end := partEnd(s.path, pos)
	part := s.path[pos:end]
	if next := at.next(part); next != nil {
		s.branched = s.branched || part != ""
		if r := s.walk(next, end+1); r != nil {
			return r
		}
	}
	if len(at.dynamic) > 0 {
		s.branched = true
		if r := s.walkDynamic(at, pos, end); r != nil {
			return r
		}
	}
	if pos == len(s.path) {
		return s.arriveSlash(at)
	}
	return nil
}

// partEnd is where the part that begins at pos ends.
func partEnd(path string, pos int) int {
	if i := strings.IndexByte(path[pos:], '/'); i >= 0 {
		return pos + i
	}
	return len(path)
}

func (s *search) walkDynamic(at *state, pos, end int) *rule {
	for _, e := range at.candidates(s.path[pos:end]) {
		to, next := end, end+1
		if e.part.final {
			to, next = len(s.path), len(s.path)+1
		}
		if e.part.suffixed && to > pos && s.path[to-1] == '/' {
			// The optional slash of a suffixed part is no part of its match,
			// and the text before it does not end in another.
			to, next = to-1, to
			if to > pos && s.path[to-1] == '/' {
				continue
			}
		}
		if !e.part.match.matches(s.path[pos:to]) {
			continue
		}
		s.push(step{e, pos, to})
		if r := s.walk(e.to, next); r != nil {
			return r
		}
		s.depth--
	}
	return nil
}

func (s *search) push(p step) {
	if s.depth < maxSteps {
		s.steps[s.depth] = p
	} else {
		s.more = append(s.more[:s.depth-maxSteps], p)
	}
	s.depth++
}

// taken returns the i-th step of the way that matched.
func (s *search) taken(i int) step {
	if i < maxSteps {
		return s.steps[i]
	}
	return s.more[i-maxSteps]
}

// arrive picks the rule where no parts are left.
func (s *search) arrive(at *state) *rule {
	for _, r := range at.rules {
		if s.fits(r) {
			return r
		}
	}
	if at.slash == nil {
		return nil
	}
	for _, r := range at.slash.rules {
		if r.route.WebSocket == s.websocket && r.methods.has(s.method) {
			s.needsSlash = r.route.StrictSlashes
			return r
		}
	}
	return nil
}

// arriveSlash picks a rule without strict slashes where only a slash is left.
func (s *search) arriveSlash(at *state) *rule {
	for _, r := range at.rules {
		if !r.route.StrictSlashes && s.fits(r) {
			return r
		}
	}
	return nil
}

// fits checks a rule's methods and scheme and remembers what did not fit.
func (s *search) fits(r *rule) bool {
	if !r.methods.has(s.method) {
		if s.other == nil && !r.methods.empty() {
			s.other = r
		}
		if s.allow != nil {
			r.methods.appendTo(s.allow)
		}
		return false
	}
	if r.route.WebSocket != s.websocket {
		if s.mismatched == nil {
			s.mismatched = r
		}
		return false
	}
	return true
}

// values returns what the rule's converters get, in their order.
func (s *search) values() []capture {
	var out []capture
	for i := range s.depth {
		t := s.taken(i)
		text := s.domain
		if t.from >= 0 {
			text = s.path[t.from:t.to]
		}
		out = append(out, t.edge.part.match.captures(text)...)
	}
	return out
}
