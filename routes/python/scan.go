package python

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind tells what a token is.
type kind uint8

const (
	kindEOF kind = iota
	kindNewline
	kindName
	kindNumber
	kindString
	kindOp
	kindBad // a character that begins no token, or a string that doesn't end
)

// token is a span of the source. Its text is src[start:end].
type token struct {
	kind       kind
	start, end int
}

// scanner reads tokens. Inside brackets, newlines are space.
type scanner struct {
	src   string
	pos   int
	end   int // where src is taken to end
	depth int // open brackets
	// fuel bounds what scanning f-strings that turn out not to end may cost,
	// in bytes; without it, they are read as plain strings.
	fuel int
	nest int // f-strings that enclose this position
	// unclosed is set when a bracket was left open: a keyword that no
	// expression holds began a line. Then depth is zero again and pos is at
	// that line.
	unclosed bool
	// at is the start of the latest line in brackets that begins with '@',
	// -1 for none: a decorator of the definition that unclosed stops at.
	at int
}

func newScanner(src string) *scanner {
	return &scanner{src: src, end: len(src), fuel: 8*len(src) + 1<<16, at: -1}
}

// hardKeywords begin statements and occur in no expression, so that a line in
// brackets that begins with one shows that the bracket was never closed.
var hardKeywords = map[string]bool{
	"assert": true, "break": true, "class": true, "continue": true, "def": true,
	"del": true, "elif": true, "except": true, "finally": true, "global": true,
	"import": true, "pass": true, "raise": true, "return": true, "try": true,
	"while": true, "with": true,
}

// charClass is what a byte can begin or continue.
type charClass uint8

const (
	classOther charClass = iota
	classLetter
	classDigit
	classQuote
	classOp
)

var classes = func() (t [256]charClass) {
	for c := range t {
		switch {
		case c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c >= utf8.RuneSelf:
			t[c] = classLetter
		case '0' <= c && c <= '9':
			t[c] = classDigit
		case c == '"', c == '\'':
			t[c] = classQuote
		case strings.IndexByte("()[]{}:,;+-*/|&<>=.%^~@!", byte(c)) >= 0:
			t[c] = classOp
		}
	}
	return t
}()

// next returns the next token. At the end it returns kindEOF for ever.
func (s *scanner) next() token {
	if !s.skipSpace() {
		return token{kindNewline, s.pos, s.pos}
	}
	if s.pos >= s.end {
		return token{kindEOF, s.end, s.end}
	}
	start := s.pos
	switch c := s.src[start]; classes[c] {
	case classLetter:
		return s.nameOrString(start)
	case classDigit:
		s.pos = s.number(start)
		return token{kindNumber, start, s.pos}
	case classQuote:
		return s.str(start, start)
	case classOp:
		return s.op(start, c)
	}
	if s.src[start] == '\n' {
		s.pos++
		return token{kindNewline, start, s.pos}
	}
	s.pos++
	return token{kindBad, start, s.pos}
}

