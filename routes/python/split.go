package python

import (
	"fmt"
	"sort"
	"strings"

	"github.com/go-python/gpython/ast"
)

// Parse reads a file. It never fails: what cannot be read is an opaque
// statement, what a limit or a broken structure costs is a Problem. Time and
// memory are linear in the file's size and bounded by o.
func Parse(src []byte, o Limits) *Module {
	o = o.withDefaults()
	m := &Module{}
	if len(src) > o.Bytes {
		m.Problems = []Problem{{Line: 1, Reason: fmt.Sprintf("file has %d bytes, more than the limit of %d: not read", len(src), o.Bytes)}}
		return m
	}
	text, problems := decode(src)
	m.Problems = problems
	s := &source{text: text, limits: o, module: m, tokens: o.Tokens}
	sp := &splitter{source: s, scan: newScanner(text)}
	sp.blocks = []block{{list: &m.Body}}
	sp.run()
	if !o.Lazy {
		p := s.parser()
		p.parseAll(m.Body)
		p.flush()
	}
	return m
}

// ParseExpr parses one expression, lowered as in a file. It returns nil for
// what is no expression.
func ParseExpr(text string) ast.Expr {
	m := Parse([]byte("("+text+"\n)"), Limits{Bytes: 1 << 16})
	if len(m.Body) != 1 || len(m.Problems) > 0 {
		return nil
	}
	stmt, ok := m.Body[0].Node.(*ast.ExprStmt)
	if !ok {
		return nil
	}
	return stmt.Value
}

// source is what the statements of one file share.
type source struct {
	text   string
	starts []int // offset of each line
	limits Limits
	module *Module
	tokens int // that may still be handed to gpython
	full   bool
	reuse  *batch
}

func (s *source) problem(line int, format string, args ...any) {
	if len(s.module.Problems) < maxProblems {
		s.module.Problems = append(s.module.Problems, Problem{line, fmt.Sprintf(format, args...)})
	}
}

// line returns the line of an offset, from 1, and where that line begins.
func (s *source) line(off int) (int, int) {
	if s.starts == nil {
		s.starts = lineStarts(s.text)
	}
	i := sort.SearchInts(s.starts, off+1)
	return i, s.starts[i-1]
}

func lineStarts(text string) []int {
	starts := make([]int, 1, 2+strings.Count(text, "\n"))
	for i := 0; i < len(text); i++ {
		j := strings.IndexByte(text[i:], '\n')
		if j < 0 {
			break
		}
		i += j
		starts = append(starts, i+1)
	}
	return starts
}

// block is a suite being filled.
type block struct {
	indent int
	owner  *Stmt // nil for the module
	list   *[]*Stmt
}

// splitter arranges logical lines as a tree.
type splitter struct {
	*source
	scan   *scanner
	blocks []block // innermost last, never empty
	// opener is the header just read whose suite is to follow on lines of
	// its own.
	opener     *Stmt
	decorators []Decorator
	count      int
	stopped    bool
	// one logical line, reused
	logical logical
}

// logical is one logical line.
type logical struct {
	indent     int
	start, end int // without the newline
	first      string
	colon      int   // the first outside brackets and lambdas, -1 for none
	semis      []int // outside brackets
	lastColon  bool  // the colon is the last token
	tokens     int
	broken     string
	deep       bool
}

func (p *splitter) run() {
	for !p.stopped {
		indent, ok := p.indentation()
		if !ok {
			return
		}
		p.readLogical(indent)
		p.place(&p.logical)
	}
}

// indentation skips blank lines and returns the column of the next logical
// line, tabs counting to the next multiple of eight, a form feed back to none.
func (p *splitter) indentation() (int, bool) {
	s := p.scan
	col := 0
	for s.pos < s.end {
		switch s.src[s.pos] {
		case ' ':
			col++
		case '\t':
			col += 8 - col%8
		case '\f', '\n':
			col = 0
		case '#':
			s.pos = s.lineEnd(s.pos)
			continue
		case '\\':
			if s.pos+1 >= s.end || s.src[s.pos+1] != '\n' {
				return col, true
			}
			s.pos++
		default:
			return col, true
		}
		s.pos++
	}
	return 0, false
}

