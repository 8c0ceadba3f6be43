package extract

import "github.com/go-python/gpython/ast"

func (in *interp) evalComp(kind seqKind, elt ast.Expr, gens []ast.Comprehension) value {
	out := newSeq(kind)
	out.open = in.inComprehension(gens, func() { out.items = append(out.items, in.eval(elt)) })
	return out
}

func (in *interp) evalDictComp(e *ast.DictComp) value {
	d := newDict()
	open := in.inComprehension(e.Generators, func() {
		k := in.eval(e.Key)
		in.setKey(d, k, in.eval(e.Value), hashable(k))
	})
	d.open = d.open || open
	return d
}

// inComprehension runs emit for each element in a scope of its own, and says
// whether there may be more than were seen.
func (in *interp) inComprehension(gens []ast.Comprehension, emit func()) bool {
	outer := in.frame()
	f := *outer
	f.vars, f.globals, f.nonlocals = newScope(outer.vars), nil, nil
	f.loops = nil
	open := false
	in.enter(&f, func() flow {
		open = in.generate(gens, emit)
		return flowNext
	})
	return open
}

func (in *interp) generate(gens []ast.Comprehension, emit func()) bool {
	if len(gens) == 0 {
		emit()
		return false
	}
	g := gens[0]
	items, open := in.iterate(in.eval(g.Iter))
	in.loop(targetNames(g.Target, nil), 1)
	for _, item := range items {
		in.bind(g.Target, item)
		pass := in.passes(g.Ifs)
		if pass == no || !in.step() {
			continue
		}
		if in.generate(gens[1:], emit) {
			open = true
		}
	}
	if open {
		in.generateMore(g, gens[1:], emit)
	}
	return open
}

// generateMore runs emit for one element that is not known, for what it says of
// all: that a rule begins with /plugin/, or that each is a call of the app's.
func (in *interp) generateMore(g ast.Comprehension, rest []ast.Comprehension, emit func()) {
	o := in.branch(func() flow {
		in.bind(g.Target, unknownf("a loop over a value that is not known"))
		if in.passes(g.Ifs) != no {
			in.generate(rest, emit)
		}
		return flowNext
	})
	in.merge(in.frame().vars, []outcome{o, {}})
}

func (in *interp) passes(tests []ast.Expr) tristate {
	all := yes
	for _, t := range tests {
		switch in.truth(in.eval(t)) {
		case no:
			return no
		case maybe:
			all = maybe
		}
	}
	return all
}
