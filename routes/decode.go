package routes

import (
	"strings"
	"unicode/utf8"
)

// byteClass says what a byte of a request target asks of the one who reads it.
type byteClass uint8

const (
	plain   byteClass = iota
	ends              // ? or #: the path ends here
	encoded           // % or not ASCII: the path must be decoded
	space             // Python's str.split() would split here
)

var byteClasses = func() (table [256]byteClass) {
	for c := range table {
		switch {
		case c == '?' || c == '#':
			table[c] = ends
		case c >= 0x09 && c <= 0x0d, c >= 0x1c && c <= 0x20, c == 0x85, c == 0xa0:
			table[c] = space
		case c == '%' || c >= utf8.RuneSelf:
			table[c] = encoded
		}
	}
	return table
}()

// currentBehaviour is that of the newest Werkzeug.
var currentBehaviour = behaviourOf(Options{})

// Path returns the path of a raw request target as the app sees it: without
// the query, percent-decoded once, one slash at its start, invalid UTF-8
// replaced. Equal requests have equal paths, so it serves as a key. A target
// that no server accepts is returned as it is. The path may share the target's
// memory.
func Path(target string) string {
	var r request
	r.read(target, serverWerkzeug, currentBehaviour)
	if r.bad {
		return target
	}
	if !r.decode && len(r.path) > 0 && r.path[0] == '/' && !strings.HasPrefix(r.path, "//") {
		return r.path
	}
	path := string(appendPath(make([]byte, 0, len(r.path)+1), r.path))
	return "/" + strings.TrimLeft(path, "/")
}

// appendPath appends the decoded form of the path of a target. The servers see
// bytes beyond ASCII as Latin-1, and Werkzeug reads the result as UTF-8.
func appendPath(dst []byte, raw string) []byte {
	start := len(dst)
	invalid := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%' && i+2 < len(raw) && isHex(raw[i+1]) && isHex(raw[i+2]):
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			invalid = invalid || c >= utf8.RuneSelf
			dst = append(dst, c)
			i += 2
		case c >= utf8.RuneSelf:
			dst = utf8.AppendRune(dst, rune(c))
		default:
			dst = append(dst, c)
		}
	}
	if invalid && !utf8.Valid(dst[start:]) {
		return append(dst[:start], replaceInvalid(dst[start:])...)
	}
	return dst
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// replaceInvalid replaces each maximal invalid subpart by U+FFFD, as Python's
// "replace" does (Unicode 15, section 3.9, "U+FFFD substitution of maximal
// subparts"). Go would replace byte by byte.
func replaceInvalid(in []byte) []byte {
	out := make([]byte, 0, len(in)+8)
	for len(in) > 0 {
		r, size := utf8.DecodeRune(in)
		if r == utf8.RuneError && size <= 1 {
			size = invalidLength(in)
		}
		out = utf8.AppendRune(out, r)
		in = in[size:]
	}
	return out
}

// sequences are the well-formed beginnings of UTF-8 (Unicode 15, table 3-7): the
// lead bytes, how many bytes follow, and what the first of them may be.
var sequences = [...]struct {
	from, to  byte
	need      int
	low, high byte
}{
	{0xc2, 0xdf, 1, 0x80, 0xbf},
	{0xe0, 0xe0, 2, 0xa0, 0xbf},
	{0xe1, 0xec, 2, 0x80, 0xbf},
	{0xed, 0xed, 2, 0x80, 0x9f},
	{0xee, 0xef, 2, 0x80, 0xbf},
	{0xf0, 0xf0, 3, 0x90, 0xbf},
	{0xf1, 0xf3, 3, 0x80, 0xbf},
	{0xf4, 0xf4, 3, 0x80, 0x8f},
}

// invalidLength returns the length of the maximal invalid subpart that in
// begins with.
func invalidLength(in []byte) int {
	for _, s := range sequences {
		if in[0] < s.from || in[0] > s.to {
			continue
		}
		n := 1
		for low, high := s.low, s.high; n <= s.need && n < len(in) && in[n] >= low && in[n] <= high; n++ {
			low, high = 0x80, 0xbf
		}
		return n
	}
	return 1
}

// latin1 returns bytes as Python's str would hold them: each byte a character.
func latin1(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			out := make([]byte, 0, len(s)+8)
			for j := range len(s) {
				out = utf8.AppendRune(out, rune(s[j]))
			}
			return string(out)
		}
	}
	return s
}
