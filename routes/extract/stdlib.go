package extract

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// pathText is the payload of a pathlib path.
type pathText string

// pureTable maps functions outside the project that are computed.
func (in *interp) pureTable() map[string]value {
	table := map[string]func(*interp, *call) value{
		"os.path.join": pathJoin, "posixpath.join": pathJoin, "werkzeug.utils.safe_join": pathJoin,
		"os.path.dirname": onText(dirName), "os.path.basename": onText(basename), "os.path.abspath": onText(path.Clean),
		"os.path.realpath": onText(path.Clean), "os.path.normpath": onText(path.Clean), "os.path.expanduser": onText(nil),
		"os.path.splitext": splitExt, "os.path.split": pathSplit, "os.listdir": listDir, "os.path.relpath": relPath, "os.path.exists": onDisk(isThere), "os.path.isdir": onDisk(isDir), "os.path.isfile": onDisk(isFile),
		"os.getenv": environGet, "os.environ.get": environGet, "os.environ.setdefault": environGet, "os.getcwd": cwd, "os.walk": walkDir,
		"glob.glob": globFiles, "pathlib.Path": newPath, "pathlib.PurePath": newPath, "pathlib.PurePosixPath": newPath,
		"urllib.parse.urljoin": urlJoin, "urlparse.urljoin": urlJoin, "six.moves.urllib.parse.urljoin": urlJoin,
		"urllib.parse.quote": onText(url.PathEscape), "functools.partial": partialCall, "functools.wraps": wraps, "functools.update_wrapper": updateWrapper,
		"six.wraps": wraps, "werkzeug.utils.update_wrapper": updateWrapper, "functools.lru_cache": decoratorLike, "functools.cache": decoratorLike,
		"contextlib.contextmanager": decoratorLike, "decorator.decorator": keepsName, "functools.cached_property": wrapper("property"), "werkzeug.utils.cached_property": wrapper("property"),
		"copy.copy": firstArg, "copy.deepcopy": firstArg, "typing.cast": secondArg, "itertools.chain": chain, "itertools.product": product,
		"itertools.chain.from_iterable": chainFrom, "importlib.import_module": importByName, "werkzeug.utils.import_string": importString,
		"werkzeug.import_string": importString, "importlib.reload": firstArg, "pkgutil.iter_modules": iterModules, "pkgutil.walk_packages": iterModules,
		"werkzeug.utils.find_modules": findModules, "werkzeug.find_modules": findModules, "inspect.getmembers": getMembers, "inspect.isclass": isClass, "inspect.isfunction": isFunction,
		"inspect.getmodule": nothingKnown, "collections.OrderedDict": builtinDict, "collections.defaultdict": defaultDict, "collections.namedtuple": namedTuple, "collections.deque": toSeq(listSeq),
		"collections.ChainMap": builtinDict, "types.SimpleNamespace": simpleNamespace, "types.MappingProxyType": builtinDict, "werkzeug.datastructures.ImmutableDict": builtinDict, "sys.exit": nothing, "dataclasses.field": dataField,
		"sys.path.append": addPath, "sys.path.insert": addPath, "site.addsitedir": addPath, "str.format": nothingKnown, "re.sub": nothingText, "operator.attrgetter": nothingKnown,
		"yaml.load": loadDocument, "yaml.safe_load": loadDocument, "yaml.full_load": loadDocument, "json.load": loadDocument, "json.loads": loadDocument,
		"importlib.metadata.entry_points": entryPoints, "importlib_metadata.entry_points": entryPoints,
		"importlib.metadata.distributions": distributions, "importlib_metadata.distributions": distributions, "pkg_resources.iter_entry_points": entryPoints,
		"io.open": builtinOpen, "codecs.open": builtinOpen, "flask.helpers.get_root_path": rootPath, "setuptools.find_packages": findPackages, "pkgutil.extend_path": firstArg, "builtins.len": builtinLen,
		"typing.NewType": secondArg, "six.text_type": builtinStr, "itertools.islice": firstArg, "six.iteritems": iterItems, "future.utils.iteritems": iterItems,
	}
	out := map[string]value{"os.sep": "/", "os.path.sep": "/", "os.curdir": ".", "os.environ": &external{path: "os.environ"},
		"sys.version_info": versionInfo(), "six.PY2": false, "six.PY3": true, "typing.TYPE_CHECKING": false, "sys.platform": "linux", "os.name": "posix"}
	for name, f := range table {
		out[name] = &native{name: name, call: f}
	}
	return out
}

