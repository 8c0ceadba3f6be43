package python

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// annotation drops `: T` of an assignment; without a value the statement is
// a pass.
func (l *lowerer) annotation() {
	if !l.annotates() {
		l.fail("unexpected ':'")
		return
	}
	l.i++
	if eq := l.find("="); eq >= 0 {
		l.i = eq
		return
	}
	l.i = l.n
	off := l.marks[l.start.marks].off
	l.undo()
	l.emit("pass", off)
}

// annotates says whether what stands before the colon at hand can be annotated.
func (l *lowerer) annotates() bool {
	if l.i == 0 || l.header || keywords[l.text(l.toks[0])] {
		return false
	}
	depth := 0
	for _, t := range l.toks[:l.i] {
		text := l.text(t)
		if t.kind == kindOp {
			depth += bracketStep(text)
		}
		if depth == 0 && (text == "=" || text == ":") {
			return false
		}
	}
	return true
}

// params lowers parameters up to stop: without `/` and trailing commas, each
// keyword-only one with a default.
func (l *lowerer) params(stop string) {
	first, kwOnly := true, false
	for l.err == "" {
		t := l.peek(0)
		if t.kind == kindEOF || l.is(0, stop) {
			return
		}
		if l.is(0, ",") || l.is(0, "/") {
			l.i++
			continue
		}
		if !first {
			l.emit(",", t.start)
		}
		first = false
		star := l.is(0, "*") || l.is(0, "**")
		if star {
			kwOnly = true
			l.copyToken()
		}
		l.param(stop, kwOnly && !star)
	}
}

// param lowers one parameter without its star.
func (l *lowerer) param(stop string, kwOnly bool) {
	t := l.peek(0)
	if t.kind != kindName {
		if !l.is(0, ",") {
			l.fail("parameter is not a name")
		}
		return
	}
	l.emit(normalised(l.text(t)), t.start)
	l.i++
	if stop != ":" && l.is(0, ":") {
		l.copyToken()
		if l.is(0, "*") {
			l.i++
		}
		l.sequence(inDisplay, ",="+stop)
	}
	switch {
	case l.is(0, "="):
		l.copyToken()
		l.sequence(inDisplay, ","+stop)
	case kwOnly:
		l.emit("=", t.start)
		l.emit(required, t.start)
	}
}

// maxDigits is how long CPython lets a decimal integer be.
const maxDigits = 4300

func (l *lowerer) number(t token) {
	text := l.text(t)
	if strings.IndexByte(text, '_') >= 0 {
		text = strings.ReplaceAll(text, "_", "")
	}
	if len(text) > maxDigits {
		l.fail("number is too long")
		return
	}
	if len(text) > 3 && strings.ContainsAny(text, "eE") && text[1]|0x20 != 'x' {
		if _, err := strconv.ParseFloat(strings.TrimRight(text, "jJ"), 64); err != nil {
			// CPython reads inf, gpython nothing.
			text = "1e308" + text[len(strings.TrimRight(text, "jJ")):]
		}
	}
	l.emit(text, t.start)
	l.i++
}

// normalised is an identifier as CPython keeps it (PEP 3131).
func normalised(name string) string {
	for i := 0; i < len(name); i++ {
		if name[i] >= utf8.RuneSelf {
			return norm.NFKC.String(name)
		}
	}
	return name
}
