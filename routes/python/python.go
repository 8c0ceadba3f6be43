// Package python turns Python source text, of any version up to 3.14, into a
// tree of statements that gpython has parsed one at a time.
//
// gpython reads the grammar of Python 3.4 and gives up a whole file at the
// first newer construct. So a file is tokenised, split into logical lines,
// arranged as a tree by indentation, lowered token by token to what Python 3.4
// would have written, and only then parsed, one statement at a time. A
// statement that fails costs itself, never its file.
package python

import "github.com/go-python/gpython/ast"

// Module is one parsed file.
type Module struct {
	// Body holds the top-level statements in source order.
	Body []*Stmt
	// Problems are the places where something could not be read or a limit
	// was reached. A module with problems is still usable.
	Problems []Problem
}

// Stmt is one statement. Compound statements keep their suites here, not in
// Node, whose own suite is a lone pass.
type Stmt struct {
	// Line is where the statement begins, counted from 1. For a decorated
	// definition it is the line of the def or class keyword.
	Line int
	// Node is gpython's tree of the statement's header, lowered; nil where
	// the statement is opaque.
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
}

// Decorator is one @expression line.
type Decorator struct {
	Line int
	// Expr is nil where the expression could not be read.
	Expr ast.Expr
	// Text is as in [Stmt].
	Text string
}

// Problem is one place that could not be read.
type Problem struct {
	Line   int
	Reason string
}
