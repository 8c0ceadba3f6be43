package routes

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Python's classes written with what Go's regexp and regexp2 both know. Python
// matches str, so its \d, \w and \s are Unicode's.
const (
	pyDigit = `\p{Nd}`
	pyWord  = `\p{L}\p{N}_`
	pySpace = "\\t\\n\\v\\f\\r \x1c-\x1f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
)

// classEscapes are the escapes that stand for a class, as they are written
// inside brackets.
var classEscapes = map[byte]string{'d': pyDigit, 'w': pyWord, 's': pySpace, 'D': `\P{Nd}`}

// plainEscapes mean one character in Python, Go and .NET alike.
const plainEscapes = "fnrtv"

// translation is the state of turning Python's regex syntax into one that Go's
// regexp and regexp2 both read. Python's re documents the syntax.
type translation struct {
	in  string
	pos int
	out strings.Builder
	// groups counts the capturing groups, names maps the named ones.
	groups int
	names  map[string]int
	// backtracks is set for what Go's regexp lacks or does differently;
	// failed for what neither engine can do.
	backtracks, failed bool
}

func translate(pattern string) *translation {
	t := &translation{in: pattern, names: map[string]int{}}
	for t.pos < len(t.in) && !t.failed {
		t.next()
	}
	return t
}

func (t *translation) text() string { return t.out.String() }

// next translates one token outside brackets.
func (t *translation) next() {
	c := t.in[t.pos]
	switch c {
	case '\\':
		t.escape()
	case '[':
		t.class()
	case '(':
		t.group()
	case '{':
		t.repeat()
	case '*', '+', '?':
		t.take(1)
		t.quantified()
	case '$':
		// Python's $ also stands before a final newline, Go's does not.
		if t.pos+1 < len(t.in) && t.in[t.pos+1] != ')' {
			t.backtracks = true
		}
		t.take(1)
	case '|', ')', '.', '^':
		t.take(1)
	default:
		_, size := utf8.DecodeRuneInString(t.in[t.pos:])
		t.out.WriteString(regexp.QuoteMeta(t.in[t.pos : t.pos+size]))
		t.pos += size
	}
}

// take copies n bytes unchanged.
func (t *translation) take(n int) {
	t.out.WriteString(t.in[t.pos : t.pos+n])
	t.pos += n
}

// quantified looks at what follows a quantifier: a ? makes it lazy, which all
// engines know, a + possessive, which neither of ours does.
func (t *translation) quantified() {
	rest := t.in[t.pos:]
	if strings.HasPrefix(rest, "?") {
		t.take(1)
	} else if strings.HasPrefix(rest, "+") {
		t.failed = true
	}
}

var repeatPattern = regexp.MustCompile(`^\{(\d*)(,?)(\d*)\}`)

// maxRepeat is the largest count that Go's regexp takes.
const maxRepeat = 1000

func (t *translation) repeat() {
	m := repeatPattern.FindStringSubmatch(t.in[t.pos:])
	if m == nil || m[1]+m[2]+m[3] == "" {
		t.out.WriteString(`\{`)
		t.pos++
		return
	}
	for _, count := range []string{m[1], m[3]} {
		if n, err := strconv.Atoi(count); count != "" && (err != nil || n > maxRepeat) {
			t.backtracks = true
		}
	}
	if m[1] == "" {
		m[1] = "0"
	}
	t.out.WriteString("{" + m[1] + m[2] + m[3] + "}")
	t.pos += len(m[0])
	t.quantified()
}

// escape translates a backslash sequence outside brackets.
func (t *translation) escape() {
	if t.pos+1 >= len(t.in) {
		t.failed = true
		return
	}
	c := t.in[t.pos+1]
	switch {
	case c == 'W' || c == 'S':
		t.out.WriteString("[^" + classEscapes[c|0x20] + "]")
		t.pos += 2
	case classEscapes[c] != "":
		t.out.WriteString("[" + classEscapes[c] + "]")
		t.pos += 2
	case c == 'A':
		t.take(2)
	case c == 'Z':
		t.out.WriteString(`\z`)
		t.pos += 2
	case c == 'b' || c == 'B', c >= '1' && c <= '9':
		t.backtracks = true
		t.take(2)
	default:
		t.out.WriteString(t.character())
	}
}

