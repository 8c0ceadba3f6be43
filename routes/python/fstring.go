package python

import "strings"

// maxFStrings is how deep f-strings may stand in one another; CPython 3.12
// allows 150, and no one writes more than three.
//
// A replacement field counts too, as do those in format specifications.
const maxFStrings = 40

// fPart is one part of an f-string: literal text, or a replacement field.
type fPart struct {
	start, end int // of the text, or of the field's expression
	field      bool
	debug      bool // {x=}: its text up to spec is a literal part
	spec       int  // where the debug text ends
	plain      bool // the value is format(expr): no specification, no conversion but !s
}

// fScanner reads the inside of f-strings as Python 3.12 does (PEP 701), which
// also reads what older versions allowed.
type fScanner struct {
	s    *scanner
	lit  literal
	emit func(fPart) // nil to skip
	far  int         // how far it came when it failed
}

// skip returns the end of the f-string whose text begins at i, or -1.
func (f *fScanner) skip(i int) int {
	f.far = i
	if f.s.nest >= maxFStrings {
		return -1
	}
	f.s.nest++
	defer func() { f.s.nest-- }()
	return f.text(i, false)
}

// text reads literal text and fields until the closing quote, or in a format
// specification until its brace. It returns where to go on, or -1.
func (f *fScanner) text(i int, inSpec bool) int {
	src, start := f.s.src[:f.s.end], i
	for i < len(src) {
		f.far = i
		switch c := src[i]; {
		case c == '\\':
			i = f.escape(i)
		case c == '\n' && len(f.lit.quote) == 1:
			return -1
		case c == f.lit.quote[0] && strings.HasPrefix(src[i:], f.lit.quote):
			if inSpec {
				return -1
			}
			f.literal(start, i)
			return i + len(f.lit.quote)
		case c == '{' && !inSpec && i+1 < len(src) && src[i+1] == '{':
			f.literal(start, i+1)
			i += 2
			start = i
		case c == '}' && inSpec:
			return i
		case c == '}':
			f.literal(start, i+1)
			i++
			if i < len(src) && src[i] == '}' {
				i++
			}
			start = i
		case c == '{':
			f.literal(start, i)
			if i = f.field(i + 1); i < 0 {
				return -1
			}
			start = i
		default:
			i++
		}
	}
	return -1
}

// escape returns what follows the backslash at i. A brace after it still
// begins a field, except in \N{...}.
func (f *fScanner) escape(i int) int {
	src := f.s.src[:f.s.end]
	if i+1 >= len(src) {
		return i + 1
	}
	switch c := src[i+1]; {
	case c == '{' || c == '}':
		return i + 1
	case c == 'N' && !f.lit.raw && i+2 < len(src) && src[i+2] == '{':
		if j := strings.IndexAny(src[i:], "}\n"); j >= 0 && src[i+j] == '}' {
			return i + j + 1
		}
	}
	return i + 2
}

func (f *fScanner) literal(start, end int) {
	if f.emit != nil && end > start {
		f.emit(fPart{start: start, end: end})
	}
}

// field reads a replacement field whose brace is before i and returns what
// follows its closing brace, or -1.
func (f *fScanner) field(i int) int {
	if f.s.nest > 2*maxFStrings {
		return -1
	}
	f.s.nest++
	defer func() { f.s.nest-- }()
	sub := scanner{src: f.s.src, pos: i, end: f.s.end, depth: 1, fuel: f.s.fuel, nest: f.s.nest, at: -1}
	part := fPart{start: i, field: true, plain: true}
	end := f.expression(&sub, &part)
	f.far = max(f.far, sub.pos)
	f.s.fuel = sub.fuel
	if end < 0 {
		return -1
	}
	if f.emit != nil {
		f.emit(part)
	}
	return end
}

// expression reads the field's expression, and what follows it.
func (f *fScanner) expression(sub *scanner, part *fPart) int {
	lambdas := 0
	last := token{}
	for {
		t := sub.next()
		if t.kind == kindEOF || t.kind == kindNewline || t.kind == kindBad {
			return -1
		}
		text := sub.src[t.start:t.end]
		switch {
		case sub.depth == 0:
			f.close(sub, part, last, t)
			return t.end
		case sub.depth > 1 || t.kind == kindString:
		case text == "lambda":
			lambdas++
		case text == ":" && lambdas > 0:
			lambdas--
		case text == "!" || text[0] == ':':
			f.close(sub, part, last, t)
			return f.tail(part, t.start)
		}
		last = t
	}
}

// close sets the end of the expression, before the token t.
func (f *fScanner) close(sub *scanner, part *fPart, last, t token) {
	part.end = t.start
	if last.kind == kindOp && sub.src[last.start:last.end] == "=" {
		part.debug, part.plain = true, false
		part.spec = t.start
		part.end = last.start
	}
}

// tail reads a conversion and a format specification at i.
func (f *fScanner) tail(part *fPart, i int) int {
	src := f.s.src[:f.s.end]
	if src[i] == '!' {
		end := strings.IndexAny(src[i:], ":}\n")
		if end < 0 {
			return -1
		}
		part.plain = strings.TrimSpace(src[i+1:i+end]) == "s"
		i += end
	}
	switch {
	case i >= len(src) || src[i] == '\n':
		return -1
	case src[i] == '}':
		return i + 1
	}
	part.plain = false
	quiet := fScanner{s: f.s, lit: f.lit}
	end := quiet.text(i+1, true)
	f.far = max(f.far, quiet.far)
	if end < 0 {
		return -1
	}
	return end + 1
}