func versionInfo() value {
	return newSeq(tupleSeq, int64(3), int64(12), int64(0), "final", int64(0))
}

func nothingKnown(*interp, *call) value { return unknownf("what a library function gives") }

func nothingText(*interp, *call) value { return partial("what a library function gives", "", "") }

func firstArg(_ *interp, c *call) value  { return c.or(0, "", none{}) }
func secondArg(_ *interp, c *call) value { return c.or(1, "", none{}) }

func dataField(in *interp, c *call) value {
	if f, ok := c.get(-1, "default_factory"); ok {
		return in.callValue(f, &call{})
	}
	return c.or(-1, "default", unknownf("a field without a default"))
}

// decoratorLike keeps what it decorates, with or without arguments.
func decoratorLike(_ *interp, c *call) value {
	if v, ok := c.get(0, ""); ok && decorated(v) {
		return v
	}
	return &native{name: "decorator", call: firstArg}
}

// keepsName makes a decorator of a function, as the package decorator does.
func keepsName(*interp, *call) value { return &native{name: "decorator", call: firstArg} }

// decorated says that v is something that a decorator stands above.
func decorated(v value) bool {
	switch v.(type) {
	case *function, *bound, *native, *class, *wrapped:
		return true
	case *object:
		_, ok := v.(*object).payload.(*view)
		return ok
	}
	return false
}

// onText lifts a function on strings to values; nil keeps the text.
func onText(f func(string) string) func(*interp, *call) value {
	return func(in *interp, c *call) value {
		v, _ := c.get(0, "")
		return each(v, func(a value) value {
			if s, ok := pathString(a); ok {
				if f == nil {
					return s
				}
				return f(s)
			}
			if u, ok := a.(*unknown); ok {
				return keepTail(u)
			}
			return partial("a path that is not known", "", "")
		})
	}
}

// keepTail keeps the last segment of a path, which basename is after.
func keepTail(u *unknown) value {
	return &unknown{why: u.why, text: true, head: "", tail: u.tail, setting: u.setting}
}

func basename(s string) string {
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		return s[i+1:]
	}
	return s
}

func pathString(v value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case *object:
		p, ok := v.payload.(pathText)
		return string(p), ok
	}
	return "", false
}

func pathJoin(in *interp, c *call) value {
	var out value = ""
	for i, a := range c.args {
		part := each(a, func(v value) value {
			if s, ok := pathString(v); ok {
				return s
			}
			return in.textOnly(v)
		})
		if i == 0 {
			out = part
			continue
		}
		out = pairs(out, part, joinTwo)
	}
	return out
}

// joinTwo is os.path.join(a, b).
func joinTwo(a, b value) value {
	if s, ok := b.(string); ok && strings.HasPrefix(s, "/") {
		return s
	}
	if s, ok := a.(string); ok && (s == "" || strings.HasSuffix(s, "/")) {
		return concat(a, b)
	}
	return concat(concat(a, "/"), b)
}

func urlJoin(_ *interp, c *call) value {
	return pairs(c.or(0, "base", ""), c.or(1, "url", ""), func(a, b value) value {
		base, ok := a.(string)
		ref, ok2 := b.(string)
		if !ok || !ok2 {
			return partial("a join that is not known", "", "")
		}
		u, err := url.Parse(base)
		r, err2 := url.Parse(strings.ReplaceAll(ref, "%", "%25"))
		if err != nil || err2 != nil || strings.ContainsAny(ref, "<>") {
			return base[:strings.LastIndexByte(base, '/')+1] + strings.TrimPrefix(ref, "/")
		}
		return u.ResolveReference(r).String()
	})
}

