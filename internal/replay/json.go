package replay

import (
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var errJSON = errors.New("no JSON object")

// jsonReader reads one JSON object piece by piece, without allocating where
// nothing is escaped. It is lenient: a log is what some server's template made
// of it.
type jsonReader struct {
	s  string
	at int
	// bad says that the text was no JSON; everything is empty from there on.
	bad bool
}

func (j *jsonReader) fail() {
	j.bad = true
	j.at = len(j.s)
}

// peek returns the next byte that is no white space, 0 at the end.
func (j *jsonReader) peek() byte {
	for j.at < len(j.s) {
		if c := j.s[j.at]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
		j.at++
	}
	return 0
}

func (j *jsonReader) take(c byte) bool {
	if j.peek() != c {
		return false
	}
	j.at++
	return true
}

// key returns the next key of the object whose brace was taken; false at the
// object's end. A value must have been read between two keys.
func (j *jsonReader) key() (string, bool) {
	j.take(',')
	if j.take('}') {
		return "", false
	}
	key := j.quoted()
	if !j.take(':') {
		j.fail()
	}
	return key, !j.bad
}

// text returns a string's content, the text of a number or word, the first
// text of an array; empty for an object.
func (j *jsonReader) text() string {
	switch j.peek() {
	case '"':
		return j.quoted()
	case '{':
		j.skip()
		return ""
	case '[':
		return j.firstOf()
	}
	begin := j.at
	for j.at < len(j.s) && strings.IndexByte(",}] \t", j.s[j.at]) < 0 {
		j.at++
	}
	if begin == j.at {
		j.fail()
	}
	return j.s[begin:min(j.at, len(j.s))]
}

// firstOf reads an array and returns its first string.
func (j *jsonReader) firstOf() string {
	begin := j.at
	j.skip()
	inner := jsonReader{s: j.s[:j.at], at: begin + 1}
	if inner.peek() != '"' {
		return ""
	}
	return inner.quoted()
}

// skip passes over an object or array.
func (j *jsonReader) skip() {
	depth := 0
	for j.at < len(j.s) {
		switch j.s[j.at] {
		case '"':
			j.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		j.at++
		if depth == 0 {
			return
		}
	}
	j.bad = true
}

// quoted reads a string.
func (j *jsonReader) quoted() string {
	if !j.take('"') {
		j.fail()
		return ""
	}
	begin, escapes := j.at, false
	for j.at < len(j.s) {
		switch j.s[j.at] {
		case '"':
			content := j.s[begin:j.at]
			j.at++
			if escapes {
				return unescapeJSON(content)
			}
			return content
		case '\\':
			escapes = true
			j.at++
		}
		j.at++
	}
	j.fail()
	return ""
}

// unescapeJSON undoes JSON's escapes, and \xHH: nginx writes that where the
// operator forgot escape=json.
func unescapeJSON(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			i++
			continue
		}
		if s[i+1] == 'u' {
			r, n := unicodeEscape(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		if s[i+1] == '/' {
			b = append(b, '/')
			i += 2
			continue
		}
		c, n := escape(s[i:])
		b = append(b, c)
		i += n
	}
	return string(b)
}

// unicodeEscape reads \uXXXX, or two of them that make one rune.
func unicodeEscape(s string) (rune, int) {
	const long = len(`\u0000`)
	r := hexRune(s)
	if r < 0 {
		return utf8.RuneError, 2
	}
	if utf16.IsSurrogate(r) {
		if low := hexRune(s[long:]); low >= 0 {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 2 * long
			}
		}
		return utf8.RuneError, long
	}
	return r, long
}

// hexRune reads one \uXXXX, -1 where there is none.
func hexRune(s string) rune {
	if len(s) < len(`\u0000`) || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for i := 2; i < len(`\u0000`); i++ {
		d := hexDigit(s[i])
		if d < 0 {
			return -1
		}
		r = r<<4 | rune(d)
	}
	return r
}
