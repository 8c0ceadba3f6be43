package extract

// scope holds names: of a module, a function's frame, a class or an object.
type scope struct {
	names  map[string]value
	order  []string
	parent *scope // lexical; nil for modules, classes and objects
}

func newScope(parent *scope) *scope {
	return &scope{names: map[string]value{}, parent: parent}
}

func (s *scope) get(name string) (value, bool) {
	v, ok := s.names[name]
	return v, ok
}

// lookup searches the enclosing scopes too.
func (s *scope) lookup(name string) (value, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.names[name]; ok {
			return v, true
		}
	}
	return nil, false
}

func (s *scope) put(name string, v value) {
	if _, ok := s.names[name]; !ok {
		s.order = append(s.order, name)
	}
	s.names[name] = v
}

// write remembers what a name was before a branch changed it.
type write struct {
	scope *scope
	name  string
	old   value // nil: did not exist
}

// journal is what one branch wrote, oldest first.
type journal struct{ writes []write }

// assign sets a name, so that an uncertain branch can be undone.
func (in *interp) assign(s *scope, name string, v value) {
	if n := len(in.journals); n > 0 {
		j := in.journals[n-1]
		j.writes = append(j.writes, write{s, name, s.names[name]})
	}
	s.put(name, v)
}

func (in *interp) unassign(s *scope, name string) {
	if n := len(in.journals); n > 0 {
		j := in.journals[n-1]
		j.writes = append(j.writes, write{s, name, s.names[name]})
	}
	delete(s.names, name)
}

type slot struct {
	scope *scope
	name  string
}

// outcome is what a branch would have changed, and how it ended.
type outcome struct {
	changes map[slot]value
	order   []slot
	flow    flow
	// aside branches are followed for what they register, never for what
	// they assign.
	aside bool
	// soft branches count for what they assign as far as it is [plausible].
	soft bool
}

// branch runs body, takes back its assignments and returns them.
func (in *interp) branch(body func() flow) outcome {
	j := &journal{}
	in.journals = append(in.journals, j)
	in.uncertain++
	o := outcome{flow: body(), changes: map[slot]value{}}
	in.uncertain--
	in.journals = in.journals[:len(in.journals)-1]
	for i := len(j.writes) - 1; i >= 0; i-- {
		w := j.writes[i]
		at := slot{w.scope, w.name}
		if _, seen := o.changes[at]; !seen {
			o.changes[at] = w.scope.names[w.name]
			o.order = append(o.order, at)
		}
	}
	for i := len(j.writes) - 1; i >= 0; i-- {
		j.writes[i].undo()
	}
	return o
}

func (w write) undo() {
	if w.old == nil {
		delete(w.scope.names, w.name)
		return
	}
	w.scope.put(w.name, w.old)
}

// merge makes the state one of what the branches left behind. A branch that
// left the function still counts for names outside the function's frame.
func (in *interp) merge(local *scope, branches []outcome) {
	seen := map[slot]bool{}
	for i := range branches {
		for j := len(branches[i].order) - 1; j >= 0; j-- {
			at := branches[i].order[j]
			if !seen[at] && !branches[i].ignores(at, local) {
				seen[at] = true
				in.mergeSlot(at, local, branches)
			}
		}
	}
}

func (o outcome) ignores(at slot, local *scope) bool {
	if o.aside && (!o.soft || o.changes[at] == nil || !plausible(o.changes[at])) || o.flow == flowRaise {
		return true
	}
	return o.flow == flowReturn && at.scope == local
}

func (in *interp) mergeSlot(at slot, local *scope, branches []outcome) {
	before := at.scope.names[at.name]
	var vs []value
	for _, b := range branches {
		if b.ignores(at, local) {
			continue
		}
		v, changed := b.changes[at]
		if !changed {
			v = before
		}
		if v != nil {
			vs = append(vs, v)
		}
	}
	if len(vs) > 0 {
		in.assign(at.scope, at.name, join(vs...))
	}
}
