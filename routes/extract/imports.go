package extract

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes/python"
)

// module is one module of the project, or the model of an extension.
type module struct {
	name string
	file string // absolute; empty for namespace packages and models
	rel  string // as reported
	dirs []string
	vars *scope
	tree *python.Module
	// model says that it describes an extension; names that it lacks are the
	// extension's own.
	model bool
	// foreign says that it is an installed extension's own source.
	foreign bool
	done    bool
}

func (m *module) pkg() bool { return len(m.dirs) > 0 }

// container is the package that relative imports start from.
func (m *module) container() string {
	if m.pkg() {
		return m.name
	}
	if i := strings.LastIndexByte(m.name, '.'); i >= 0 {
		return m.name[:i]
	}
	return ""
}

func (in *interp) execImport(n *ast.Import) {
	for _, a := range n.Names {
		name := string(a.Name)
		v := in.importModule(name)
		if a.AsName != "" {
			in.assign(in.scopeFor(string(a.AsName)), string(a.AsName), v)
			continue
		}
		top, _, dotted := strings.Cut(name, ".")
		if dotted {
			v = in.importModule(top)
		}
		in.assign(in.scopeFor(top), top, v)
	}
}

func (in *interp) execImportFrom(n *ast.ImportFrom) {
	base := string(n.Module)
	if n.Level > 0 {
		base = in.relative(n.Level, base)
	}
	from := in.importModule(base)
	for _, a := range n.Names {
		name := string(a.Name)
		if name == "*" {
			in.importStar(from)
			continue
		}
		as := name
		if a.AsName != "" {
			as = string(a.AsName)
		}
		in.assign(in.scopeFor(as), as, in.getAttr(from, name))
	}
}

func (in *interp) relative(level int, name string) string {
	base := ""
	if m := in.frame().module; m != nil {
		base = m.container()
	}
	for range level - 1 {
		i := strings.LastIndexByte(base, '.')
		base = base[:max(i, 0)]
	}
	switch {
	case base == "":
		return name
	case name == "":
		return base
	}
	return base + "." + name
}

func (in *interp) importStar(from value) {
	m, ok := from.(*module)
	if !ok {
		return
	}
	into := in.frame().vars
	if all, ok := m.vars.get("__all__"); ok {
		if items, open := in.iterate(all); !open {
			for _, item := range items {
				if s, ok := item.(string); ok {
					in.assign(into, s, in.getAttr(m, s))
				}
			}
			return
		}
	}
	for _, n := range append([]string(nil), m.vars.order...) {
		if v, ok := m.vars.get(n); ok && !strings.HasPrefix(n, "_") {
			in.assign(into, n, v)
		}
	}
}

// importModule gives the module of this absolute name: a *module of the
// project, or an external.
func (in *interp) importModule(name string) value {
	if name == "" {
		return unknownf("an import from nowhere")
	}
	name = currentName(name)
	if v, ok := in.modelled(name); ok {
		return v
	}
	from := in.frame().module
	if src, ok := knownModule(name); ok && strings.Contains(name, ".") {
		return in.loadModel(name, src)
	}
	parts := strings.Split(name, ".")
	m := in.importTop(parts[0], from)
	if m == nil {
		return externalModule(name)
	}
	for i, p := range parts[1:] {
		next := in.importSub(m, p)
		if next == nil {
			if v, ok := m.vars.get(p); ok && i == len(parts)-2 {
				return v
			}
			if m.model {
				return externalModule(name)
			}
			return unknownf("no module " + name + " is there")
		}
		m = next
	}
	return m
}

func externalModule(name string) *external {
	e := &external{path: name}
	for i := strings.LastIndexByte(name, '.'); i >= 0; i = strings.LastIndexByte(name, '.') {
		e.parent = &external{path: name[:i]}
		e.name = name[i+1:]
		return e
	}
	return e
}

