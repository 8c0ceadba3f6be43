package extract

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/flask2ban/flask2ban/routes/python"
)

// loader finds modules and reads their files, ahead of the interpreter in
// parallel.
type loader struct {
	root    string   // what reported paths are relative to
	top     string   // the project's own directory, at or above root
	path    []string // where the project's modules are searched
	only    string   // the one package that may be read below root; empty: all
	sysPath []string // where extensions are installed
	modules map[string]*module
	// installed are modules of others among the project's own.
	installed installed
	limits    python.Limits

	mu    sync.Mutex
	files map[string]*pending
	wait  sync.WaitGroup
	slots chan struct{}
	ctx   context.Context
	count int
	max   int
}

// pending is one file being read.
type pending struct {
	done chan struct{}
	tree *python.Module
	err  error // why there is none
}

// place is where a module was found: a file, or directories of a package.
type place struct {
	file    string
	pkgDirs []string
	foreign bool
}

func (p place) key() string {
	if p.file != "" {
		return p.file
	}
	return strings.Join(p.pkgDirs, "\x00")
}

func (p place) dirs() []string { return p.pkgDirs }

func (l *loader) relative(p place) string {
	name := p.file
	if name == "" && len(p.pkgDirs) > 0 {
		name = p.pkgDirs[0]
	}
	rel, err := filepath.Rel(l.root, name)
	if err != nil || strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(rel)
}

// locate searches for a top-level module as from would see it.
func (l *loader) locate(name string, from *module) (place, bool) {
	if from != nil && (from.foreign || from.model) {
		return l.sameInstalled(name, from)
	}
	if l.only != "" && name != l.only {
		return place{}, false
	}
	for _, dir := range l.path {
		if p, ok := l.ownIn(dir, name); ok {
			return p, true
		}
	}
	if from == nil || isStdlib(name) || registersNothing(name) {
		return place{}, false
	}
	return l.nearby(name, from)
}

// addPath has a directory searched, as sys.path.append does.
func (l *loader) addPath(dir string) {
	if l.only != "" || !packagesDir(dir) {
		l.mu.Lock()
		l.path = append(l.path, dir)
		l.mu.Unlock()
	}
	if packagesDir(dir) || len(l.installed.in(dir)) > 0 {
		l.sysPath = append(l.sysPath, dir)
	}
}

// ownIn finds a module of the project's own in one directory.
func (l *loader) ownIn(dir, name string) (place, bool) {
	if l.installed.has(dir, name) {
		return place{}, false
	}
	return l.inDir(dir, name)
}

// nearby searches the directories above a module, for projects that extend
// sys.path as they run.
func (l *loader) nearby(name string, from *module) (place, bool) {
	dir := filepath.Dir(from.file)
	for from.file != "" && within(l.top, dir) {
		if p, ok := l.ownIn(dir, name); ok && p.file != "" {
			return p, true
		}
		if dir == l.top {
			break
		}
		dir = filepath.Dir(dir)
	}
	return place{}, false
}

func within(root, dir string) bool {
	return dir == root || strings.HasPrefix(dir, root+string(filepath.Separator))
}

// sameInstalled finds a module of the same installed package as from.
func (l *loader) sameInstalled(name string, from *module) (place, bool) {
	top, _, _ := strings.Cut(from.name, ".")
	if from.model || top != name {
		return place{}, false
	}
	return l.inSysPath(name)
}

// inSysPath finds an installed package.
func (l *loader) inSysPath(name string) (place, bool) {
	for _, dir := range l.sysPath {
		if p, ok := l.inDir(dir, name); ok && p.file != "" {
			p.foreign = true
			return p, true
		}
	}
	return place{}, false
}

// inDir finds a package or module in one directory, as Python's importer does.
func (l *loader) inDir(dir, name string) (place, bool) {
	if name == "" || strings.ContainsAny(name, "/\\\x00") {
		return place{}, false
	}
	base := filepath.Join(dir, name)
	if init := filepath.Join(base, "__init__.py"); isFile(init) {
		return place{file: init, pkgDirs: []string{base}}, true
	}
	if file := base + ".py"; isFile(file) {
		return place{file: file}, true
	}
	if hasPython(base, 2) {
		return place{pkgDirs: []string{base}}, true
	}
	return place{}, false
}

func isFile(name string) bool {
	s, err := os.Stat(name)
	return err == nil && s.Mode().IsRegular()
}

func isDir(name string) bool {
	s, err := os.Stat(name)
	return err == nil && s.IsDir()
}

// read parses a statement that the lazy parser left.
func (in *interp) read(s *python.Stmt) { s.Parse() }

// maxFolders bounds how many directories are looked at for static files.
const maxFolders = 4000

