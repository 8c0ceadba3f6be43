package extract

import (
	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

func (in *interp) execDef(s *python.Stmt) flow {
	n, ok := s.Node.(*ast.FunctionDef)
	if !ok {
		in.opaque(s)
		return flowNext
	}
	f := in.makeFunction(string(n.Name), n.Args, s.Body, nil)
	v := in.decorate(f, s.Decorators)
	in.frame().line = s.Line
	in.assign(in.scopeFor(f.name), f.name, v)
	if set, ok := v.(*setter); ok {
		in.assign(in.scopeFor(f.name), f.name, set.of)
		in.assign(in.frame().vars, "="+f.name, set.fn)
	}
	return flowNext
}

func (in *interp) makeFunction(name string, args *ast.Arguments, body []*python.Stmt, expr ast.Expr) *function {
	fr := in.frame()
	f := &function{name: name, args: args, body: body, expr: expr, module: fr.module, closure: fr.vars, class: fr.class}
	if f.args == nil {
		f.args = &ast.Arguments{}
	}
	if fr.class != nil && fr.vars == fr.class.vars {
		f.closure = fr.vars.parent
	}
	for _, d := range f.args.Defaults {
		f.defaults = append(f.defaults, in.eval(d))
	}
	for _, d := range f.args.KwDefaults {
		var v value
		if d != nil {
			v = in.eval(d)
		}
		f.kwDefaults = append(f.kwDefaults, v)
	}
	return f
}

// decorate applies decorators, the innermost first.
func (in *interp) decorate(v value, decorators []python.Decorator) value {
	for i := len(decorators) - 1; i >= 0; i-- {
		d := decorators[i]
		in.frame().line = d.Line
		if d.Expr == nil {
			in.opaqueText(d.Line, d.Text)
			continue
		}
		v = in.applyDecorator(in.evalDecorator(d.Expr), v)
	}
	return v
}

func (in *interp) evalDecorator(e ast.Expr) value {
	if c, ok := e.(*ast.Call); ok {
		return in.evalCallAs(c, true)
	}
	return in.eval(e)
}

// applyDecorator calls deco with v. A decorator that is not known keeps what it
// decorates: nearly all wrap it and keep its name.
func (in *interp) applyDecorator(deco, v value) value {
	switch d := deco.(type) {
	case *unknown:
		in.callUnknown(d, &call{args: []value{v}})
		return v
	case *external:
		in.callExternal(d, &call{args: []value{v}})
		return v
	}
	return viewAmong(in.callValue(deco, &call{args: []value{v}}), v)
}

// viewAmong is what a decorator made of v, as far as it can still be called;
// else v.
func viewAmong(out, v value) value {
	var kept []value
	for _, a := range alternatives(out) {
		switch a := a.(type) {
		case *function, *bound, *native, *class, *wrapped, *object, *setter:
			kept = append(kept, a)
		}
	}
	if len(kept) == 0 {
		return v
	}
	return join(kept...)
}

// setter is what @x.setter makes of a function.
type setter struct{ of, fn value }

// markerCalls are the calls that lowering leaves in place of newer syntax.
func markerCalls() map[string]func(*interp, *ast.Call) value {
	lost := func(*interp, *ast.Call) value { return unknownf("a value that its syntax hides") }
	return map[string]func(*interp, *ast.Call) value{
		python.FString:  (*interp).evalFString,
		python.Walrus:   (*interp).evalWalrus,
		python.TString:  lost,
		python.Star:     lost,
		python.StarStar: lost,
	}
}

func (in *interp) evalFString(e *ast.Call) value {
	var out value = ""
	for _, a := range e.Args {
		part := in.eval(a)
		out = pairs(out, each(part, in.text), concat)
	}
	return out
}

func (in *interp) evalWalrus(e *ast.Call) value {
	if len(e.Args) != 2 {
		return unknownf("an assignment that is not read")
	}
	v := in.eval(e.Args[1])
	in.bind(e.Args[0], v)
	return v
}
