package extract

import (
	"strings"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// arm is one alternative of an if or match: test is nil for else.
type arm struct {
	line int
	test ast.Expr
	body []*python.Stmt
	// soft says that only a setting keeps this arm aside.
	soft bool
}

func (in *interp) execIf(s *python.Stmt) flow {
	arms := []arm{{line: s.Line, test: testOf(s), body: s.Body}}
	for _, c := range s.Clauses {
		in.read(c)
		arms = append(arms, arm{line: c.Line, test: testOf(c), body: c.Body})
	}
	return in.chooseArms(arms)
}

// chooseArms evaluates the tests. Arms that the defaults exclude and another
// deployment may take are kept aside.
func (in *interp) chooseArms(arms []arm) flow {
	var live, aside []arm
	decided, soft := false, false
	for _, a := range arms {
		in.frame().line = a.line
		t, bySetting := yes, false
		if a.test != nil && !decided {
			t, bySetting = in.soft(in.eval(a.test))
		}
		switch {
		case decided || t == no:
			if decided || bySetting || in.isSetting(a.test) {
				a.soft = soft || bySetting
				aside = append(aside, a)
			}
			continue
		case t == yes:
			decided = true
			soft = bySetting
		}
		live = append(live, a)
		if decided && !bySetting && !in.isSetting(a.test) {
			break
		}
	}
	return in.execArms(live, aside, decided)
}

func testOf(s *python.Stmt) ast.Expr {
	if n, ok := s.Node.(*ast.If); ok {
		return n.Test
	}
	return nil
}

// execArms follows every live arm and merges what they did. Those aside are
// excluded by a setting that another deployment may change: they count for what
// they register. Without decided, perhaps no arm is taken.
func (in *interp) execArms(live, aside []arm, decided bool) flow {
	if len(live) == 1 && decided && len(aside) == 0 {
		return in.execAll(live[0].body)
	}
	var branches []outcome
	for _, a := range live {
		branches = append(branches, in.branch(func() flow { return in.execArm(a) }))
	}
	if !decided {
		branches = append(branches, outcome{})
	}
	for _, a := range aside {
		branches = append(branches, in.execAside(a))
	}
	in.merge(in.frame().vars, branches)
	end := together(branches)
	if end == flowNext && len(branches) > 0 && branches[0].flow != flowNext && len(live) > 0 {
		in.narrow(live[0].test, no)
	}
	return end
}

func (in *interp) execArm(a arm) flow {
	in.narrow(a.test, yes)
	return in.execAll(a.body)
}

// execAside follows an arm that is not taken by default. What it returns counts
// only where another deployment would return it, and it may be part of a route.
func (in *interp) execAside(a arm) outcome {
	f := in.frame()
	n := len(f.results)
	if a.soft {
		in.softly++
		defer func() { in.softly-- }()
	}
	o := in.branch(func() flow { return in.execArm(a) })
	o.aside, o.soft = true, a.soft
	kept := f.results[:n:n]
	for _, v := range f.results[n:] {
		if a.soft && plausible(v) {
			kept = append(kept, v)
		}
	}
	f.results = kept
	return o
}

// plausible says that a value which only another deployment gives is worth
// following: a path, or something that can register.
func plausible(v value) bool {
	for _, a := range alternatives(v) {
		switch a := a.(type) {
		case string:
			if !strings.HasPrefix(a, "/") {
				return false
			}
		case none, bool, int64, float64, rawBytes, *unknown, *external:
			return false
		}
	}
	return true
}

// together is how branches ended, of which one was taken.
func together(branches []outcome) flow {
	worst := flowNext
	for _, b := range branches {
		switch {
		case b.flow == flowStop:
			return flowStop
		case b.aside:
			continue
		case b.flow == flowNext:
			return flowNext
		case worst == flowNext || worst == flowRaise:
			worst = b.flow
		}
	}
	return worst
}

// isSetting says that a condition reads like a deployment's setting: names of
// the module, configuration keys, the environment; not the state of a call. Then
// both branches count.
func (in *interp) isSetting(test ast.Expr) bool {
	switch t := test.(type) {
	case *ast.Name:
		return in.settingName(string(t.Id))
	case *ast.Attribute:
		return isUpper(string(t.Attr)) || in.isSetting(t.Value)
	case *ast.NameConstant, *ast.Num:
		return true
	case *ast.UnaryOp:
		return in.isSetting(t.Operand)
	case *ast.BoolOp:
		for _, v := range t.Values {
			if in.isSetting(v) {
				return true
			}
		}
	case *ast.Compare:
		return in.settingCompare(t)
	case *ast.Subscript:
		if ix, ok := t.Slice.(*ast.Index); ok {
			s, ok := ix.Value.(*ast.Str)
			return ok && isUpper(string(s.S))
		}
	}
	return false
}

func (in *interp) settingCompare(t *ast.Compare) bool {
	for _, op := range t.Ops {
		if op == ast.Is || op == ast.IsNot {
			return false
		}
	}
	return in.isSetting(t.Left)
}

func (in *interp) settingName(name string) bool {
	if name == "__name__" || name == "TYPE_CHECKING" {
		return false
	}
	if isUpper(name) {
		return true
	}
	f := in.frame()
	if f.loops[name] > 0 {
		return false
	}
	if f.fn == nil {
		return true
	}
	for s := f.vars; s != nil && s.parent != nil; s = s.parent {
		if _, ok := s.names[name]; ok {
			return false
		}
	}
	return true
}

func isUpper(s string) bool {
	return strings.ToUpper(s) == s && strings.ToLower(s) != s
}

func (in *interp) execTry(s *python.Stmt) flow {
	local := in.frame().vars
	branches := []outcome{in.branch(func() flow {
		f := in.execAll(s.Body)
		for _, c := range s.Clauses {
			if c.Keyword == "else" && f == flowNext {
				f = in.execAll(c.Body)
			}
		}
		return f
	})}
	for _, c := range s.Clauses {
		if c.Keyword == "except" {
			branches = append(branches, in.branch(func() flow { return in.execHandler(c) }))
		}
	}
	in.merge(local, branches)
	end := together(branches)
	for _, c := range s.Clauses {
		if c.Keyword == "finally" {
			if f := in.execAll(c.Body); f != flowNext {
				return f
			}
		}
	}
	return end
}

func (in *interp) execHandler(c *python.Stmt) flow {
	in.read(c)
	if t, ok := c.Node.(*ast.Try); ok {
		for _, h := range t.Handlers {
			if h.Name != "" {
				in.assign(in.frame().vars, string(h.Name), unknownf("an exception"))
			}
		}
	}
	return in.execAll(c.Body)
}

func (in *interp) execMatch(s *python.Stmt) flow {
	var arms []arm
	for _, c := range s.Clauses {
		in.read(c)
		in.bindCase(c)
		arms = append(arms, arm{line: c.Line, body: c.Body})
	}
	return in.execArms(arms, nil, false)
}

// bindCase gives the names that a pattern binds a value that is not known.
func (in *interp) bindCase(c *python.Stmt) {
	test, ok := testOf(c).(*ast.Call)
	if !ok || !isName(test.Func, python.Case) {
		return
	}
	for _, arg := range test.Args[1:] {
		in.bind(arg, unknownf("what a case matched"))
	}
}

func (in *interp) execWith(s *python.Stmt) flow {
	if w, ok := s.Node.(*ast.With); ok {
		for _, item := range w.Items {
			v := in.entered(in.eval(item.ContextExpr))
			if item.OptionalVars != nil {
				in.bind(item.OptionalVars, v)
			}
		}
	} else {
		in.opaque(s)
	}
	return in.execAll(s.Body)
}

// entered is what a context manager hands to its "as".
func (in *interp) entered(v value) value {
	if o, ok := v.(*object); ok {
		if enter, ok := in.attrOf(o, "__enter__"); ok {
			return in.callValue(enter, &call{})
		}
	}
	return v
}