func splitExt(_ *interp, c *call) value {
	return each(c.or(0, "p", ""), func(v value) value {
		s, ok := pathString(v)
		if !ok {
			return newSeq(tupleSeq, partial("a path that is not known", "", ""), partial("an extension", "", ""))
		}
		ext := extension(basename(s))
		return newSeq(tupleSeq, strings.TrimSuffix(s, ext), ext)
	})
}

func pathSplit(_ *interp, c *call) value {
	s, ok := pathString(c.or(0, "p", ""))
	if !ok {
		return unknownf("a path that is not known")
	}
	return newSeq(tupleSeq, dirName(s), basename(s))
}

// dirName is os.path.dirname.
func dirName(s string) string {
	head := s[:strings.LastIndexByte(s, '/')+1]
	if short := strings.TrimRight(head, "/"); short != "" {
		return short
	}
	return head
}

// extension is what follows a name's last dot, and the dot; .bashrc has none.
func extension(name string) string { return path.Ext(strings.TrimLeft(name, ".")) }

// suffix is pathlib's: a dot at the end is part of the name.
func suffix(name string) string {
	if ext := extension(name); ext != "." {
		return ext
	}
	return ""
}

// purePath writes a path as pathlib does: without what means nothing, but with "..".
func purePath(s string) string {
	parts := slices.DeleteFunc(strings.Split(s, "/"), func(part string) bool { return part == "" || part == "." })
	clean := strings.Join(parts, "/")
	switch {
	case strings.HasPrefix(s, "/"):
		return "/" + clean
	case clean == "":
		return "."
	}
	return clean
}

// onDisk asks the project's own files. What is not there may be where the app
// runs.
func onDisk(test func(string) bool) func(*interp, *call) value {
	return func(in *interp, c *call) value {
		name, ok := in.inProject(c.or(0, "path", none{}))
		if !ok || !isThere(name) {
			return unknownf("whether a file exists")
		}
		return test(name)
	}
}

func isThere(name string) bool { return isFile(name) || isDir(name) }

func cwd(in *interp, _ *call) value { return in.loader.root }

// inProject limits what is looked at on the disk to the project.
func (in *interp) inProject(v value) (string, bool) {
	s, ok := pathString(v)
	if !ok {
		return "", false
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(in.loader.root, s)
	}
	s = filepath.Clean(s)
	return s, within(in.loader.top, s)
}

func listDir(in *interp, c *call) value {
	dir, ok := in.inProject(c.or(0, "path", "."))
	if !ok {
		return &seq{open: true}
	}
	entries, err := os.ReadDir(dir)
	out := &seq{open: err != nil}
	for _, e := range entries {
		out.items = append(out.items, e.Name())
	}
	return out
}

func walkDir(in *interp, c *call) value {
	dir, ok := in.inProject(c.or(0, "top", "."))
	out := &seq{open: !ok}
	if !ok {
		return out
	}
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if len(out.items) > 2000 || strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		entries, _ := os.ReadDir(p)
		dirs, files := newSeq(listSeq), newSeq(listSeq)
		for _, e := range entries {
			if e.IsDir() {
				dirs.items = append(dirs.items, e.Name())
			} else {
				files.items = append(files.items, e.Name())
			}
		}
		out.items = append(out.items, newSeq(tupleSeq, p, dirs, files))
		return nil
	})
	return out
}

func globFiles(in *interp, c *call) value {
	pattern, ok := in.inProject(c.or(0, "pathname", ""))
	if !ok {
		return &seq{open: true}
	}
	found, err := filepath.Glob(pattern)
	out := texts(found)
	out.open = err != nil
	return out
}

// environGet takes the environment's value where it is given, else the default,
// which a deployment may change.
func environGet(in *interp, c *call) value {
	name, _ := c.get(0, "key")
	otherwise := c.or(1, "default", none{})
	return each(name, func(n value) value {
		s, ok := n.(string)
		if !ok {
			return unknownf("an environment variable whose name is not known")
		}
		if v, ok := in.opts.Env[s]; ok {
			return join(v, setting(s))
		}
		return join(otherwise, setting(s))
	})
}

func newPath(in *interp, c *call) value {
	joined := pathJoin(in, c)
	return each(joined, func(v value) value {
		if s, ok := v.(string); ok {
			return in.path(s)
		}
		return partial("a path that is not known", "", "")
	})
}

