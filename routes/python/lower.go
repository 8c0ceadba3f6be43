package python

import "strings"

// required is the default that lowering gives keyword-only parameters that
// have none, because gpython keeps no account of which have one. It never
// leaves this package.
const required = "__required__"

// extent is how much was lowered.
type extent struct{ out, marks, values, lines int }

// lowerer writes statements as Python 3.4, one behind the other.
type lowerer struct {
	src   *source
	toks  []token
	i, n  int // next token; where tokens end for now
	out   []byte
	depth int    // brackets open in out
	lines []int  // where lines of out begin
	marks []mark // one for each token of out
	opens []int  // marks of the brackets that are open
	// primaries are what primary found, by mark, once any were asked for.
	primaries []int
	// values are the string literals: in out stands their index, so that
	// gpython need not decode what we decode better.
	values []string
	start  extent // where the statement at hand begins
	header bool   // it is a header or a decorator
	err    string
	nest   int
	used   int // tokens, those of fields included
}

// place is where in the grammar a comma-separated sequence stands.
type place uint8

const (
	inStatement place = iota
	inCall
	inDisplay // tuple, list, parentheses
	inBraces
	inSubscript
)

// wrapAt is the length at which lines of the lowered text are broken inside
// brackets: gpython matches numbers by regular expressions that cost by line.
const wrapAt = 200

// clear forgets what was lowered.
func (l *lowerer) clear() {
	l.out, l.marks, l.values, l.lines = l.out[:0], l.marks[:0], l.values[:0], append(l.lines[:0], 0)
	l.primaries = l.primaries[:0]
}

// begin takes the tokens of one statement, to be lowered behind what is there.
func (l *lowerer) begin(from, to int) {
	l.start = extent{len(l.out), len(l.marks), len(l.values), len(l.lines)}
	l.opens, l.depth, l.nest, l.err, l.used, l.header = l.opens[:0], 0, 0, "", 0, true
	l.toks = l.tokenise(l.toks[:0], from, to, 0)
	l.i, l.n = 0, len(l.toks)
}

// undo takes back what was lowered since begin.
func (l *lowerer) undo() {
	e := l.start
	l.out, l.marks, l.values, l.lines = l.out[:e.out], l.marks[:e.marks], l.values[:e.values], l.lines[:e.lines]
	l.opens, l.depth = l.opens[:0], 0
}

// tokenise appends the tokens of a span.
func (l *lowerer) tokenise(toks []token, from, to, depth int) []token {
	s := scanner{src: l.src.text, pos: from, end: to, depth: depth, fuel: to - from + 1<<10, nest: l.nest, at: -1}
	for {
		t := s.next()
		if t.kind == kindEOF {
			break
		}
		if t.kind == kindNewline {
			if s.unclosed {
				l.fail("bracket is never closed")
			}
			continue
		}
		toks = append(toks, t)
	}
	l.used += len(toks)
	return toks
}

func (l *lowerer) fail(reason string) {
	if l.err == "" {
		l.err = reason
	}
	l.i = l.n
}

func (l *lowerer) text(t token) string { return l.src.text[t.start:t.end] }

// peek returns the token at i+ahead; kindEOF beyond the end.
func (l *lowerer) peek(ahead int) token {
	if l.i+ahead >= l.n {
		return token{}
	}
	return l.toks[l.i+ahead]
}

// is says whether the token at i+ahead is this operator or name.
func (l *lowerer) is(ahead int, text string) bool {
	t := l.peek(ahead)
	return (t.kind == kindOp || t.kind == kindName) && l.text(t) == text
}

func (l *lowerer) emit(text string, off int) {
	if l.depth > 0 && len(l.out)-l.lines[len(l.lines)-1] > wrapAt {
		l.newline()
	}
	m := mark{out: len(l.out), off: off, open: -1}
	if len(text) == 1 {
		m.open = l.bracket(text[0])
	}
	l.marks = append(l.marks, m)
	l.out = append(l.out, text...)
	l.out = append(l.out, ' ')
}

// bracket keeps account of a bracket that is about to be emitted, and returns
// the mark of the one that it closes, or -1.
func (l *lowerer) bracket(c byte) int {
	switch c {
	case '(', '[', '{':
		l.depth++
		l.opens = append(l.opens, len(l.marks))
	case ')', ']', '}':
		l.depth--
		if n := len(l.opens); n > 0 {
			open := l.opens[n-1]
			l.opens = l.opens[:n-1]
			return open
		}
	}
	return -1
}

func (l *lowerer) newline() {
	l.out = append(l.out, '\n')
	l.lines = append(l.lines, len(l.out))
}

