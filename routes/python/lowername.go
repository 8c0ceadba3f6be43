package python

import "strings"

// keywords of Python 3.4: what follows one of these is no call.
var keywords = func() map[string]bool {
	m := map[string]bool{}
	for _, k := range strings.Fields(`and as assert break class continue def del elif else except finally for
		from global if import in is lambda nonlocal not or pass raise return try while with yield`) {
		m[k] = true
	}
	return m
}()

func (l *lowerer) name(v *level, t token) {
	text := l.text(t)
	afterDot := l.i > 0 && l.text(l.toks[l.i-1]) == "."
	if l.is(1, ":=") {
		l.walrus(v, t)
		return
	}
	v.operand = !keywords[text]
	if v.operand {
		v.run = 0
	}
	switch text {
	case "await", "async":
		if !afterDot && l.drops(text) {
			v.operand = false
			l.i++
			return
		}
	case "lambda":
		v.chain++
		l.copyToken()
		l.params(":")
		if l.is(0, ":") {
			l.copyToken()
		}
		return
	case "not":
		v.run++
	case "if", "else":
		v.chain++
	case "for":
		v.loops++
		v.target = true
		l.closeParens(v.closeItem, t)
		v.closeItem = 0
	case "in":
		v.target = false
	case "yield":
		l.copyToken()
		if l.starAhead() {
			l.emit("(", t.start)
			v.closeAll++
		}
		return
	}
	l.emit(normalised(text), t.start)
	l.i++
}

// drops says whether the await or async at hand is the keyword, not a name of
// a program older than Python 3.7.
func (l *lowerer) drops(word string) bool {
	next := l.peek(1)
	if word == "async" {
		return l.is(1, "for") || l.is(1, "with") || l.is(1, "def")
	}
	switch next.kind {
	case kindName:
		text := l.text(next)
		return !keywords[text] || text == "lambda"
	case kindNumber, kindString:
		return true
	case kindOp:
		return strings.IndexByte("([{", l.src.text[next.start]) >= 0
	}
	return false
}

func (l *lowerer) walrus(v *level, t token) {
	l.emit(Walrus, t.start)
	l.emit("(", t.start)
	l.emit(normalised(l.text(t)), t.start)
	l.emit(",", t.start)
	l.i += 2
	v.closeItem++
	v.operand = false
}

// starAhead says whether an item of the rest of this sequence begins with a
// star.
func (l *lowerer) starAhead() bool {
	depth, start := 0, true
	for i := l.i; i < l.n && depth >= 0; i++ {
		t := l.toks[i]
		text := l.text(t)
		if depth == 0 && start && text == "*" {
			return true
		}
		start = text == ","
		if t.kind == kindOp {
			depth += bracketStep(text)
		}
	}
	return false
}

// bracketStep is by how much an operator changes the depth of brackets.
func bracketStep(op string) int {
	switch op {
	case "(", "[", "{":
		return 1
	case ")", "]", "}":
		return -1
	}
	return 0
}

// find returns the index of the next operator or name at this depth, -1 for
// none.
func (l *lowerer) find(text string) int {
	depth := 0
	for i := l.i; i < l.n; i++ {
		t := l.toks[i]
		if t.kind != kindOp && t.kind != kindName {
			continue
		}
		word := l.text(t)
		if depth == 0 && word == text {
			return i
		}
		if depth += bracketStep(word); depth < 0 {
			return -1
		}
	}
	return -1
}

// skipGroup moves behind the bracket at hand.
func (l *lowerer) skipGroup() {
	depth := 0
	for ; l.i < l.n; l.i++ {
		if t := l.toks[l.i]; t.kind == kindOp {
			if depth += bracketStep(l.text(t)); depth == 0 {
				l.i++
				return
			}
		}
	}
}
