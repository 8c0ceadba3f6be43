package replay

import "strings"

// plainEscapes are the letters after a backslash that stand for a control.
var plainEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'v': '\v', 'f': '\f'}

// unescape undoes what nginx (\xHH), Apache (also \" \\ \n) and Python (\xhh)
// write for bytes that could break a line. What is no escape stays as it is.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			i++
			continue
		}
		c, n := escape(s[i:])
		b = append(b, c)
		i += n
	}
	return string(b)
}

// escape reads one escape of two bytes or more and says how long it is.
func escape(s string) (byte, int) {
	switch {
	case s[1] == '"' || s[1] == '\\':
		return s[1], 2
	case s[1] == 'x' && len(s) >= 4 && hexDigit(s[2]) >= 0 && hexDigit(s[3]) >= 0:
		return byte(hexDigit(s[2])<<4 | hexDigit(s[3])), 4
	}
	if c, ok := plainEscapes[s[1]]; ok {
		return c, 2
	}
	return '\\', 1
}

// hexDigit is the value of a digit, -1 for other bytes.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
