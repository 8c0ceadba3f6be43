package python

import "sort"

// mark ties a token of the lowered text to a place in the source.
type mark struct {
	out, off int
	open     int // for a closing bracket the mark of its opening one, else -1
}

// markAt returns the index of the token at a position of gpython in the lowered text, whose
// lines count from 1; -1 where there is none.
func (l *lowerer) markAt(line, col int) int {
	if line < 1 || line > len(l.lines) {
		return -1
	}
	at := l.lines[line-1] + col
	return sort.Search(len(l.marks), func(i int) bool { return l.marks[i].out > at }) - 1
}

// word is the text of a token of the lowered text.
func (l *lowerer) word(mark int) string {
	from := l.marks[mark].out
	to := from
	for to < len(l.out) && l.out[to] != ' ' {
		to++
	}
	return string(l.out[from:to])
}

// primary returns the token that begins the primary expression which the one
// before the token at trailer ends: in `(a).b[0].c` the parenthesis. gpython
// says of a trailer where it stands itself, CPython where the primary begins.
func (l *lowerer) primary(trailer int) int {
	for len(l.primaries) < len(l.marks) {
		l.primaries = append(l.primaries, -1)
	}
	if known := l.primaries[trailer]; known >= 0 {
		return known
	}
	start := l.walkPrimary(trailer, func(int) {})
	l.walkPrimary(trailer, func(on int) { l.primaries[on] = start })
	return start
}

// walkPrimary finds the same, and calls visit with every trailer on its way,
// whose primaries all begin there.
func (l *lowerer) walkPrimary(trailer int, visit func(int)) int {
	i := trailer - 1
	for i > 0 {
		if open := l.marks[i].open; open >= 0 {
			i = open
			if c := l.out[l.marks[i].out]; c == '{' || i == 0 || !l.endsOperand(i-1) {
				return i
			}
			visit(i)
			i--
			continue
		}
		if l.out[l.marks[i-1].out] != '.' || l.word(i-1) != "." {
			return i
		}
		visit(i - 1)
		i -= 2
	}
	return max(i, 0)
}

// endsOperand says whether what follows this token is a call or a subscript.
func (l *lowerer) endsOperand(mark int) bool {
	switch c := l.out[l.marks[mark].out]; classes[c] {
	case classLetter:
		return !keywords[l.word(mark)]
	case classDigit, classQuote:
		return true
	default:
		return c == ')' || c == ']' || c == '}'
	}
}