// readLogical reads the tokens of one logical line into p.logical.
func (p *splitter) readLogical(indent int) {
	l := &p.logical
	*l = logical{indent: indent, start: p.scan.pos, end: p.scan.pos, colon: -1, semis: l.semis[:0]}
	s := p.scan
	lambdas := 0
	for {
		t := s.next()
		if t.kind == kindEOF || t.kind == kindNewline {
			break
		}
		if l.tokens == 0 && (t.kind == kindName || t.kind == kindOp) {
			l.first = s.src[t.start:t.end]
		}
		l.tokens++
		l.end = t.end
		l.lastColon = false
		l.deep = l.deep || s.depth > p.limits.Nesting
		switch {
		case t.kind == kindBad:
			l.broken = badToken(s.src[t.start])
		case s.depth > 0:
		case t.kind == kindName:
			if t.end-t.start == 6 && s.src[t.start:t.end] == "lambda" {
				lambdas++
			}
		case t.kind == kindOp && t.end == t.start+1:
			switch c := s.src[t.start]; {
			case c == ';':
				l.semis = append(l.semis, t.start)
			case c != ':':
			case lambdas > 0:
				lambdas--
			case l.colon < 0:
				l.colon, l.lastColon = t.start, true
			}
		}
	}
	p.finishLogical(l)
}

// finishLogical notes what went wrong in a line.
func (p *splitter) finishLogical(l *logical) {
	s := p.scan
	switch {
	case s.unclosed || s.depth > 0:
		l.broken = "bracket is never closed"
		l.end = min(l.end, s.pos)
		s.unclosed, s.depth = false, 0
	case l.deep:
		l.broken = fmt.Sprintf("brackets nested deeper than %d", p.limits.Nesting)
	}
	s.at = -1
	if l.broken != "" {
		line, _ := p.line(l.start)
		p.problem(line, "%s", l.broken)
	}
}

func badToken(c byte) string {
	switch c {
	case '"', '\'':
		return "string is never closed"
	}
	if classes[c] == classLetter {
		return "string is never closed"
	}
	return fmt.Sprintf("unexpected character %q", c)
}

// place puts a logical line into the tree.
func (p *splitter) place(l *logical) {
	line, _ := p.line(l.start)
	p.enterBlock(l.indent, line)
	top := p.blocks[len(p.blocks)-1]
	keyword, word := p.keyword(l, top)
	if len(p.decorators) > 0 && keyword != "def" && keyword != "class" && l.first != "@" {
		p.problem(p.decorators[0].Line, "decorator without a definition")
		p.decorators = nil
	}
	switch {
	case l.first == "@":
		p.decorators = append(p.decorators, Decorator{Line: line, off: l.start + 1, end: l.end})
	case keyword == "":
		p.simple(top.list, l, l.start)
	default:
		p.compound(top, l, keyword, word)
	}
}

// enterBlock makes the block of a line at this indentation the innermost.
func (p *splitter) enterBlock(indent, line int) {
	top := p.blocks[len(p.blocks)-1]
	if p.opener != nil {
		opener := p.opener
		p.opener = nil
		if indent > top.indent {
			if len(p.blocks) > p.limits.Nesting {
				p.problem(line, "blocks nested deeper than %d: the rest of the file is not read", p.limits.Nesting)
				p.stopped = true
			}
			p.blocks = append(p.blocks, block{indent, opener, &opener.Body})
			return
		}
		p.problem(opener.Line, "expected an indented block after %q", opener.Keyword)
	}
	if indent > top.indent {
		p.problem(line, "unexpected indent")
		return
	}
	for indent < p.blocks[len(p.blocks)-1].indent {
		p.blocks = p.blocks[:len(p.blocks)-1]
	}
	if indent > p.blocks[len(p.blocks)-1].indent {
		p.problem(line, "unindent does not match any outer level")
	}
}