func (in *interp) importTop(name string, from *module) *module {
	if src, ok := knownModule(name); ok {
		if _, own := in.loader.locate(name, from); !own {
			return in.loadModel(name, src)
		}
	}
	at, ok := in.loader.locate(name, from)
	if !ok {
		return nil
	}
	return in.load(at, name)
}

func (in *interp) importSub(m *module, name string) *module {
	if m.model {
		if src, ok := knownModule(m.name + "." + name); ok {
			return in.loadModel(m.name+"."+name, src)
		}
		return nil
	}
	for _, d := range m.dirs {
		if at, ok := in.loader.inDir(d, name); ok {
			at.foreign = m.foreign
			sub := in.load(at, m.name+"."+name)
			if _, shadowed := m.vars.get(name); !shadowed || m.done {
				in.assign(m.vars, name, sub)
			}
			return sub
		}
	}
	return nil
}

// load runs a module once.
func (in *interp) load(at place, name string) *module {
	if m, ok := in.loader.modules[at.key()]; ok {
		return m
	}
	m := &module{name: name, file: at.file, rel: in.loader.relative(at), dirs: at.dirs(), vars: newScope(nil)}
	m.foreign = at.foreign
	in.loader.modules[at.key()] = m
	in.moduleNames(m, name)
	if at.file != "" {
		in.runModule(m)
	}
	m.done = true
	return m
}

func (in *interp) moduleNames(m *module, name string) {
	m.vars.put("__name__", name)
	if m.file != "" && m.file == in.script {
		m.vars.put("__name__", &choice{[]value{name, "__main__"}})
	}
	m.vars.put("__package__", m.container())
	m.vars.put("__doc__", none{})
	if m.file != "" {
		m.vars.put("__file__", m.file)
	}
	if m.pkg() {
		m.vars.put("__path__", texts(m.dirs))
	}
}

// runModule executes a module's body. Nothing that a branch under way assigned
// is undone for names of the new module: it is imported once, whoever asks.
func (in *interp) runModule(m *module) {
	var err error
	m.tree, err = in.loader.tree(m.file)
	if err != nil && !m.foreign {
		in.stray.addOpening(opening{position{file: m.rel, line: 1}, "", "the module can't be read: " + reasonOf(err)})
	}
	if m.tree == nil {
		return
	}
	for _, p := range m.tree.Problems {
		in.problem(m, p)
	}
	journals, uncertain := in.journals, in.uncertain
	in.journals, in.uncertain = nil, 0
	cut := in.apart(func() { in.enter(&frame{module: m, vars: m.vars}, func() flow { return in.execAll(m.tree.Body) }) })
	in.journals, in.uncertain = journals, uncertain
	if cut && in.speaksOfRoutes(m) {
		in.stray.addOpening(opening{position{file: m.rel, line: 1}, "", "the module takes too many steps to follow"})
	}
}

// reasonOf is an error without the path, which stands beside it.
func reasonOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (in *interp) moduleAttr(m *module, name string) value {
	if v, ok := m.vars.get(name); ok {
		return v
	}
	if sub := in.importSub(m, name); sub != nil {
		return sub
	}
	get, dynamic := m.vars.get("__getattr__")
	if m.model && !dynamic {
		return &external{path: m.name + "." + name, parent: &external{path: m.name}, name: name}
	}
	if dynamic {
		return in.callValue(get, &call{args: []value{name}})
	}
	if name == "__dict__" {
		return scopeDict(m.vars)
	}
	return unknownf(filepath.Base(m.rel) + " has no " + name)
}

func builtinImport(in *interp, c *call) value {
	name, _ := c.get(0, "name")
	return each(name, func(n value) value {
		if s, ok := n.(string); ok {
			v := in.importModule(s)
			if _, fromList := c.get(3, "fromlist"); !fromList {
				return in.importModule(beforeByte(s, '.'))
			}
			return v
		}
		return in.unknownImport(n)
	})
}
