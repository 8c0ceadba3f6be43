package python

import (
	"bufio"
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-python/gpython/ast"
	"github.com/go-python/gpython/parser"
	"github.com/go-python/gpython/py"
)

// Parse fills Node and the decorators' Expr of this statement, not of those
// in its suite, in a module read with [Limits.Lazy]. A second call does
// nothing. Statements of one module must not be parsed concurrently.
func (s *Stmt) Parse() {
	if s.src == nil {
		return
	}
	src := s.src
	s.src = nil
	p := src.parser()
	for i := range s.Decorators {
		p.decorator(&s.Decorators[i])
	}
	lower := headers[s.Keyword]
	if lower == nil && s.broken == "" {
		return
	}
	off := s.off
	s.Node, s.Opaque = p.statement(lower, off, s.end, s.broken, s.Line)
	if s.Opaque != "" {
		s.Text = src.excerpt(s.Keyword, s.off, s.end)
	}
}

// statementParser holds what parsing one statement after another reuses.
type statementParser struct {
	src    *source
	lower  lowerer
	reader *bufio.Reader
	bytes  bytes.Reader
}

func (s *source) parser() *statementParser {
	if s.reuse == nil {
		s.reuse = &statementParser{src: s, reader: bufio.NewReaderSize(nil, 4096)}
	}
	return s.reuse
}

// decorator parses what stands after the @.
func (p *statementParser) decorator(d *Decorator) {
	node, opaque := p.statement((*lowerer).expression, d.off, d.end, "", d.Line)
	if stmt, ok := node.(*ast.ExprStmt); ok && opaque == "" {
		d.Expr = stmt.Value
		return
	}
	d.Text = p.src.excerpt("@", d.off, d.end)
}

// statement lowers and parses one header. It returns why it could not.
func (p *statementParser) statement(lower func(*lowerer, int), from, to int, broken string, line int) (ast.Stmt, string) {
	if broken != "" {
		return nil, broken
	}
	l := &p.lower
	l.reset(p.src, from, to)
	if l.err == "" {
		lower(l, from)
	}
	if l.err != "" {
		return nil, l.err
	}
	if p.src.tokens -= l.used; p.src.tokens < 0 {
		if !p.src.full {
			p.src.full = true
			p.src.problem(line, "more than %d tokens to parse: the rest of the file is opaque", p.src.limits.Tokens)
		}
		return nil, "the file's limit of tokens is reached"
	}
	return p.gpython()
}

// gpython parses the lowered text.
func (p *statementParser) gpython() (ast.Stmt, string) {
	l := &p.lower
	l.out = append(l.out, '\n')
	p.bytes.Reset(l.out)
	p.reader.Reset(&p.bytes)
	mod, err := parser.Parse(p.reader, "", py.ExecMode)
	if err != nil {
		return nil, "not Python 3, or newer than 3.14"
	}
	module, ok := mod.(*ast.Module)
	if !ok || len(module.Body) != 1 {
		return nil, "not one statement"
	}
	f := fixer{l: l, limit: 10 * p.src.limits.Nesting}
	f.stmt(module.Body[0])
	if f.deep {
		return nil, "expression nested too deeply"
	}
	return module.Body[0], ""
}

// excerpt is a header's text without comments, at most maxText bytes.
func (s *source) excerpt(keyword string, from, to int) string {
	var b strings.Builder
	b.WriteString(keyword)
	scan := scanner{src: s.text, pos: from, end: to, depth: 1, at: -1}
	last := from
	if keyword != "" && keyword != "@" {
		last = -1
	}
	for b.Len() < maxText {
		t := scan.next()
		if t.kind == kindEOF {
			break
		}
		if t.start > last && t.kind != kindNewline {
			b.WriteByte(' ')
		}
		b.WriteString(s.text[t.start:min(t.end, t.start+maxText)])
		last = t.end
	}
	text := b.String()
	if len(text) <= maxText {
		return text
	}
	text = text[:maxText]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}
