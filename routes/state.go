package routes

import "slices"

// state is a node of Werkzeug's state machine (routing/matcher.py): what is
// left to match after some parts of a rule.
type state struct {
	// literals lead on by a static part. The empty one, which stands for a
	// slash at the end, is slash.
	literals map[string]*state
	few      []literalEdge    // the same where there are few: faster than the map
	many     *nameSet[*state] // the same where there are many, for short texts
	slash    *state
	dynamic  []*edge
	index    *edgeIndex // of dynamic, where there are many
	rules    []*rule
}

type literalEdge struct {
	text string
	to   *state
}

// edge leads on by a dynamic part.
type edge struct {
	part  *part
	to    *state
	place int // among the edges of its state, in Werkzeug's order
}

const (
	// fewLiterals is how many literals are compared one by one.
	fewLiterals = 4
	// fewEdges is how many dynamic parts are tried without an index.
	fewEdges = 6
)

// machine is Werkzeug's StateMachineMatcher.
type machine struct {
	root         *state
	mergeSlashes bool
	behaviour    behaviour
}

func newMachine(rules []*rule, o Options, b behaviour) *machine {
	m := &machine{root: &state{}, mergeSlashes: o.MergeSlashes, behaviour: b}
	known := map[*state]map[string]*state{}
	for _, r := range rules {
		if !r.route.BuildOnly {
			m.add(r, known)
		}
	}
	m.root.finish()
	return m
}

// add threads one rule into the tree. known finds the dynamic edges of a state
// by their key.
func (m *machine) add(r *rule, known map[*state]map[string]*state) {
	at := m.root
	for _, p := range r.parts {
		if p.static {
			at = at.literal(p.literal())
			continue
		}
		if known[at] == nil {
			known[at] = map[string]*state{}
		}
		key := p.key()
		next := known[at][key]
		if next == nil {
			next = &state{}
			known[at][key] = next
			at.dynamic = append(at.dynamic, &edge{part: p, to: next})
		}
		at = next
	}
	at.rules = append(at.rules, r)
}

func (s *state) literal(text string) *state {
	if text == "" {
		if s.slash == nil {
			s.slash = &state{}
		}
		return s.slash
	}
	if s.literals == nil {
		s.literals = map[string]*state{}
	}
	if s.literals[text] == nil {
		s.literals[text] = &state{}
	}
	return s.literals[text]
}

// finish orders the dynamic edges, as StateMachineMatcher.update does, and
// prepares the look-ups.
func (s *state) finish() {
	slices.SortStableFunc(s.dynamic, func(a, b *edge) int { return a.part.weight.compare(b.part.weight) })
	for i, e := range s.dynamic {
		e.place = i
		e.to.finish()
	}
	if len(s.dynamic) > fewEdges {
		s.index = newEdgeIndex(s.dynamic)
	}
	if s.slash != nil {
		s.slash.finish()
	}
	for text, next := range s.literals {
		next.finish()
		if len(s.literals) <= fewLiterals {
			s.few = append(s.few, literalEdge{text, next})
		} else {
			s.indexLiteral(text, next)
		}
	}
}

// indexLiteral adds one literal to the fast look-up; what is too long for it is found
// in the map.
func (s *state) indexLiteral(text string, next *state) {
	if s.many == nil {
		s.many = &nameSet[*state]{}
	}
	if len(text) < maxName {
		_ = s.many.add(text, next) // cannot fail for this length
	}
}

// next returns the state that a static part leads to, or nil.
func (s *state) next(text string) *state {
	if text == "" {
		return s.slash
	}
	for i := range s.few {
		if s.few[i].text == text {
			return s.few[i].to
		}
	}
	switch {
	case s.many == nil:
		return nil
	case len(text) < maxName:
		to, _ := s.many.find(text)
		return to
	}
	return s.literals[text]
}

// candidates returns the dynamic edges that may match text, in order.
func (s *state) candidates(text string) []*edge {
	if s.index == nil {
		return s.dynamic
	}
	return s.index.find(text)
}

// edgeIndex finds among many dynamic parts those whose literal beginning fits,
// so that a thousand rules like /a-<x>, /b-<x> cost no more than one.
type edgeIndex struct {
	lengths []int // of the prefixes, longest first
	byText  map[string][]*edge
}

func newEdgeIndex(edges []*edge) *edgeIndex {
	x := &edgeIndex{byText: map[string][]*edge{}}
	own := map[string][]*edge{}
	for _, e := range edges {
		text := e.part.prefix()
		own[text] = append(own[text], e)
		if !slices.Contains(x.lengths, len(text)) {
			x.lengths = append(x.lengths, len(text))
		}
	}
	for text := range own {
		for _, n := range x.lengths {
			if n <= len(text) {
				x.byText[text] = append(x.byText[text], own[text[:n]]...)
			}
		}
		slices.SortFunc(x.byText[text], func(a, b *edge) int { return a.place - b.place })
	}
	slices.SortFunc(x.lengths, func(a, b int) int { return b - a })
	return x
}

// find returns the edges of the longest known prefix of text. All shorter
// prefixes of text are prefixes of that one, so its list has their edges too.
func (x *edgeIndex) find(text string) []*edge {
	for _, n := range x.lengths {
		if n > len(text) {
			continue
		}
		if edges, ok := x.byText[text[:n]]; ok {
			return edges
		}
	}
	return nil
}

// prefix is the literal text that a dynamic part begins with.
func (p *part) prefix() string {
	if len(p.elements) == 0 || p.elements[0].variable != nil {
		return ""
	}
	return p.elements[0].literal
}
