package python

import (
	"strconv"
	"strings"
)

// strings lowers a row of adjacent string literals to one literal, or to one
// call of [FString] where one of them is formatted.
func (l *lowerer) strings() {
	first := l.peek(0)
	j := joiner{l: l, off: first.start}
	for l.peek(0).kind == kindString && l.err == "" {
		t := l.peek(0)
		l.i++
		j.add(t)
	}
	if l.err == "" {
		j.finish()
	}
}

// joiner concatenates literals.
type joiner struct {
	l     *lowerer
	off   int
	parts []part
	count int
	bytes bool
	call  string // FString or TString once there is a formatted literal
}

// part is literal text, or the span of a field's expression.
type part struct {
	text       string
	field      bool
	plain      bool
	start, end int
}

func (j *joiner) add(t token) {
	text := j.l.text(t)
	lit := literalAt(text, strings.IndexAny(text, `'"`))
	if j.count > 0 && lit.bytes != j.bytes {
		j.l.fail("cannot mix bytes and nonbytes literals")
		return
	}
	j.count++
	j.bytes = lit.bytes
	switch {
	case lit.template:
		j.call = TString
	case lit.formatted && j.call == "":
		j.call = FString
	}
	from, to := t.start+lit.open, t.end-len(lit.quote)
	if !lit.formatted {
		j.text(lit, from, to)
		return
	}
	before := len(j.parts)
	s := scanner{src: j.l.src.text, end: t.end, fuel: t.end - t.start, nest: j.l.nest, at: -1}
	f := fScanner{s: &s, lit: lit, emit: func(p fPart) { j.piece(lit, p) }}
	if f.skip(from) != t.end {
		j.parts = append(j.parts[:before], part{field: true, start: from, end: to})
	}
}

// piece takes one part of an f-string.
func (j *joiner) piece(lit literal, p fPart) {
	if !p.field {
		j.text(lit, p.start, p.end)
		return
	}
	if p.debug {
		j.parts = append(j.parts, part{text: j.l.src.text[p.start:p.spec]})
	}
	j.parts = append(j.parts, part{field: true, plain: p.plain, start: p.start, end: p.end})
}

func (j *joiner) text(lit literal, from, to int) {
	text := j.l.src.text[from:to]
	if !lit.raw {
		var err error
		if text, err = decodeEscapes(text, lit.bytes); err != nil {
			j.l.fail(err.Error())
			return
		}
	}
	j.parts = append(j.parts, part{text: text})
}

// finish emits what was collected.
func (j *joiner) finish() {
	if j.call == "" || j.call == FString && !j.hasField() {
		j.literal(j.run(0, len(j.parts)))
		return
	}
	l := j.l
	l.emit(j.call, j.off)
	l.emit("(", j.off)
	comma := false
	for i := 0; i < len(j.parts); {
		end := i
		for end < len(j.parts) && !j.parts[end].field {
			end++
		}
		text := j.run(i, end)
		if comma && (text != "" || end == i) {
			l.emit(",", j.off)
		}
		switch {
		case text != "":
			j.literal(text)
		case end == i:
			l.field(j.parts[i], j.off)
			end++
		default:
			i = end
			continue
		}
		comma = true
		i = end
	}
	l.emit(")", j.off)
}

func (j *joiner) hasField() bool {
	for _, p := range j.parts {
		if p.field {
			return true
		}
	}
	return false
}

// run is the text of the parts from i to end.
func (j *joiner) run(i, end int) string {
	if end-i == 1 {
		return j.parts[i].text
	}
	var b strings.Builder
	for _, p := range j.parts[i:end] {
		b.WriteString(p.text)
	}
	return b.String()
}

// literal emits the literal that stands for a value until gpython has parsed.
func (j *joiner) literal(value string) {
	l := j.l
	prefix := ""
	if j.bytes {
		prefix = "b"
	}
	l.emit(prefix+`"`+strconv.Itoa(len(l.values))+`"`, j.off)
	l.values = append(l.values, value)
}

// field emits a replacement field's expression.
func (l *lowerer) field(p part, off int) {
	if l.err != "" {
		return
	}
	if !p.plain {
		l.emit(Unknown, off)
		return
	}
	toks, i, n := l.toks, l.i, l.n
	l.toks = l.tokenise(nil, p.start, p.end, 1)
	l.i, l.n = 0, len(l.toks)
	if l.n == 0 {
		l.fail("empty expression in an f-string")
	}
	l.emit("(", p.start)
	l.sequence(inDisplay, "")
	if l.i < l.n {
		l.fail("unbalanced brackets in an f-string")
	}
	l.emit(")", p.start)
	l.toks, l.i, l.n = toks, i, n
	if l.err != "" {
		l.i = l.n
	}
}
