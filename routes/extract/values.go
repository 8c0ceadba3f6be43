package extract

import (
	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// A value is what an expression evaluates to: nil never, else one of none,
// bool, int64, float64, string, rawBytes and the pointer types below.
type value any

// none is Python's None.
type none struct{}

// rawBytes is a bytes literal.
type rawBytes string

// unknown is a value that cannot be determined.
type unknown struct {
	why string
	// text says that it is a string of which head and tail are known.
	text       bool
	head, tail string
	// setting names the environment variable or configuration key that
	// decides; a known alternative then is the default.
	setting string
}

// choice is one of several values, at least two.
type choice struct{ of []value }

type seqKind uint8

const (
	listSeq seqKind = iota
	tupleSeq
	setSeq
)

// seq is a list, tuple or set.
type seq struct {
	kind  seqKind
	items []value
	// open says that there may be further items.
	open bool
}

// dict keeps insertion order, as Python does.
type dict struct {
	keys []value
	vals map[value]value
	// open says that there may be further keys.
	open bool
	// loose are values whose keys are not known; open is then set.
	loose []value
	// settings marks a configuration: what is read from it may differ in
	// another deployment.
	settings bool
}

// function is a def or a lambda.
type function struct {
	name    string
	args    *ast.Arguments
	body    []*python.Stmt
	expr    ast.Expr // of a lambda
	module  *module
	closure *scope
	// defaults run parallel to the last positional arguments, kwDefaults to
	// the keyword-only ones.
	defaults, kwDefaults []value
	attrs                *scope
	class                *class // that defines it
	generator            bool
}

// wrapped is a function made a staticmethod, classmethod or property.
type wrapped struct {
	kind string
	fn   value
}

// bound is a method with its self.
type bound struct {
	self value
	fn   value
}

// native is a function that the interpreter itself provides.
type native struct {
	name string
	call func(in *interp, c *call) value
}

// class is a class of the project, or one that a model provides.
type class struct {
	name   string
	bases  []value
	vars   *scope
	module *module
	line   int
	// linear is the method resolution order, itself first. Bases outside the
	// project are left out and set foreign.
	linear  []*class
	foreign bool
	// meta is the metaclass, where the project has one.
	meta *class
}

// object is an instance of a class.
type object struct {
	class *class
	vars  *scope
	// payload is what a model keeps: *app, *blueprint, *urlRule, ...
	payload any
}

// external is a value that lives outside the project: a module, what one of its
// attributes is, or what calling it gives.
type external struct {
	path   string
	parent *external
	name   string // attribute of parent; empty for a call's result
	call   *call  // the call whose result this is
}

// super is the result of super().
type super struct {
	self  value
	after *class
}

func newSeq(kind seqKind, items ...value) *seq { return &seq{kind: kind, items: items} }

func newDict() *dict { return &dict{vals: map[value]value{}} }

func (d *dict) get(k value) (value, bool) {
	v, ok := d.vals[k]
	return v, ok
}

func (d *dict) set(k, v value) {
	if _, ok := d.vals[k]; !ok {
		d.keys = append(d.keys, k)
	}
	d.vals[k] = v
}

func (d *dict) remove(k value) {
	if _, ok := d.vals[k]; !ok {
		return
	}
	delete(d.vals, k)
	for i, have := range d.keys {
		if have == k {
			d.keys = append(d.keys[:i:i], d.keys[i+1:]...)
			return
		}
	}
}

func (d *dict) copy() *dict {
	c := &dict{keys: append([]value(nil), d.keys...), vals: make(map[value]value, len(d.vals)), open: d.open, settings: d.settings}
	for k, v := range d.vals {
		c.vals[k] = v
	}
	return c
}

func (d *dict) update(from *dict) {
	for _, k := range from.keys {
		d.set(k, from.vals[k])
	}
	d.open = d.open || from.open
}

func unknownf(why string) *unknown { return &unknown{why: why} }

// partial is a string of which only the ends are known.
func partial(why, head, tail string) *unknown {
	return &unknown{why: why, text: true, head: head, tail: tail}
}

// setting is the value that a deployment decides.
func setting(name string) *unknown {
	return &unknown{why: name + " is set by the deployment", setting: name}
}

// maxChoice bounds the alternatives of one value.
const maxChoice = 24

// join is the value that is one of vs.
func join(vs ...value) value {
	var all []value
	for _, v := range vs {
		for _, a := range alternatives(v) {
			if a != nil && len(all) <= maxChoice && !contains(all, a) {
				all = append(all, a)
			}
		}
	}
	switch {
	case len(all) == 0:
		return none{}
	case len(all) == 1:
		return all[0]
	case len(all) > maxChoice:
		all = append(all[:maxChoice-1:maxChoice-1], unknownf("too many possible values"))
	}
	return &choice{all}
}

// alternatives lists what v may be.
func alternatives(v value) []value {
	if c, ok := v.(*choice); ok {
		return c.of
	}
	return []value{v}
}

func contains(vs []value, v value) bool {
	for _, have := range vs {
		if have == v || sameUnknown(have, v) {
			return true
		}
	}
	return false
}

func sameUnknown(a, b value) bool {
	x, ok := a.(*unknown)
	if !ok {
		return false
	}
	y, ok := b.(*unknown)
	return ok && *x == *y
}

// each applies f to every alternative of v and joins the results.
func each(v value, f func(value) value) value {
	c, ok := v.(*choice)
	if !ok {
		return f(v)
	}
	out := make([]value, 0, len(c.of))
	for _, a := range c.of {
		out = append(out, f(a))
	}
	return join(out...)
}

// pairs applies f to every combination of alternatives.
func pairs(a, b value, f func(x, y value) value) value {
	return each(a, func(x value) value {
		return each(b, func(y value) value { return f(x, y) })
	})
}

// known drops what only a deployment could decide where a default is known.
func known(v value) []value {
	var out []value
	for _, a := range alternatives(v) {
		if u, ok := a.(*unknown); !ok || u.setting == "" {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return alternatives(v)
	}
	return out
}

func isNone(v value) bool {
	_, ok := v.(none)
	return ok
}
