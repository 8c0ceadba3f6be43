package extract

import (
	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// flow is how a statement ended.
type flow uint8

const (
	flowNext flow = iota
	flowBreak
	flowContinue
	flowReturn
	flowRaise
	flowStop // the budget is spent
)

func (in *interp) execAll(body []*python.Stmt) flow {
	for _, s := range body {
		if f := in.exec(s); f != flowNext {
			return f
		}
	}
	return flowNext
}

func (in *interp) exec(s *python.Stmt) flow {
	if !in.step() {
		return flowStop
	}
	in.read(s)
	in.frame().line = s.Line
	switch s.Keyword {
	case "if":
		return in.execIf(s)
	case "for":
		return in.execFor(s)
	case "while":
		return in.execWhile(s)
	case "try":
		return in.execTry(s)
	case "with":
		return in.execWith(s)
	case "match":
		return in.execMatch(s)
	case "def":
		return in.execDef(s)
	case "class":
		return in.execClass(s)
	}
	if s.Node == nil {
		in.opaque(s)
		return flowNext
	}
	return in.execSimple(s.Node)
}

func (in *interp) execSimple(n ast.Stmt) flow {
	switch n := n.(type) {
	case *ast.ExprStmt:
		in.eval(n.Value)
	case *ast.Assign:
		in.execAssign(n)
	case *ast.AugAssign:
		in.execAugAssign(n)
	case *ast.Import:
		in.execImport(n)
	case *ast.ImportFrom:
		in.execImportFrom(n)
	case *ast.Delete:
		in.execDelete(n)
	case *ast.Global:
		in.declare(&in.frame().globals, n.Names)
	case *ast.Nonlocal:
		in.declare(&in.frame().nonlocals, n.Names)
	case *ast.Return:
		return in.execReturn(n)
	case *ast.Raise:
		return flowRaise
	case *ast.Break:
		return flowBreak
	case *ast.Continue:
		return flowContinue
	}
	return flowNext
}

func (in *interp) execReturn(n *ast.Return) flow {
	var v value = none{}
	if n.Value != nil {
		v = in.eval(n.Value)
	}
	f := in.frame()
	f.results = append(f.results, v)
	return flowReturn
}

func (in *interp) declare(into *map[string]bool, names []ast.Identifier) {
	if *into == nil {
		*into = map[string]bool{}
	}
	for _, n := range names {
		(*into)[string(n)] = true
	}
}

func (in *interp) execAssign(n *ast.Assign) {
	v := in.eval(n.Value)
	for _, t := range n.Targets {
		in.bind(t, v)
	}
}

func (in *interp) execAugAssign(n *ast.AugAssign) {
	old, more := in.eval(n.Target), in.eval(n.Value)
	if n.Op == ast.Add || n.Op == ast.BitOr {
		if in.extend(old, more) {
			return
		}
	}
	in.bind(n.Target, in.binary(n.Op, old, more))
}

// extend is += on a list, |= on a dict or set: in place.
func (in *interp) extend(old, more value) bool {
	switch old := old.(type) {
	case *seq:
		if old.kind == tupleSeq {
			return false
		}
		items, open := in.iterate(more)
		old.grow(items, open)
		return true
	case *dict:
		if d, ok := more.(*dict); ok {
			old.update(d)
		} else {
			old.open = true
		}
		return true
	}
	return false
}

func (in *interp) execDelete(n *ast.Delete) {
	for _, t := range n.Targets {
		switch t := t.(type) {
		case *ast.Name:
			in.unassign(in.scopeFor(string(t.Id)), string(t.Id))
		case *ast.Subscript:
			if d, ok := in.eval(t.Value).(*dict); ok && in.uncertain == 0 {
				if k, ok := in.subscriptKey(t.Slice); ok {
					d.remove(k)
				}
			}
		}
	}
}

// scopeFor is where an assignment to name goes.
func (in *interp) scopeFor(name string) *scope {
	f := in.frame()
	if f.globals[name] && f.module != nil {
		return f.module.vars
	}
	if f.nonlocals[name] {
		for s := f.vars.parent; s != nil; s = s.parent {
			if _, ok := s.names[name]; ok {
				return s
			}
		}
	}
	return f.vars
}

// bind assigns v to a target of any shape.
func (in *interp) bind(target ast.Expr, v value) {
	switch t := target.(type) {
	case *ast.Name:
		in.assign(in.scopeFor(string(t.Id)), string(t.Id), v)
	case *ast.Attribute:
		in.setAttr(in.eval(t.Value), string(t.Attr), v)
	case *ast.Subscript:
		in.setItem(in.eval(t.Value), t.Slice, v)
	case *ast.Tuple:
		in.unpack(t.Elts, v)
	case *ast.List:
		in.unpack(t.Elts, v)
	case *ast.Starred:
		in.bind(t.Value, v)
	}
}

func (in *interp) unpack(targets []ast.Expr, v value) {
	star := -1
	for i, t := range targets {
		if _, ok := t.(*ast.Starred); ok {
			star = i
		}
	}
	for i, t := range targets {
		i := i
		in.bind(t, each(v, func(a value) value { return in.part(a, i, len(targets), star) }))
	}
}

// part is what the i-th of n targets gets of v.
func (in *interp) part(v value, i, n, star int) value {
	items, open := in.iterate(v)
	fixed := n
	if star >= 0 {
		fixed = n - 1
	}
	if open || len(items) < fixed || (star < 0 && len(items) != n) {
		if star < 0 && i < len(items) {
			return items[i]
		}
		return unknownf("unpacking a value that is not known")
	}
	switch {
	case i == star:
		return newSeq(listSeq, items[i:len(items)-(n-1-i)]...)
	case star >= 0 && i > star:
		return items[len(items)-(n-i)]
	}
	return items[i]
}

func (in *interp) setItem(on value, at ast.Slicer, v value) {
	key, ok := in.subscriptKey(at)
	for _, o := range alternatives(on) {
		switch o := o.(type) {
		case *dict:
			in.setKey(o, key, v, ok)
		case *seq:
			if i, isInt := key.(int64); ok && isInt && i >= 0 && int(i) < len(o.items) {
				o.items[i] = v
			}
		case *object:
			in.callMethod(o, "__setitem__", key, v)
		}
	}
}

func (in *interp) setKey(d *dict, key, v value, ok bool) {
	if !ok {
		d.open = true
		d.loose = append(d.loose, v)
		return
	}
	for _, k := range alternatives(key) {
		if opaqueValue(k) {
			d.open = true
			d.loose = append(d.loose, v)
			continue
		}
		if old, had := d.get(k); had && in.uncertain > 0 {
			v = join(v, old)
		}
		d.set(k, v)
	}
}