func (in *interp) path(s string) *object {
	return &object{class: in.pathClass, vars: newScope(nil), payload: pathText(purePath(s))}
}

func (in *interp) joinPath(_ *class, p pathText, b value) value {
	return each(joinTwo(string(p), each(b, func(v value) value {
		if s, ok := pathString(v); ok {
			return s
		}
		return partial("a path that is not known", "", "")
	})), func(v value) value {
		if s, ok := v.(string); ok {
			return in.path(s)
		}
		return v
	})
}

// pathModel is pathlib.Path as far as constants go.
func pathModel() *class {
	c := &class{name: "pathlib.Path", vars: newScope(nil)}
	c.linear = []*class{c}
	self := func(f func(in *interp, s string, c *call) value) *native {
		return &native{name: "Path", call: func(in *interp, c *call) value {
			s, ok := pathString(c.or(0, "", none{}))
			if !ok {
				return unknownf("a path that is not known")
			}
			return f(in, s, &call{args: c.args[1:], kw: c.kw})
		}}
	}
	property := func(f func(in *interp, s string) value) *wrapped {
		return &wrapped{kind: "property", fn: self(func(in *interp, s string, _ *call) value { return f(in, s) })}
	}
	same := self(func(in *interp, s string, _ *call) value { return in.path(path.Clean(s)) })
	for _, n := range []string{"resolve", "absolute", "expanduser", "as_posix"} {
		c.vars.put(n, same)
	}
	for n, test := range map[string]func(string) bool{"exists": isThere, "is_file": isFile, "is_dir": isDir} {
		ask := onDisk(test)
		c.vars.put(n, self(func(in *interp, s string, _ *call) value { return ask(in, &call{args: []value{s}}) }))
	}
	c.vars.put("open", self(func(in *interp, s string, _ *call) value { return builtinOpen(in, &call{args: []value{s}}) }))
	c.vars.put("read_text", self(func(in *interp, s string, _ *call) value {
		if src, ok := readFile(builtinOpen(in, &call{args: []value{s}})); ok {
			return string(src)
		}
		return partial("a file's text", "", "")
	}))
	c.vars.put("parent", property(func(in *interp, s string) value { return in.path(path.Dir(s)) }))
	c.vars.put("name", property(func(_ *interp, s string) value { return basename(s) }))
	c.vars.put("stem", property(func(_ *interp, s string) value { return strings.TrimSuffix(basename(s), suffix(basename(s))) }))
	c.vars.put("suffix", property(func(_ *interp, s string) value { return suffix(basename(s)) }))
	c.vars.put("parents", property(parents))
	c.vars.put("joinpath", self(func(in *interp, s string, c *call) value { return newPath(in, c.with(s)) }))
	c.vars.put("glob", self(func(in *interp, s string, c *call) value { return globPath(in, s, c) }))
	c.vars.put("iterdir", self(func(in *interp, s string, c *call) value { return globPath(in, s, &call{args: []value{"*"}}) }))
	return c
}

func parents(in *interp, s string) value {
	out := newSeq(tupleSeq)
	for s != "/" && s != "." && s != "" && len(out.items) < 64 {
		s = path.Dir(s)
		out.items = append(out.items, in.path(s))
	}
	return out
}

func globPath(in *interp, s string, c *call) value {
	pattern, ok := c.or(0, "pattern", "").(string)
	if !ok {
		return &seq{open: true}
	}
	found := globFiles(in, &call{args: []value{path.Join(s, pattern)}}).(*seq)
	for i, f := range found.items {
		found.items[i] = in.path(f.(string))
	}
	return found
}

// relPath is os.path.relpath.
func relPath(in *interp, c *call) value {
	to, ok := pathString(c.or(0, "path", none{}))
	from, ok2 := pathString(c.or(1, "start", in.loader.root))
	if rel, err := filepath.Rel(from, to); ok && ok2 && err == nil {
		return filepath.ToSlash(rel)
	}
	return partial("a path that is not known", "", "")
}

func sortedModules(m map[string]*module) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