// copyToken emits the next token as it is.
func (l *lowerer) copyToken() {
	t := l.peek(0)
	l.emit(l.text(t), t.start)
	l.i++
}

// level is the state of one sequence: what is open in the current item.
type level struct {
	place     place
	closeItem int  // parentheses to close at the item's end
	closeAll  int  // at the sequence's end
	itemStart bool // nothing of the item was read
	target    bool // between the for and the in of a comprehension
	starred   bool // an item of a subscript is unpacked, and no comma was read
	operand   bool // the last token ended an operand
	chain     int  // right-recursive constructs of the item
	run       int  // prefix operators in a row
	loops     int
}

// sequence lowers up to a closing bracket, an operator among stops, or the end,
// none of which it consumes.
func (l *lowerer) sequence(p place, stops string) {
	if l.nest++; l.nest > 3*l.src.limits.Nesting {
		l.fail("nested too deeply")
	}
	defer func() { l.nest-- }()
	v := level{place: p, itemStart: true}
	for l.err == "" {
		t := l.peek(0)
		if t.kind == kindEOF || t.kind == kindOp && l.ends(t, stops) {
			l.closeParens(v.closeItem+v.closeAll, t)
			if v.starred && t.kind == kindOp { // x[*a] is x[(*a,)]
				l.emit(",", t.start)
			}
			return
		}
		l.step(&v, t)
		if v.chain > l.src.limits.Nesting || v.run > l.src.limits.Nesting || v.loops > l.src.limits.Nesting {
			l.fail("expression nested too deeply")
		}
	}
}

func (l *lowerer) ends(t token, stops string) bool {
	c := l.src.text[t.start]
	switch c {
	case ')', ']', '}':
		return true
	}
	return t.end == t.start+1 && strings.IndexByte(stops, c) >= 0
}

func (l *lowerer) closeParens(n int, before token) {
	off := before.start
	if before.kind == kindEOF && l.i > 0 && l.i <= len(l.toks) {
		off = l.toks[l.i-1].start
	}
	for ; n > 0; n-- {
		l.emit(")", off)
	}
}

// step lowers one token, or one bracket with what it holds.
func (l *lowerer) step(v *level, t token) {
	start := v.itemStart
	v.itemStart = false
	switch t.kind {
	case kindName:
		l.name(v, t)
	case kindNumber:
		l.number(t)
		v.operand, v.run = true, 0
	case kindString:
		l.strings()
		v.operand, v.run = true, 0
	case kindOp:
		l.operator(v, t, start)
	default:
		l.fail(badToken(l.src.text[t.start]))
	}
}

// operator lowers an operator or a bracket; first says that it begins an item.
func (l *lowerer) operator(v *level, t token, first bool) {
	text := l.text(t)
	operand := v.operand
	v.operand = false
	switch text {
	case "(", "[", "{":
		l.group(text, operand)
		v.operand, v.run = true, 0
		return
	case ";":
		l.fail("unexpected ';'")
		return
	case ",":
		l.closeParens(v.closeItem, t)
		v.closeItem, v.chain, v.run, v.itemStart, v.starred = 0, 0, 0, true, false
	case ":":
		if v.place == inStatement {
			l.annotation()
			return
		}
		l.closeParens(v.closeItem, t)
		v.closeItem, v.chain = 0, 0
	case "*", "**":
		if first && !v.target && l.unpacking(v, text, t) {
			return
		}
		v.chain += len(text) - 1
	case "@", "@=":
		l.emit("//"+text[1:], t.start)
		l.i++
		return
	case "+", "-", "~":
		if !operand {
			v.run++
		}
	case "=":
		v.run = 0
	}
	l.copyToken()
}

// unpacking lowers a star that begins an item, where Python 3.4 has none.
func (l *lowerer) unpacking(v *level, text string, t token) bool {
	switch {
	case v.place == inStatement || v.place == inDisplay:
		return false
	case text == "**" && v.place == inBraces:
		l.emit(StarStar, t.start)
		l.emit(":", t.start)
	default:
		l.emit(map[string]string{"*": Star, "**": StarStar}[text], t.start)
		l.emit("(", t.start)
		v.closeItem++
		v.starred = v.place == inSubscript
	}
	l.i++
	return true
}

// group lowers a bracket and what it holds. After an operand it is a call or
// a subscript.
func (l *lowerer) group(open string, operand bool) {
	p := inDisplay
	switch {
	case open == "{":
		p = inBraces
	case open == "(" && operand:
		p = inCall
	case open == "[" && operand:
		p = inSubscript
	}
	l.copyToken()
	l.sequence(p, "")
	if l.peek(0).kind == kindEOF {
		l.fail("bracket is never closed")
		return
	}
	l.copyToken()
}