// skipSpace moves to the next token. It returns false where an unclosed
// bracket was found to end.
func (s *scanner) skipSpace() bool {
	for s.pos < s.end {
		switch s.src[s.pos] {
		case ' ', '\t', '\f':
			s.pos++
		case '#':
			s.pos = s.lineEnd(s.pos)
		case '\\':
			if s.pos+1 >= s.end || s.src[s.pos+1] != '\n' {
				return true
			}
			s.pos += 2
		case '\n':
			if s.depth == 0 {
				return true
			}
			s.pos++
			if s.bracketEnds() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

func (s *scanner) lineEnd(from int) int {
	if i := strings.IndexByte(s.src[from:s.end], '\n'); i >= 0 {
		return from + i
	}
	return s.end
}

// bracketEnds looks at the line that begins at pos, inside brackets.
func (s *scanner) bracketEnds() bool {
	i := s.pos
	for i < s.end && (s.src[i] == ' ' || s.src[i] == '\t') {
		i++
	}
	if i >= s.end {
		return false
	}
	c := s.src[i]
	if c == '@' && s.at < 0 {
		s.at = s.pos
	}
	if c < 'a' || c > 'w' {
		return false
	}
	word := s.src[i:s.nameEnd(i)]
	if !hardKeywords[word] {
		return false
	}
	if s.at >= 0 && (word == "def" || word == "class") {
		s.pos = s.at
	}
	s.at, s.depth, s.unclosed = -1, 0, true
	return true
}

func (s *scanner) nameEnd(i int) int {
	for i < s.end {
		c := s.src[i]
		if class := classes[c]; class != classLetter && class != classDigit {
			break
		}
		i++
	}
	return i
}

func (s *scanner) nameOrString(start int) token {
	i := s.nameEnd(start)
	if i < s.end && i-start <= 3 && classes[s.src[i]] == classQuote && isPrefix(s.src[start:i]) {
		return s.str(start, i)
	}
	s.pos = i
	return token{kindName, start, i}
}

// isPrefix says whether the letters before a quote belong to the literal.
func isPrefix(p string) bool {
	for i := 0; i < len(p); i++ {
		if strings.IndexByte("rRbBuUfFtT", p[i]) < 0 {
			return false
		}
	}
	return true
}

// number returns the end of the numeric literal at start. It takes what
// CPython's tokenizer takes, so that `1if x` is two tokens.
func (s *scanner) number(i int) int {
	if s.src[i] == '0' && i+1 < s.end {
		if set := digitsOf(s.src[i+1] | 0x20); set != "" {
			return s.digits(i+2, set)
		}
	}
	i = s.digits(i, "0123456789")
	if i < s.end && s.src[i] == '.' {
		i = s.digits(i+1, "0123456789")
	}
	if j := s.exponent(i); j > 0 {
		i = j
	}
	if i < s.end && s.src[i]|0x20 == 'j' {
		i++
	}
	return i
}

// digitsOf returns the digits that follow 0x, 0o or 0b.
func digitsOf(c byte) string {
	switch c {
	case 'x':
		return "0123456789abcdefABCDEF"
	case 'o':
		return "01234567"
	case 'b':
		return "01"
	}
	return ""
}

func (s *scanner) digits(i int, set string) int {
	for i < s.end && (s.src[i] == '_' || strings.IndexByte(set, s.src[i]) >= 0) {
		i++
	}
	return i
}

// exponent returns the end of an exponent at i, or 0.
func (s *scanner) exponent(i int) int {
	if i >= s.end || s.src[i]|0x20 != 'e' {
		return 0
	}
	i++
	if i < s.end && (s.src[i] == '+' || s.src[i] == '-') {
		i++
	}
	if i >= s.end || classes[s.src[i]] != classDigit {
		return 0
	}
	return s.digits(i, "0123456789")
}

func (s *scanner) op(start int, c byte) token {
	switch c {
	case '(', '[', '{':
		s.depth++
	case ')', ']', '}':
		if s.depth > 0 {
			s.depth--
		}
		if s.depth == 0 {
			s.at = -1
		}
	case '.':
		if start+1 < s.end && classes[s.src[start+1]] == classDigit {
			s.pos = s.number(start)
			return token{kindNumber, start, s.pos}
		}
	}
	s.pos = start + s.opLen(start, c)
	return token{kindOp, start, s.pos}
}

// opLen is the length of the longest operator at i.
func (s *scanner) opLen(i int, c byte) int {
	var c1, c2 byte
	if i+1 < s.end {
		c1 = s.src[i+1]
	}
	if i+2 < s.end {
		c2 = s.src[i+2]
	}
	switch {
	case c == '.' && c1 == '.' && c2 == '.':
		return 3
	case c == c1 && (c == '*' || c == '/' || c == '<' || c == '>'):
		if c2 == '=' {
			return 3
		}
		return 2
	case c1 == '=' && strings.IndexByte("+-*/|&<>=%^@!:", c) >= 0,
		c == '-' && c1 == '>', c == '<' && c1 == '>':
		return 2
	}
	return 1
}

// str reads the string literal whose prefix is at start and quote at i.
func (s *scanner) str(start, i int) token {
	lit := literalAt(s.src[start:s.end], i-start)
	if lit.formatted && s.fuel > 0 {
		sub := fScanner{s: s, lit: lit}
		if end := sub.skip(start + lit.open); end >= 0 {
			s.pos = end
			return token{kindString, start, end}
		}
		s.fuel -= sub.far - start
		if s.nest > 0 { // one try for all that are nested: it keeps time linear
			s.pos = max(sub.far, start+1)
			return token{kindBad, start, s.pos}
		}
	}
	end, ok := s.plainEnd(start+lit.open, lit)
	s.pos = end
	if !ok {
		return token{kindBad, start, end}
	}
	return token{kindString, start, end}
}

// plainEnd returns the end of a literal whose text begins at i, and whether
// its closing quote was found.
func (s *scanner) plainEnd(i int, lit literal) (int, bool) {
	stops := stopsOf(lit)
	for {
		j := strings.IndexAny(s.src[i:s.end], stops)
		if j < 0 {
			return s.end, false
		}
		i += j
		switch {
		case s.src[i] == '\\':
			i = min(i+2, s.end)
		case s.src[i] == '\n':
			return i, false
		case strings.HasPrefix(s.src[i:s.end], lit.quote):
			return i + len(lit.quote), true
		default:
			i++
		}
	}
}

func stopsOf(lit literal) string {
	if len(lit.quote) == 3 {
		return lit.quote[:1] + "\\"
	}
	return lit.quote + "\\\n"
}

// literal is what a string literal's prefix and quote say.
type literal struct {
	raw, bytes, formatted, template bool
	quote                           string
	open                            int // bytes before the text
}

// literalAt reads the prefix of the literal in text, whose quote is at i.
func literalAt(text string, i int) literal {
	lit := literal{quote: text[i : i+1]}
	if len(text) >= i+3 && text[i+1] == text[i] && text[i+2] == text[i] {
		lit.quote = text[i : i+3]
	}
	lit.open = i + len(lit.quote)
	for _, c := range text[:i] {
		switch unicode.ToLower(c) {
		case 'r':
			lit.raw = true
		case 'b':
			lit.bytes = true
		case 'f':
			lit.formatted = true
		case 't':
			lit.formatted, lit.template = true, true
		}
	}
	return lit
}
