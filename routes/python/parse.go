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
	if s.src != nil {
		p := s.src.parser()
		p.add(s)
		p.flush()
	}
}

// ParseSuite is [Stmt.Parse] for each statement of a list, not for those of
// their suites. It costs about half of what parsing them one by one does.
func ParseSuite(list []*Stmt) {
	var p *batch
	for _, s := range list {
		if s.src != nil {
			p = s.src.parser()
			p.add(s)
		}
	}
	if p != nil {
		p.flush()
	}
}

// parseAll parses whole trees.
func (p *batch) parseAll(list []*Stmt) {
	for _, s := range list {
		if s.src != nil {
			p.add(s)
		}
		p.parseAll(s.Body)
		p.parseAll(s.Clauses)
	}
}

// maxBatch is how many bytes of lowered text are given to gpython at once: it
// allocates some 8 KiB for each text that it parses.
const maxBatch = 4 << 10

// batch lowers statements and parses several at once.
type batch struct {
	src     *source
	lower   lowerer
	reader  *bufio.Reader
	bytes   bytes.Reader
	entries []entry
}

// entry is one statement, or one decorator, of a batch.
type entry struct {
	stmt      *Stmt
	decorator *Decorator // nil for the statement itself
	first     int        // its first token in the lowered text
}

func (s *source) parser() *batch {
	if s.reuse == nil {
		s.reuse = &batch{src: s, reader: bufio.NewReaderSize(nil, 4096), lower: lowerer{src: s}}
		s.reuse.lower.clear()
	}
	return s.reuse
}

func (p *batch) add(s *Stmt) {
	s.src = nil
	for i := range s.Decorators {
		p.lowerEntry(entry{stmt: s, decorator: &s.Decorators[i]})
	}
	if headers[s.Keyword] != nil || s.broken != "" {
		p.lowerEntry(entry{stmt: s})
	}
}

// lowerEntry lowers one entry into the batch, or makes it opaque.
func (p *batch) lowerEntry(e entry) {
	l := &p.lower
	from, to, lower, broken := e.stmt.off, e.stmt.end, headers[e.stmt.Keyword], e.stmt.broken
	if e.decorator != nil {
		from, to, lower, broken = e.decorator.off, e.decorator.end, (*lowerer).expression, ""
	}
	if broken != "" {
		p.opaque(e, broken)
		return
	}
	l.begin(from, to)
	e.first = len(l.marks)
	if l.err == "" {
		lower(l, from)
	}
	if l.err == "" && len(l.marks) == e.first {
		l.err = "nothing to read"
	}
	if l.err == "" && !p.affords(l.used) {
		l.err = "the file's limit of tokens is reached"
	}
	if l.err != "" {
		l.undo()
		p.opaque(e, l.err)
		return
	}
	l.newline()
	p.entries = append(p.entries, e)
	if len(l.out) > maxBatch {
		p.flush()
	}
}

// affords takes n tokens from those that may still be parsed.
func (p *batch) affords(n int) bool {
	src := p.src
	if src.tokens -= n; src.tokens >= 0 {
		return true
	}
	if !src.full {
		src.full = true
		line, _ := src.line(p.lower.marks[p.lower.start.marks].off)
		src.problem(line, "more than %d tokens to parse: the rest of the file is opaque", src.limits.Tokens)
	}
	return false
}

// flush parses what was added. Where gpython refuses a batch, each entry is
// parsed alone.
func (p *batch) flush() {
	entries := p.entries
	body := p.gpython(len(entries))
	for i, e := range entries {
		if body != nil {
			p.fill(e, body[i])
		}
	}
	p.entries = p.entries[:0]
	p.lower.clear()
	switch {
	case body != nil:
	case len(entries) == 1:
		p.opaque(entries[0], "not Python 3, or newer than 3.14")
	default:
		for _, e := range append([]entry(nil), entries...) {
			p.lowerEntry(e)
			if len(p.entries) > 0 {
				p.flush()
			}
		}
	}
}

// gpython parses the lowered text, which has n statements; nil where it is
// refused.
func (p *batch) gpython(n int) []ast.Stmt {
	if n == 0 {
		return nil
	}
	p.bytes.Reset(p.lower.out)
	p.reader.Reset(&p.bytes)
	mod, err := parser.Parse(p.reader, "", py.ExecMode)
	module, ok := mod.(*ast.Module)
	if err != nil || !ok || len(module.Body) != n {
		return nil
	}
	return module.Body
}

// fill gives an entry its tree.
func (p *batch) fill(e entry, node ast.Stmt) {
	f := fixer{l: &p.lower, first: e.first, limit: 10 * p.src.limits.Nesting}
	f.stmt(node)
	value, isExpr := node.(*ast.ExprStmt)
	switch {
	case f.err != "":
		p.opaque(e, f.err)
	case e.decorator == nil:
		e.stmt.Node = node
	case isExpr:
		e.decorator.Expr = value.Value
	default:
		p.opaque(e, "")
	}
}

// opaque says of an entry that it was not read.
func (p *batch) opaque(e entry, reason string) {
	if d := e.decorator; d != nil {
		d.Text = p.src.excerpt("@", d.off, d.end)
		return
	}
	e.stmt.Opaque = reason
	e.stmt.Text = p.src.excerpt(e.stmt.Keyword, e.stmt.off, e.stmt.end)
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
