// Package python turns Python source text, of any version up to 3.14, into a
// tree of statements that gpython has parsed one at a time.
//
// gpython reads the grammar of Python 3.4 and gives up a whole file at the
// first newer construct. So a file is tokenised, split into logical lines,
// arranged as a tree by indentation, lowered token by token to what Python 3.4
// would have written, and only then parsed, one statement at a time. A
// statement that fails costs itself, never its file.
//
// What lowering puts in the place of newer syntax is listed at the constants
// [FString] and following.
package python

import "github.com/go-python/gpython/ast"

// Module is one parsed file. It and its statements are not safe for
// concurrent use while any of them is still to be parsed (see [Stmt.Parse]).
type Module struct {
	// Body holds the top-level statements in source order.
	Body []*Stmt
	// Problems are the places where the file's structure could not be read
	// (encoding, indentation, an unclosed bracket) or a limit was reached. A
	// module with problems is still usable. A statement that could not be
	// read is not repeated here: it says so in [Stmt.Opaque].
	Problems []Problem
}

// Stmt is one statement. Compound statements keep their suites here, not in
// Node, whose own suite is a lone pass.
type Stmt struct {
	// Line is where the statement begins, counted from 1. For a decorated
	// definition it is the line of the def or class keyword.
	Line int
	// Node is gpython's tree of the statement's header, lowered; nil where
	// the statement is opaque, and before [Stmt.Parse] in a lazy module. By
	// Keyword it is: "if", "elif" *ast.If; "while" *ast.While; "for"
	// *ast.For; "with" *ast.With; "def" *ast.FunctionDef; "class"
	// *ast.ClassDef; "except" *ast.Try with exactly one handler; "match"
	// *ast.ExprStmt, the subject; "case" *ast.If, see [Case]; always nil for
	// "try", "else" and "finally".
	//
	// Positions are the file's: lines from 1, columns in bytes from 0 (of the
	// text as UTF-8), as CPython's ast gives them. KwDefaults of functions
	// and lambdas has one entry for each of Kwonlyargs, nil where there is no
	// default. Starargs and Kwargs of calls and classes are always nil, see
	// [Star].
	Node ast.Stmt
	// Keyword is the header's first keyword where it decides what the
	// statement is ("if", "elif", "else", "for", "while", "try", "except",
	// "finally", "with", "def", "class", "match", "case"); empty for a simple
	// statement. "async" is dropped.
	Keyword string
	// Decorators are the expressions above a def or class, outermost first.
	Decorators []Decorator
	// Body is the suite of a compound statement, empty otherwise.
	Body []*Stmt
	// Clauses are the elif, else, except, finally and case clauses that
	// belong to this statement, in source order, each with its own Keyword
	// and Body. An else has a nil Node.
	Clauses []*Stmt
	// Opaque says why gpython could not read this statement; empty where it
	// could.
	Opaque string
	// Text is the statement's header as written, without comments and cut to
	// 200 bytes. It is set for opaque statements only.
	Text string

	src    *source // nil once parsed
	off    int     // the header's span in the source, without its colon
	end    int
	broken string // why the splitter already knows it to be unreadable
}

// Decorator is one @expression line.
type Decorator struct {
	Line int
	// Expr is nil where the expression could not be read, and before
	// [Stmt.Parse] of its definition in a lazy module.
	Expr ast.Expr
	// Text is as in [Stmt].
	Text string

	off, end int
}

// Problem is one place that could not be read.
type Problem struct {
	Line   int
	Reason string
}

// Limits bound what one file may cost. The zero value of each field means
// its default. Where one bites, the module gets a [Problem].
type Limits struct {
	// Bytes is the largest file that is read at all; default 4 MiB.
	Bytes int
	// Nesting is how deep brackets, and how deep indented blocks, may go
	// before the statement is opaque; default 200, as in CPython.
	Nesting int
	// Statements is how many statements a file may have; default 200,000.
	Statements int
	// Tokens is how many tokens of one file are handed to gpython, which is
	// what bounds time: about 1 µs each; default 1,000,000.
	Tokens int
	// Lazy leaves every Node and every decorator's Expr nil until
	// [Stmt.Parse], or [ParseSuite] for several at once, is called. Reading
	// all of 1000 lines takes about 4 ms, splitting 0.7 ms, splitting and
	// parsing what is outside functions 1.4 ms.
	Lazy bool
}

const (
	defaultBytes      = 4 << 20
	defaultNesting    = 200
	defaultStatements = 200_000
	defaultTokens     = 1_000_000
	maxProblems       = 100
	maxText           = 200
)

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Bytes, defaultBytes},
		{&l.Nesting, defaultNesting},
		{&l.Statements, defaultStatements},
		{&l.Tokens, defaultTokens},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// Names that lowering puts where Python 3.4 has no syntax. They are ordinary
// calls and names of gpython's tree, and cannot be confused with the program's
// own: a program that uses one of them is read as if it had used the syntax.
//
// Without a name, because what is left says the same: annotated assignment
// (`x: T = v` is `x = v`, a bare `x: T` is pass), await and async (dropped),
// `/` in parameters (dropped), type parameters (dropped), `type X = v` (is
// `X = v`), `except*` (is except), `with (a as b, c):` (without parentheses),
// numeric underscores. `a @ b` becomes `a // b`, which has no meaning for
// strings either.
const (
	// FString is the function of f"/a/{x}/b": __fstring__("/a/", x, "/b"),
	// adjacent plain literals included. Its arguments are string literals and
	// the expressions between them, in order; the value is the concatenation
	// of format(arg). f"{x!s}" is as f"{x}".
	FString = "__fstring__"
	// TString is the same for t-strings, whose value is no str.
	TString = "__tstring__"
	// Unknown stands in an f-string for a part with a conversion other than
	// !s, with a format specification, or that could not be split:
	// f"/a/{x:02d}" is __fstring__("/a/", __unknown__).
	Unknown = "__unknown__"
	// Walrus is (x := e): __walrus__(x, e), x being an ast.Name.
	Walrus = "__walrus__"
	// Star is *a among the arguments of a call or class, in a set or in a
	// subscript: f(*a, c) is f(__star__(a), c). In tuples, lists and
	// assignment targets it stays an ast.Starred.
	Star = "__star__"
	// StarStar is **k among arguments: f(**k, a=1) is f(__starstar__(k),
	// a=1), a positional argument; in a dict it is the name that stands as
	// key: {**a, "b": 1} is {__starstar__: a, "b": 1}.
	StarStar = "__starstar__"
	// Case is the test of a "case" clause: __case__(guard, x, rest), with
	// True as guard where there is none, and the names that the pattern
	// binds. The pattern itself is not kept.
	Case = "__case__"
)
