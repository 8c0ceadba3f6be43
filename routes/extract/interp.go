package extract

import (
	"context"
	"fmt"

	"github.com/go-python/gpython/ast"

	"github.com/flask2ban/flask2ban/routes"
	"github.com/flask2ban/flask2ban/routes/python"
)

// interp is one run over one entry. It is used by one goroutine.
type interp struct {
	ctx    context.Context
	opts   Options
	loader *loader
	frames []*frame
	// journals are the branches under way, innermost last; uncertain counts
	// them.
	journals  []*journal
	uncertain int
	// softly counts the branches under way that only another deployment takes.
	softly int

	// uncalled says that functions run which nothing in sight calls.
	uncalled bool
	script   string // the entry's file, which is __main__ too
	depth    int    // of expressions
	budget

	markers                                              map[string]func(*interp, *ast.Call) value
	builtins                                             map[string]value
	pure                                                 map[string]value // functions of the standard library and others
	pathClass, fileClass, mapClass, stateClass, viewType *class
	stray                                                *app // what is registered on an app that is not known
	problems                                             []moduleProblem

	ran        map[*python.Stmt]bool // by a function's first statement
	apps       []*app
	blueprints []*blueprint
	unresolved []routes.Unresolved
	lint       []routes.Finding
	models     map[string]value
}

// frame is one call under way, or one module being imported.
type frame struct {
	fn     *function
	module *module
	vars   *scope
	line   int
	// results are what return statements gave so far, yields what yield did.
	results, yields []value
	globals         map[string]bool
	nonlocals       map[string]bool
	// loops are the names that a running loop binds.
	loops map[string]int
	class *class // the class whose body runs
	// at overrides the position of what the frame registers.
	at *position
}

// position is a place in the project's source.
type position struct {
	file string
	line int
	// uncalled says that nothing in sight calls what registers there.
	uncalled bool
}

func (in *interp) frame() *frame {
	if len(in.frames) == 0 {
		return &frame{vars: newScope(nil)}
	}
	return in.frames[len(in.frames)-1]
}

// here is the innermost line of the project's own code: inside a model of an
// extension, the line that called it.
func (in *interp) here() position {
	for i := len(in.frames) - 1; i >= 0; i-- {
		f := in.frames[i]
		if f.at != nil {
			return *f.at
		}
		if f.module != nil && !f.module.model && !f.module.foreign {
			return position{file: f.module.rel, line: f.line, uncalled: in.uncalled}
		}
	}
	for i := len(in.frames) - 1; i >= 0; i-- {
		if f := in.frames[i]; f.module != nil && !f.module.model {
			return position{file: f.module.rel, line: f.line, uncalled: in.uncalled}
		}
	}
	return position{}
}

// open records that anything below prefix may be a route.
func (in *interp) open(at position, prefix, format string, args ...any) {
	in.unresolved = append(in.unresolved, routes.Unresolved{
		File: at.file, Line: at.line, Reason: fmt.Sprintf(format, args...), Prefix: literalPrefix(prefix)})
}

func (in *interp) find(at position, check, format string, args ...any) {
	in.lint = append(in.lint, routes.Finding{File: at.file, Line: at.line, Check: check, Message: fmt.Sprintf(format, args...)})
}

// enter runs body in a frame of its own.
func (in *interp) enter(f *frame, body func() flow) flow {
	in.frames = append(in.frames, f)
	defer func() { in.frames = in.frames[:len(in.frames)-1] }()
	return body()
}