// staticFolders lists the names of the project's directories that look like they
// hold static files.
func (l *loader) staticFolders() []string {
	seen := map[string]bool{}
	count := 0
	_ = filepath.WalkDir(l.top, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		name := strings.ToLower(d.Name())
		count++
		if count > maxFolders || (p != l.top && strings.HasPrefix(name, ".")) || name == "node_modules" || name == "venv" {
			return filepath.SkipDir
		}
		for _, w := range []string{"static", "asset", "public", "dist", "build", "www", "media"} {
			if strings.Contains(name, w) {
				seen[d.Name()] = true
			}
		}
		return nil
	})
	return sortedNames(seen)
}

// hasPython says that a directory may be a namespace package.
func hasPython(dir string, depth int) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".py") {
			return true
		}
	}
	for _, e := range entries {
		if e.IsDir() && depth > 0 && isIdentifier(e.Name()) && hasPython(filepath.Join(dir, e.Name()), depth-1) {
			return true
		}
	}
	return false
}

// submodule is the file of a module below m, empty where there is none.
func (l *loader) submodule(m *module, name string) string {
	for _, d := range m.dirs {
		if p, ok := l.inDir(d, name); ok {
			return p.key()
		}
	}
	return ""
}

// mentions says that a module's source speaks of routes at all.
func (l *loader) mentions(m *module) bool {
	if m == nil || m.file == "" {
		return false
	}
	src, err := os.ReadFile(m.file)
	return err == nil && mentionsRoutes(string(src))
}

// tree is the parsed file, or why it can't be read; neither at the context's end.
func (l *loader) tree(file string) (*python.Module, error) {
	p := l.start(file, nil)
	<-p.done
	return p.tree, p.err
}

// start reads a file unless someone does already. With dirs, it also looks
// ahead to what the file imports.
func (l *loader) start(file string, ahead *module) *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.files[file]; ok {
		return p
	}
	p := &pending{done: make(chan struct{})}
	l.files[file] = p
	l.count++
	l.wait.Add(1)
	go l.readFile(file, p, ahead != nil)
	return p
}

func (l *loader) readFile(file string, p *pending, ahead bool) {
	defer l.wait.Done()
	l.slots <- struct{}{}
	src, err := os.ReadFile(file)
	if err == nil && l.ctx.Err() == nil {
		p.tree = python.Parse(src, l.limits)
	}
	p.err = err
	<-l.slots
	close(p.done)
	if err == nil {
		l.lookAhead(file, src)
	}
}

// lookAhead starts to read what a file imports. It need not be exact: what it
// misses is read when the interpreter gets there.
func (l *loader) lookAhead(file string, src []byte) {
	l.mu.Lock()
	full := l.count > l.max
	l.mu.Unlock()
	if full || l.ctx.Err() != nil || !within(l.top, file) {
		return
	}
	for len(src) > 0 {
		line, rest, _ := bytes.Cut(src, []byte{'\n'})
		src = rest
		line = bytes.TrimLeft(line, " \t")
		if bytes.HasPrefix(line, []byte("from ")) || bytes.HasPrefix(line, []byte("import ")) {
			l.ahead(file, string(line))
		}
	}
}

func (l *loader) ahead(file, line string) {
	words := strings.FieldsFunc(line, func(r rune) bool {
		return r == ' ' || r == ',' || r == '(' || r == ')' || r == '\t' || r == '\\' || r == '\r'
	})
	if len(words) < 2 {
		return
	}
	if words[0] == "import" {
		for _, w := range words[1:] {
			l.aheadModule(file, w, nil)
		}
		return
	}
	names := words[2:]
	if len(names) > 0 && names[0] == "import" {
		names = names[1:]
	}
	l.aheadModule(file, words[1], names)
}

func (l *loader) aheadModule(file, name string, names []string) {
	l.mu.Lock()
	dirs := l.path
	l.mu.Unlock()
	if strings.HasPrefix(name, ".") {
		dir := filepath.Dir(file)
		name = name[1:]
		for strings.HasPrefix(name, ".") {
			dir, name = filepath.Dir(dir), name[1:]
		}
		dirs = []string{dir}
	}
	for _, dir := range dirs {
		if l.installed.has(dir, beforeByte(name, '.')) {
			return
		}
		if l.aheadIn(dir, name, names) {
			return
		}
	}
}

func (l *loader) aheadIn(dir, name string, names []string) bool {
	if !within(l.top, dir) {
		return true
	}
	for name != "" {
		part, rest, _ := strings.Cut(name, ".")
		if l.only != "" && dir == l.root && part != l.only {
			return true
		}
		p, ok := l.inDir(dir, part)
		if !ok {
			return false
		}
		if p.file != "" {
			l.start(p.file, &module{})
		}
		if !strings.HasSuffix(p.file, "__init__.py") && p.file != "" {
			return true
		}
		dir, name = filepath.Join(dir, part), rest
	}
	for _, n := range names {
		if p, ok := l.inDir(dir, n); ok && p.file != "" {
			l.start(p.file, &module{})
		}
	}
	return true
}
