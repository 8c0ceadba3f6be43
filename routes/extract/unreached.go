package extract

import (
	"os"
	"regexp"
	"sort"
	"strings"

	"github.com/flask2ban/flask2ban/routes/python"
)

// definition is one function of the project that registers, by its own text.
type definition struct {
	fn   *function
	self *class // the class that it is a method of
}

// unreached runs the functions that register by their own text and that nothing
// in sight called: a server object's run method, a hook that a framework calls.
// What they register with certainty is allowed rather than forgotten, and what
// they leave open below a prefix. What they would open everywhere says nothing:
// most of them are never called at all.
func (in *interp) unreached() {
	in.deferredImports()
	in.uncalled = true
	defer func() { in.uncalled = false }()
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
}

// innerImport is an import statement inside a function or a branch.
var innerImport = regexp.MustCompile(`(?m)^[ \t]+(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([.\w]+))`)

// deferredImports loads the modules that only a function which nothing in sight
// called would import, where they speak of routes: the views of a server that
// its run method brings in.
func (in *interp) deferredImports() {
	done := map[*module]bool{}
	for round := 0; round < maxDeferred; round++ {
		before := len(done)
		for _, k := range sortedModules(in.loader.modules) {
			m := in.loader.modules[k]
			if done[m] || m.model || m.foreign || m.file == "" || !in.speaksOfRoutes(m) {
				continue
			}
			done[m] = true
			in.importsInside(m)
		}
		if len(done) == before {
			return
		}
	}
}

// maxDeferred bounds how far imports inside functions are followed.
const maxDeferred = 8

func (in *interp) importsInside(m *module) {
	src, err := os.ReadFile(m.file)
	if err != nil {
		return
	}
	for _, match := range innerImport.FindAllSubmatch(src, -1) {
		name := string(match[1]) + string(match[2])
		rest := strings.TrimLeft(name, ".")
		in.enter(&frame{module: m, vars: newScope(nil)}, func() flow {
			if level := len(name) - len(rest); level > 0 {
				rest = in.relative(level, rest)
			}
			if at, ok := in.loader.locate(beforeByte(rest, '.'), m); ok && !at.foreign {
				in.importModule(rest)
			}
			return flowNext
		})
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
// named: parsing every function to find out would cost seconds.
func registeringLines(file string) []int {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []int
	for i, line := range strings.Split(string(src), "\n") {
		_, after, ok := strings.Cut(line, ".")
		for ok {
			name := after[:len(after)-len(strings.TrimLeftFunc(after, isWordRune))]
			if registering[name] {
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
			if v.module == m && spans(v.body, lines) {
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