// character translates a backslash sequence that means one character.
func (t *translation) character() string {
	c := t.in[t.pos+1]
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	switch {
	case digits > 0:
		return t.codePoint(t.pos+2, digits, 16)
	case c == '0':
		n := len(t.in[t.pos+1:]) - len(strings.TrimLeft(t.in[t.pos+1:], "01234567"))
		return t.codePoint(t.pos+1, min(n, 3), 8)
	case strings.IndexByte(plainEscapes, c) >= 0:
		t.pos += 2
		return `\` + string(c)
	case c == 'a':
		t.pos += 2
		return "\x07"
	case c < utf8.RuneSelf && isLetterOrDigit(c):
		t.failed = true
		return ""
	}
	_, size := utf8.DecodeRuneInString(t.in[t.pos+1:])
	text := t.in[t.pos+1 : t.pos+1+size]
	t.pos += 1 + size
	return quoteInClass(text)
}

func isLetterOrDigit(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// codePoint reads digits of the base at a place and returns the character.
func (t *translation) codePoint(at, digits, base int) string {
	if at+digits > len(t.in) {
		t.failed = true
		return ""
	}
	n, err := strconv.ParseUint(t.in[at:at+digits], base, 32)
	if err != nil || n > utf8.MaxRune {
		t.failed = true
		return ""
	}
	t.pos = at + digits
	return quoteInClass(string(rune(n)))
}

// quoteInClass escapes punctuation so that it means itself in and outside
// brackets.
func quoteInClass(text string) string {
	if len(text) == 1 && text[0] > ' ' && text[0] < 0x7f && !isLetterOrDigit(text[0]) && text[0] != '_' {
		return `\` + text
	}
	return text
}

// bracketed is one class while it is read. A complement such as \W cannot stand
// beside other items in Go's regexp, so it is kept apart.
type bracketed struct {
	negated     bool
	items       strings.Builder
	complements []string // the classes whose complements are items
}

// class translates a bracketed class.
func (t *translation) class() {
	var c bracketed
	t.pos++
	if strings.HasPrefix(t.in[t.pos:], "^") {
		c.negated = true
		t.pos++
	}
	for first := true; ; first = false {
		if t.pos >= len(t.in) {
			t.failed = true
		}
		if t.failed {
			return
		}
		if t.in[t.pos] == ']' && !first {
			t.pos++
			t.writeClass(&c)
			return
		}
		t.classItem(&c)
	}
}

// writeClass writes [\Wx] as [^\w]|[x], and [^\Wx] as a \w that is no x.
func (t *translation) writeClass(c *bracketed) {
	items := c.items.String()
	switch {
	case len(c.complements) == 0 && c.negated:
		t.out.WriteString("[^" + items + "]")
	case len(c.complements) == 0:
		t.out.WriteString("[" + items + "]")
	case !c.negated:
		alternatives := []string{}
		if items != "" {
			alternatives = append(alternatives, "["+items+"]")
		}
		for _, class := range c.complements {
			alternatives = append(alternatives, "[^"+class+"]")
		}
		t.out.WriteString("(?:" + strings.Join(alternatives, "|") + ")")
	default:
		t.writeIntersection(c.complements, items)
	}
}

func (t *translation) writeIntersection(classes []string, but string) {
	t.out.WriteString("(?:")
	for _, class := range classes[1:] {
		t.backtracks = true
		t.out.WriteString("(?=[" + class + "])")
	}
	if but != "" {
		t.backtracks = true
		t.out.WriteString("(?![" + but + "])")
	}
	t.out.WriteString("[" + classes[0] + "])")
}

func (t *translation) classItem(c *bracketed) {
	if b := t.in[t.pos]; b != '\\' {
		_, size := utf8.DecodeRuneInString(t.in[t.pos:])
		if text := t.in[t.pos : t.pos+size]; b == '-' {
			c.items.WriteString(text)
		} else {
			c.items.WriteString(quoteInClass(text))
		}
		t.pos += size
		return
	}
	if t.pos+1 >= len(t.in) {
		t.failed = true
		return
	}
	switch b := t.in[t.pos+1]; {
	case b == 'W' || b == 'S':
		c.complements = append(c.complements, classEscapes[b|0x20])
		t.pos += 2
	case b == 'b':
		c.items.WriteString("\x08")
		t.pos += 2
	case classEscapes[b] != "":
		c.items.WriteString(classEscapes[b])
		t.pos += 2
	default:
		c.items.WriteString(t.character())
	}
}

var (
	namePattern      = regexp.MustCompile(`^\(\?P<([^>]*)>`)
	referencePattern = regexp.MustCompile(`^\(\?P=([^)]*)\)`)
	commentPattern   = regexp.MustCompile(`^\(\?#[^)]*\)`)
	flagsPattern     = regexp.MustCompile(`^\(\?([aiLmsux]*)(?:-([imsx]*))?([:)])`)
)

// group translates an opening parenthesis and what belongs to it.
func (t *translation) group() {
	rest := t.in[t.pos:]
	if !strings.HasPrefix(rest, "(?") {
		t.groups++
		t.take(1)
		return
	}
	if m := namePattern.FindStringSubmatch(rest); m != nil {
		t.groups++
		t.names[m[1]] = t.groups
		t.out.WriteString("(")
		t.pos += len(m[0])
		return
	}
	if m := referencePattern.FindStringSubmatch(rest); m != nil {
		t.backtracks = true
		t.out.WriteString(`(?:\` + strconv.Itoa(t.names[m[1]]) + `)`)
		t.pos += len(m[0])
		return
	}
	if m := commentPattern.FindString(rest); m != "" {
		t.pos += len(m)
		return
	}
	if m := flagsPattern.FindStringSubmatch(rest); m != nil {
		t.flags(m)
		return
	}
	t.extension(rest)
}

// flags drops the flags that only say how to read \w, and gives up on verbose
// patterns.
func (t *translation) flags(m []string) {
	if strings.Contains(m[1], "x") || strings.Contains(m[1], "m") {
		t.failed = true
		return
	}
	on := strings.Map(func(r rune) rune {
		if strings.ContainsRune("aLu", r) {
			return -1
		}
		return r
	}, m[1])
	if m[2] != "" {
		on += "-" + m[2]
	}
	t.pos += len(m[0])
	if on == "" && m[3] == ")" {
		return
	}
	t.out.WriteString("(?" + on + m[3])
}

// extension copies the groups that only a backtracking engine knows.
func (t *translation) extension(rest string) {
	for _, opening := range []string{"(?<=", "(?<!", "(?=", "(?!", "(?>"} {
		if strings.HasPrefix(rest, opening) {
			t.backtracks = true
			t.take(len(opening))
			return
		}
	}
	t.failed = true
}
