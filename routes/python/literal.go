package python

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var errEscape = errors.New("invalid escape in string literal")

// decodeEscapes returns the value of a literal's text as CPython decodes it.
// An escape that Python does not know keeps its backslash. Lone surrogates,
// which a Go string cannot hold, become U+FFFD.
func decodeEscapes(text string, isBytes bool) (string, error) {
	i := strings.IndexByte(text, '\\')
	if i < 0 {
		return text, nil
	}
	var b strings.Builder
	b.Grow(len(text))
	for i >= 0 {
		b.WriteString(text[:i])
		n, err := decodeEscape(&b, text[i:], isBytes)
		if err != nil {
			return "", err
		}
		text = text[i+n:]
		i = strings.IndexByte(text, '\\')
	}
	b.WriteString(text)
	return b.String(), nil
}

// simpleEscapes are the escapes of one character.
var simpleEscapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b",
	'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// hexEscapes are the escapes of a fixed number of hexadecimal digits.
var hexEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// decodeEscape writes the value of the escape that text begins with and
// returns its length.
func decodeEscape(b *strings.Builder, text string, isBytes bool) (int, error) {
	if len(text) < 2 {
		b.WriteByte('\\')
		return 1, nil
	}
	c := text[1]
	if s, ok := simpleEscapes[c]; ok {
		b.WriteString(s)
		return 2, nil
	}
	switch n := hexEscapes[c]; {
	case '0' <= c && c <= '7':
		return octalEscape(b, text, isBytes), nil
	case n > 0 && (c == 'x' || !isBytes):
		return hexEscape(b, text, n, isBytes)
	case c == 'N' && !isBytes:
		return nameEscape(b, text)
	}
	b.WriteByte('\\')
	return 1, nil
}

func octalEscape(b *strings.Builder, text string, isBytes bool) int {
	v, n := 0, 1
	for n < 4 && n < len(text) && '0' <= text[n] && text[n] <= '7' {
		v = v<<3 | int(text[n]-'0')
		n++
	}
	writeCode(b, v, isBytes)
	return n
}

func hexEscape(b *strings.Builder, text string, digits int, isBytes bool) (int, error) {
	if len(text) < 2+digits {
		return 0, errEscape
	}
	v := 0
	for _, c := range []byte(text[2 : 2+digits]) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if d < 0 || c < '0' {
			return 0, errEscape
		}
		v = v<<4 | d
	}
	if v > utf8.MaxRune {
		return 0, errEscape
	}
	writeCode(b, v, isBytes)
	return 2 + digits, nil
}

func writeCode(b *strings.Builder, v int, isBytes bool) {
	if isBytes {
		b.WriteByte(byte(v))
		return
	}
	b.WriteRune(rune(v))
}

func nameEscape(b *strings.Builder, text string) (int, error) {
	end := strings.IndexByte(text, '}')
	if len(text) < 3 || text[2] != '{' || end < 0 {
		return 0, errEscape
	}
	s, ok := runesNamed(text[3:end])
	if !ok {
		return 0, errEscape
	}
	b.WriteString(s)
	return end + 1, nil
}
