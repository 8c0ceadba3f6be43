package extract

import (
	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

type kwarg struct {
	name string
	v    value
}

// call is the arguments of one call.
type call struct {
	args []value
	kw   []kwarg
	// open says that there may be further arguments (*args or **kwargs of a
	// value that is not known).
	open bool
}

// get is the argument at position i or of this name; i < 0 for keyword-only.
func (c *call) get(i int, name string) (value, bool) {
	if i >= 0 && i < len(c.args) {
		return c.args[i], true
	}
	for _, k := range c.kw {
		if k.name == name {
			return k.v, true
		}
	}
	return nil, false
}

// or is get, or a default; where the call is open, either.
func (c *call) or(i int, name string, otherwise value) value {
	if v, ok := c.get(i, name); ok {
		return v
	}
	if c.open {
		return join(otherwise, unknownf("arguments that are not known"))
	}
	return otherwise
}

// all lists every argument.
func (c *call) all() []value {
	out := append([]value(nil), c.args...)
	for _, k := range c.kw {
		out = append(out, k.v)
	}
	return out
}

// with is c with a first argument put before the others.
func (c *call) with(self value) *call {
	return &call{args: append([]value{self}, c.args...), kw: c.kw, open: c.open}
}

func (in *interp) evalCall(e *ast.Call) value { return in.evalCallAs(e, false) }

// evalCallAs evaluates a call, which may be the expression of a decorator.
func (in *interp) evalCallAs(e *ast.Call, decorator bool) value {
	if n, ok := e.Func.(*ast.Name); ok {
		if mark, ok := in.markers[string(n.Id)]; ok {
			return mark(in, e)
		}
	}
	fn := in.eval(e.Func)
	c := in.evalArgs(e.Args, e.Keywords)
	if e.Lineno > 0 {
		in.frame().line = e.Lineno
	}
	in.suspect(e, fn, c, decorator)
	return in.callValue(fn, c)
}

func (in *interp) evalArgs(args []ast.Expr, kws []*ast.Keyword) *call {
	c := &call{}
	for _, a := range args {
		if star, ok := starred(a); ok {
			items, open := in.iterate(in.eval(star))
			c.args = append(c.args, items...)
			c.open = c.open || open
			continue
		}
		if m, ok := a.(*ast.Call); ok && isName(m.Func, python.StarStar) && len(m.Args) == 1 {
			in.spreadArgs(c, in.eval(m.Args[0]))
			continue
		}
		c.args = append(c.args, in.eval(a))
	}
	for _, k := range kws {
		c.kw = append(c.kw, kwarg{string(k.Arg), in.eval(k.Value)})
	}
	return c
}

// spreadArgs is **v in a call.
func (in *interp) spreadArgs(c *call, v value) {
	d, ok := v.(*dict)
	if !ok {
		c.open = true
		return
	}
	for _, k := range d.keys {
		if name, ok := k.(string); ok {
			c.kw = append(c.kw, kwarg{name, d.vals[k]})
		}
	}
	c.open = c.open || d.open
}

// callValue calls fn, each alternative of it.
func (in *interp) callValue(fn value, c *call) value {
	if !in.step() {
		return unknownf("the budget of steps is spent")
	}
	if len(in.frames) > maxFrames {
		in.lost(c, "the calls nest too deeply or never end")
		return unknownf("the calls nest too deeply or never end")
	}
	switch f := fn.(type) {
	case *native:
		return f.call(in, c)
	case *function:
		return in.callFunction(f, c)
	case *bound:
		return in.callValue(f.fn, c.with(f.self))
	case *class:
		return in.instantiate(f, c)
	case *wrapped:
		return in.callValue(f.fn, c)
	case *external:
		return in.callExternal(f, c)
	case *object:
		if m, ok := in.attrOf(f, "__call__"); ok {
			return in.callValue(m, c)
		}
	case *choice:
		return in.callChoice(f, c)
	}
	return in.callUnknown(fn, c)
}

// callChoice calls what may be called. What only a setting could put there is
// left to the default.
func (in *interp) callChoice(f *choice, c *call) value {
	var out []value
	for _, a := range known(f) {
		if isNone(a) {
			continue
		}
		out = append(out, in.callValue(a, c))
	}
	if name := settingOf(f); name != "" {
		out = append(out, setting(name))
	}
	if len(out) == 0 {
		return unknownf("None is called")
	}
	return join(out...)
}

// maxFrames bounds the depth of calls.
const maxFrames = 120

// maxRecursion is how often one function may be under way.
const maxRecursion = 12

func (in *interp) callFunction(f *function, c *call) value {
	if in.underWay(f) > maxRecursion {
		return unknownf("a recursion that is not followed to its end")
	}
	fr := &frame{fn: f, module: f.module, vars: newScope(f.closure), class: f.class}
	in.bindParams(f, c, fr.vars)
	if len(in.frames) > 0 {
		fr.line = in.frame().line
	}
	in.ran[stmtOf(f.body)] = true
	run := func() { in.enter(fr, func() flow { return in.runBody(f, fr) }) }
	switch {
	case in.isIdle(f, c):
		in.runIdle(f, fr, run)
	case in.inIdle > 0 && in.apart(run), in.inIdle == 0 && in.share(run):
		in.tooLong(f, c)
	}
	if f.generator {
		return newSeq(listSeq, fr.yields...)
	}
	if len(fr.results) == 0 {
		return none{}
	}
	return join(fr.results...)
}

// underWay is how many calls of f have not ended.
func (in *interp) underWay(f *function) int {
	n := 0
	for _, fr := range in.frames {
		if fr.fn == f {
			n++
		}
	}
	return n
}

// tooLong opens what a call that was cut short may have registered on.
func (in *interp) tooLong(f *function, c *call) {
	why := tooMany(f).(*unknown).why
	in.lost(c, why)
	if len(in.handed(c)) == 0 && in.loader.mentions(f.module) {
		in.stray.addOpening(opening{in.here(), "", why})
	}
}

func stmtOf(body []*python.Stmt) *python.Stmt {
	if len(body) == 0 {
		return nil
	}
	return body[0]
}

func (in *interp) runBody(f *function, fr *frame) flow {
	if f.expr != nil {
		fr.results = []value{in.eval(f.expr)}
		return flowReturn
	}
	end := in.execAll(f.body)
	if end == flowNext && len(fr.results) > 0 {
		fr.results = append(fr.results, none{})
	}
	f.generator = f.generator || len(fr.yields) > 0
	return end
}

// bindParams gives parameters their arguments. What is not given and has no
// default is unknown.
func (in *interp) bindParams(f *function, c *call, into *scope) {
	n := len(f.args.Args)
	used := map[string]bool{}
	for i, p := range f.args.Args {
		name := string(p.Arg)
		used[name] = true
		v, ok := c.get(i, name)
		if !ok {
			v = in.missingArg(f.defaults, i-(n-len(f.defaults)), name, c.open)
		}
		into.put(name, v)
	}
	for i, p := range f.args.Kwonlyargs {
		name := string(p.Arg)
		used[name] = true
		v, ok := c.get(-1, name)
		if !ok {
			v = in.missingArg(f.kwDefaults, i, name, c.open)
		}
		into.put(name, v)
	}
	if f.args.Vararg != nil {
		rest := newSeq(tupleSeq)
		if len(c.args) > n {
			rest.items = append(rest.items, c.args[n:]...)
		}
		rest.open = c.open
		into.put(string(f.args.Vararg.Arg), rest)
	}
	if f.args.Kwarg != nil {
		into.put(string(f.args.Kwarg.Arg), restOf(c, used))
	}
}

func restOf(c *call, used map[string]bool) *dict {
	d := newDict()
	d.open = c.open
	for _, k := range c.kw {
		if !used[k.name] {
			d.set(k.name, k.v)
		}
	}
	return d
}

func (in *interp) missingArg(defaults []value, i int, name string, open bool) value {
	var v value
	if i >= 0 && i < len(defaults) {
		v = defaults[i]
	}
	switch {
	case v == nil:
		return unknownf("the argument " + name + " is not known")
	case open:
		return join(v, unknownf("the argument "+name+" is not known"))
	}
	return v
}

func (in *interp) instantiate(c *class, args *call) value {
	if c.isEnum() && len(args.args) == 1 {
		return args.args[0]
	}
	if create, _, ok := c.find("__new__"); ok {
		v := in.callValue(unwrap(create), args.with(c))
		if o, ok := v.(*object); !ok || !o.class.is(c) {
			return v
		} else {
			in.callMethodWith(o, "__init__", args)
			return v
		}
	}
	o := &object{class: c, vars: newScope(nil)}
	if !in.callMethodWith(o, "__init__", args) {
		in.initFields(o, args)
	}
	return o
}

func unwrap(v value) value {
	if w, ok := v.(*wrapped); ok {
		return w.fn
	}
	return v
}

func (in *interp) callMethodWith(o *object, name string, c *call) bool {
	m, ok := in.attrOf(o, name)
	if ok {
		in.callValue(m, c)
	}
	return ok
}

func (in *interp) positionalFields(o *object, args []value) {
	fields := in.fields(o.class)
	for i, v := range args {
		if i < len(fields) {
			o.vars.put(fields[i], v)
		}
	}
}

// initFields is what a generated __init__ (a dataclass, a pydantic model) does.
func (in *interp) initFields(o *object, c *call) {
	for _, k := range c.kw {
		o.vars.put(k.name, k.v)
	}
	if len(c.args) > 0 {
		in.positionalFields(o, c.args)
	}
	if o.class.foreign || len(o.class.externalBases()) > 0 {
		in.escape(c, o.class.harmlessPath())
	}
}
