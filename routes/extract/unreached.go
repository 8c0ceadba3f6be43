package extract

import (
	"os"
	"sort"
	"strings"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// definition is one function of the project that registers, by its own text.
type definition struct {
	fn   *function
	self *class // the class that it is a method of
}

// unreached runs the functions that register by their own text and that nothing
// in sight called: a server object's run method, a hook that a framework calls.
// What they register with certainty is allowed rather than forgotten; what they
// leave open says nothing, since most of them are never called at all.
func (in *interp) unreached() {
	keep := *in.stray
	opened := make([]int, len(in.apps))
	for i, a := range in.apps {
		opened[i] = len(a.opened)
	}
	for _, d := range in.definitions() {
		if in.ran[stmtOf(d.fn.body)] {
			continue
		}
		c := &call{}
		if d.self != nil {
			c.args = []value{&object{class: d.self, vars: newScope(nil)}}
		}
		in.branch(func() flow {
			in.callFunction(d.fn, c)
			return flowNext
		})
	}
	in.stray.opened = keep.opened
	for i, a := range in.apps {
		if i < len(opened) {
			a.opened = a.opened[:opened[i]]
		}
	}
}

// definitions lists the functions of the modules that were read, in the order of
// their files.
func (in *interp) definitions() []definition {
	var keys []string
	for k, m := range in.loader.modules {
		if !m.model && !m.foreign && m.tree != nil && in.loader.mentions(m) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	var out []definition
	for _, k := range keys {
		m := in.loader.modules[k]
		if lines := registeringLines(m.file); len(lines) > 0 {
			out = definitionsIn(m.vars, m, nil, lines, out)
		}
	}
	return out
}

// registeringLines are the lines of a file on which a method of [registering] is
// called: parsing every function to find out would cost seconds.
func registeringLines(file string) []int {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []int
	for i, line := range strings.Split(string(src), "\n") {
		_, after, ok := strings.Cut(line, ".")
		for ok {
			name, _, called := strings.Cut(after, "(")
			if called && registering[strings.TrimSpace(name)] {
				out = append(out, i+1)
				break
			}
			_, after, ok = strings.Cut(after, ".")
		}
	}
	return out
}

// spans says that one of lines lies in a suite.
func spans(body []*python.Stmt, lines []int) bool {
	if len(body) == 0 {
		return false
	}
	first, last := body[0].Line, lastLine(body)
	if d := body[0].Decorators; len(d) > 0 {
		first = d[0].Line
	}
	i := sort.SearchInts(lines, first)
	return i < len(lines) && lines[i] <= last
}

func lastLine(body []*python.Stmt) int {
	s := body[len(body)-1]
	last := s.Line
	for _, more := range [][]*python.Stmt{s.Body, s.Clauses} {
		if len(more) > 0 {
			last = max(last, lastLine(more))
		}
	}
	return last
}

func definitionsIn(s *scope, m *module, self *class, lines []int, out []definition) []definition {
	seen := map[string]bool{}
	for _, name := range s.order {
		if seen[name] {
			continue
		}
		seen[name] = true
		switch v := s.names[name].(type) {
		case *function:
			if v.module == m && spans(v.body, lines) && registers(v.body, 0) {
				out = append(out, definition{v, self})
			}
		case *class:
			if v.module == m && self == nil {
				out = definitionsIn(v.vars, m, v, lines, out)
			}
		}
	}
	return out
}

// registers says that a suite has a call that registers, nested suites included
// but no nested definitions.
func registers(body []*python.Stmt, depth int) bool {
	for _, s := range body {
		s.Parse()
		for _, d := range s.Decorators {
			if c, ok := d.Expr.(*ast.Call); ok && registersCall(c) {
				return true
			}
		}
		if e, ok := s.Node.(*ast.ExprStmt); ok {
			if c, ok := e.Value.(*ast.Call); ok && registersCall(c) {
				return true
			}
		}
		if depth < 20 && s.Keyword != "def" && s.Keyword != "class" && (registers(s.Body, depth+1) || registers(s.Clauses, depth+1)) {
			return true
		}
	}
	return false
}

func registersCall(c *ast.Call) bool {
	a, ok := c.Func.(*ast.Attribute)
	return ok && registering[string(a.Attr)]
}
