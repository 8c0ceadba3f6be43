package python

// lowering by keyword; a simple statement has none.
var headers = map[string]func(*lowerer, int){
	"":       (*lowerer).simple,
	"if":     func(l *lowerer, off int) { l.test("if", off) },
	"elif":   func(l *lowerer, off int) { l.test("if", off) },
	"while":  func(l *lowerer, off int) { l.test("while", off) },
	"for":    (*lowerer).loop,
	"with":   (*lowerer).with,
	"def":    (*lowerer).def,
	"class":  (*lowerer).class,
	"except": (*lowerer).except,
	"match":  (*lowerer).expression,
	"case":   (*lowerer).caseClause,
}

// suite ends a header.
func (l *lowerer) suite(off int) {
	l.emit(":", off)
	l.emit("pass", off)
}

// until lowers the tokens before index end as a sequence.
func (l *lowerer) until(end int) {
	n := l.n
	l.n = end
	l.sequence(inStatement, "")
	if l.err == "" && l.i < end {
		l.fail("unbalanced brackets")
	}
	l.n = n
	if l.err != "" {
		l.i = n
	}
}

// starred lowers the tokens before index end, in parentheses where one of
// them is unpacked.
func (l *lowerer) starred(end, off int) {
	wrap := l.starAhead()
	if wrap {
		l.emit("(", off)
	}
	l.until(end)
	if wrap {
		l.emit(")", off)
	}
}

// simple lowers a statement without a suite.
func (l *lowerer) simple(off int) {
	l.header = false
	first := l.peek(0)
	word := ""
	if first.kind == kindName {
		word = l.text(first)
	}
	switch {
	case word == "return":
		l.copyToken()
		l.starred(l.n, off)
		return
	case word == "type" && l.peek(1).kind == kindName && !keywords[l.text(l.peek(1))] && (l.is(2, "=") || l.is(2, "[")):
		l.i++
		l.copyToken()
		l.typeParameters()
	case compoundKeywords[word]:
		l.fail("compound statement where only simple ones can be")
		return
	}
	l.until(l.n)
}

// typeParameters drops those of PEP 695.
func (l *lowerer) typeParameters() {
	if l.is(0, "[") {
		l.skipGroup()
	}
}

func (l *lowerer) expression(off int) { l.starred(l.n, off) }

func (l *lowerer) test(word string, off int) {
	l.emit(word, off)
	l.until(l.n)
	l.suite(off)
}

func (l *lowerer) loop(off int) {
	in := l.find("in")
	if in < 1 {
		l.fail("for without in")
		return
	}
	l.emit("for", off)
	// gpython forgets the comma of `for x, in pairs`.
	tuple := l.text(l.toks[in-1]) == ","
	if tuple {
		l.emit("(", off)
	}
	l.until(in)
	if tuple {
		l.emit(")", off)
	}
	if l.err != "" {
		return
	}
	l.copyToken()
	l.starred(l.n, off)
	l.suite(off)
}

func (l *lowerer) with(off int) {
	l.emit("with", off)
	if l.parenthesised() {
		l.i++
		l.n--
		if l.text(l.toks[l.n-1]) == "," {
			l.n--
		}
	}
	l.until(l.n)
	l.suite(off)
}

// parenthesised says whether the tokens at hand are one pair of parentheses
// around several context managers or one with a name (Python 3.9).
func (l *lowerer) parenthesised() bool {
	if !l.is(0, "(") || l.n-l.i < 3 {
		return false
	}
	i, n := l.i, l.n
	defer func() { l.i, l.n = i, n }()
	l.skipGroup()
	if l.i != n {
		return false
	}
	l.i, l.n = i+1, n-1
	return !l.is(0, "yield") && (l.find("as") >= 0 || l.find(",") >= 0 && l.find("for") < 0)
}

func (l *lowerer) def(off int) {
	l.emit("def", off)
	if l.peek(0).kind == kindName {
		l.emit(normalised(l.text(l.peek(0))), l.peek(0).start)
		l.i++
	}
	l.typeParameters()
	if !l.is(0, "(") {
		l.fail("function without parameters")
		return
	}
	l.copyToken()
	l.params(")")
	if l.is(0, ")") {
		l.copyToken()
	}
	if l.is(0, "->") {
		l.copyToken()
	}
	l.until(l.n)
	l.suite(off)
}

func (l *lowerer) class(off int) {
	l.emit("class", off)
	if l.peek(0).kind == kindName {
		l.emit(normalised(l.text(l.peek(0))), l.peek(0).start)
		l.i++
	}
	l.typeParameters()
	if l.is(0, "(") {
		l.group("(", true)
	}
	l.until(l.n)
	l.suite(off)
}

func (l *lowerer) except(off int) {
	l.emit("try", off)
	l.suite(off)
	l.newline()
	l.emit("except", off)
	if l.is(0, "*") {
		l.i++
	}
	// Python 3.14 takes several types without parentheses.
	several := l.find(",") >= 0
	end := l.n
	if as := l.find("as"); as >= 0 {
		end = as
	}
	if several {
		l.emit("(", off)
	}
	l.until(end)
	if several {
		l.emit(")", off)
	}
	l.until(l.n)
	l.suite(off)
}

// caseClause lowers a pattern to the names that it binds, and the guard.
func (l *lowerer) caseClause(off int) {
	l.emit("if", off)
	l.emit(Case, off)
	l.emit("(", off)
	end := l.find("if")
	if end < 0 {
		end = l.n
	}
	names := l.captures(end)
	if end < l.n {
		l.i = end + 1
		l.emit("(", off)
		l.until(l.n)
		l.emit(")", off)
	} else {
		l.emit("True", off)
	}
	for _, t := range names {
		l.emit(",", off)
		l.emit(normalised(l.text(t)), t.start)
	}
	l.emit(")", off)
	l.suite(off)
}

// captures returns the names that the pattern before index end binds.
func (l *lowerer) captures(end int) []token {
	var names []token
	n := l.n
	l.n = end
	for ; l.i < end; l.i++ {
		t := l.toks[l.i]
		if t.kind != kindName || l.text(t) == "_" || keywords[l.text(t)] || constants[l.text(t)] {
			continue
		}
		dotted := l.i > 0 && l.text(l.toks[l.i-1]) == "."
		if dotted || l.is(1, ".") || l.is(1, "(") || l.is(1, "=") {
			continue
		}
		names = append(names, t)
	}
	l.n = n
	return names
}

var constants = map[string]bool{"True": true, "False": true, "None": true}