// compoundKeywords are those that begin a header.
var compoundKeywords = map[string]bool{
	"if": true, "elif": true, "else": true, "for": true, "while": true, "try": true,
	"except": true, "finally": true, "with": true, "def": true, "class": true,
}

// keyword returns the keyword of a header, empty for a simple statement, and
// the length of the words that lead to what follows it.
func (p *splitter) keyword(l *logical, top block) (string, int) {
	switch {
	case l.colon < 0 && !compoundKeywords[l.first] && l.first != "async":
		return "", 0
	case compoundKeywords[l.first]:
		return l.first, len(l.first)
	case l.first == "async":
		return p.asyncKeyword(l)
	case l.first == "match" && l.lastColon && l.tokens > 2:
		return "match", len("match")
	case l.first == "case" && top.owner != nil && top.owner.Keyword == "match":
		return "case", len("case")
	}
	return "", 0
}

func (p *splitter) asyncKeyword(l *logical) (string, int) {
	s := scanner{src: p.text, pos: l.start + len("async"), end: l.end, at: -1}
	t := s.next()
	switch word := p.text[t.start:t.end]; word {
	case "def", "for", "with":
		return word, t.end - l.start
	}
	return "", 0
}

// add appends a statement to a list, within the limit.
func (p *splitter) add(list *[]*Stmt, s *Stmt) {
	if p.count++; p.count > p.limits.Statements {
		if !p.stopped {
			p.problem(s.Line, "more than %d statements: the rest of the file is not read", p.limits.Statements)
		}
		p.stopped = true
		return
	}
	*list = append(*list, s)
}

// simple adds the statements between from and the end of the line, which
// semicolons separate.
func (p *splitter) simple(list *[]*Stmt, l *logical, from int) {
	for _, semi := range l.semis {
		if semi < from {
			continue
		}
		p.addSimple(list, from, semi, l.broken)
		from = semi + 1
	}
	p.addSimple(list, from, l.end, l.broken)
}

func (p *splitter) addSimple(list *[]*Stmt, from, to int, broken string) {
	s := scanner{src: p.text, pos: from, end: to, at: -1}
	s.skipSpace()
	if s.pos >= to {
		return
	}
	line, _ := p.line(s.pos)
	p.add(list, &Stmt{Line: line, src: p.source, off: s.pos, end: to, broken: broken})
}

// compound adds a header and what follows it on its line.
func (p *splitter) compound(top block, l *logical, keyword string, words int) {
	line, _ := p.line(l.start)
	end := l.colon
	broken := l.broken
	if end < 0 {
		end = l.end
		if broken == "" {
			broken = "expected ':'"
		}
	}
	s := &Stmt{Line: line, Keyword: keyword, src: p.source, off: l.start + words, end: end, broken: broken}
	if len(p.decorators) > 0 {
		s.Decorators, p.decorators = p.decorators, nil
	}
	p.add(p.home(top, s), s)
	switch {
	case l.colon < 0, l.lastColon:
		p.opener = s
	default:
		p.simple(&s.Body, l, l.colon+1)
	}
}

// clausesOf tells which clauses a statement takes.
var clausesOf = map[string]string{
	"if": "elif else", "for": "else", "while": "else", "try": "except else finally", "match": "case",
}

// home returns the list that a header belongs to: for a clause, that of the
// statement before it.
func (p *splitter) home(top block, s *Stmt) *[]*Stmt {
	switch s.Keyword {
	case "elif", "else", "except", "finally":
		if n := len(*top.list); n > 0 {
			before := (*top.list)[n-1]
			if allowed := clausesOf[before.Keyword]; allowed != "" && strings.Contains(allowed, s.Keyword) {
				return &before.Clauses
			}
		}
		p.problem(s.Line, "%q without the statement it belongs to", s.Keyword)
		if s.broken == "" {
			s.broken = "clause without its statement"
		}
	case "case":
		return &top.owner.Clauses
	}
	return top.list
}
