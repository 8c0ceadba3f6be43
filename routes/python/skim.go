package python

import (
	"strings"
)

// Outline is what [Skim] says of a file.
type Outline struct {
	// Imports are the import statements anywhere in the file, those inside
	// functions too, in source order.
	Imports []Import
	// Registers says that the file mentions a name that can register routes
	// or be part of it: its statements matter, not only its imports. It is
	// true rather once too often.
	Registers bool
	// Dynamic says that the file mentions a way to import modules by a name
	// that it computes, so that Imports may lack some.
	Dynamic bool
}

// Import is one import statement, or one module of `import a, b`.
type Import struct {
	Line int
	// Module is the dotted name without leading dots; empty in `from . import x`.
	Module string
	// Level is the number of leading dots.
	Level int
	// Names are what `from` imports, under the names they have in the module;
	// "*" for all, nil for a plain import.
	Names []string
}

// registrars are the names, as methods, functions, classes or modules, by
// which Flask and its extensions register routes. An identifier that contains
// one of stems counts too.
var registrars = map[string]bool{
	"Flask": true, "Quart": true, "APIFlask": true, "OpenAPI": true, "FlaskApp": true, "FlaskView": true,
	"MethodView": true, "View": true, "Resource": true, "MethodResource": true, "Namespace": true, "Api": true, "API": true,
	"add_resource": true, "add_namespace": true, "add_view": true, "add_views": true, "add_api": true, "as_view": true,
	"url_map": true, "Rule": true, "Submount": true, "register": true, "connexion": true, "Swagger": true,
	"DispatcherMiddleware": true, "expose": true, "endpoint": true, "static_folder": true, "static_url_path": true,
	"get": true, "post": true, "put": true, "delete": true, "patch": true, "Admin": true, "SocketIO": true,
}

// stems of names of registrars, which projects like to build their own names
// with.
var stems = []string{"route", "url_rule", "blueprint", "Blueprint"}

// dynamicImports are ways to import by a computed name.
var dynamicImports = map[string]bool{
	"import_module": true, "__import__": true, "import_string": true, "find_modules": true, "iter_modules": true,
	"walk_packages": true, "spec_from_file_location": true, "exec_module": true, "load_module": true, "entry_points": true,
}

// decorating names are too common as methods (`d.get(k)`) to mean anything
// unless they decorate.
var decorating = map[string]bool{"get": true, "post": true, "put": true, "delete": true, "patch": true, "register": true, "endpoint": true}

// Skim reads a file without parsing it: what it imports, and whether it could
// register routes. It takes time linear in the file's size and reads all of
// it, whatever [Limits] would say.
func Skim(src []byte) Outline {
	text, _ := decode(src)
	k := skimmer{s: newScanner(text), lineAt: 1}
	k.run()
	return k.out
}

// Mentions says whether one of the words is an identifier in the file, outside
// strings and comments.
func Mentions(src []byte, words ...string) bool {
	text, _ := decode(src)
	s := newScanner(text)
	for t := s.next(); t.kind != kindEOF; t = s.next() {
		if t.kind != kindName {
			continue
		}
		for _, w := range words {
			if text[t.start:t.end] == w {
				return true
			}
		}
	}
	return false
}

type skimmer struct {
	s   *scanner
	out Outline
	// the line of an offset, counted as far as needed
	lineAt, counted int
}

func (k *skimmer) run() {
	first, decorator := true, false
	for {
		t := k.s.next()
		text := k.s.src[t.start:t.end]
		switch t.kind {
		case kindEOF:
			return
		case kindNewline:
			k.s.unclosed = false
			first, decorator = true, false
			continue
		case kindOp:
			decorator = decorator || first && text == "@"
			first = k.s.depth == 0 && (text == ":" || text == ";")
			continue
		case kindName:
			if first && (text == "import" || text == "from") {
				k.statement(text == "from", t.start)
				continue
			}
			k.word(text, decorator)
		}
		first = false
	}
}

// word notes what an identifier tells.
func (k *skimmer) word(text string, decorator bool) {
	if dynamicImports[text] {
		k.out.Dynamic = true
	}
	if k.out.Registers {
		return
	}
	if registrars[text] {
		k.out.Registers = decorator || !decorating[text]
		return
	}
	for _, stem := range stems {
		if len(text) >= len(stem) && strings.Contains(text, stem) {
			k.out.Registers = true
		}
	}
}

// line returns the line of an offset, which may not go back.
func (k *skimmer) line(off int) int {
	k.lineAt += strings.Count(k.s.src[k.counted:off], "\n")
	k.counted = off
	return k.lineAt
}

// statement reads what follows the import or from at off.
func (k *skimmer) statement(from bool, off int) {
	imp := Import{Line: k.line(off)}
	if from {
		k.from(imp)
		return
	}
	for {
		imp.Module = ""
		t := k.dotted(&imp)
		if imp.Module != "" {
			k.out.Imports = append(k.out.Imports, imp)
			k.word(imp.Module, false)
		}
		if t = k.alias(t); k.s.src[t.start:t.end] != "," {
			k.back(t)
			return
		}
	}
}

// dotted reads dots and names into imp and returns the token after them.
func (k *skimmer) dotted(imp *Import) token {
	var b strings.Builder
	for {
		t := k.s.next()
		text := k.s.src[t.start:t.end]
		switch {
		case t.kind == kindName && text != "import" && text != "as":
			b.WriteString(text)
		case (text == "." || text == "...") && b.Len() == 0:
			imp.Level += len(text)
		case text == ".":
			b.WriteByte('.')
		default:
			imp.Module = b.String()
			return t
		}
	}
}

// alias skips `as name` and returns the token after it.
func (k *skimmer) alias(t token) token {
	if t.kind == kindName && k.s.src[t.start:t.end] == "as" {
		k.s.next()
		return k.s.next()
	}
	return t
}

// back gives a token back.
func (k *skimmer) back(t token) {
	if t.kind == kindNewline && k.s.unclosed {
		return
	}
	if k.s.src[t.start:t.end] == ")" {
		return
	}
	k.s.pos = t.start
}

// from reads `module import names`.
func (k *skimmer) from(imp Import) {
	t := k.dotted(&imp)
	if k.s.src[t.start:t.end] != "import" {
		k.back(t)
		return
	}
	k.word(imp.Module, false)
	t = k.s.next()
	if k.s.src[t.start:t.end] == "(" {
		t = k.s.next()
	}
	for {
		text := k.s.src[t.start:t.end]
		if t.kind != kindName && text != "*" {
			break
		}
		imp.Names = append(imp.Names, text)
		k.word(text, false)
		if t = k.alias(k.s.next()); k.s.src[t.start:t.end] == "," {
			t = k.s.next()
		}
	}
	k.out.Imports = append(k.out.Imports, imp)
	k.back(t)
}
