package clientip

import (
	"net/http"
	"strings"
)

// schemes are the values of X-Forwarded-Proto and of proto= that proxies write,
// and what each means here.
var schemes = map[string]string{"http": "http", "https": "https", "ws": "http", "wss": "https"}

// scheme is what the client used by the word of its first trusted proxy; empty
// where no header says so.
func (t *trace) scheme(h http.Header) string {
	value := t.said(h, "proto", "X-Forwarded-Proto")
	return schemes[strings.ToLower(value)]
}

// host is the Host that the client asked for; empty where no header has one, or
// one that can't be a host.
func (t *trace) host(h http.Header) string {
	value := t.said(h, "host", "X-Forwarded-Host")
	if !validHost(value) {
		return ""
	}
	return value
}

// said reads a parameter of RFC 7239's header where that is the one believed,
// else the customary header: a proxy that writes the one kind may pass on the
// client's own of the other.
func (t *trace) said(h http.Header, name, header string) string {
	if !t.forwarded {
		return t.parallel(h[header])
	}
	value, _ := parameter(t.element, name)
	return value
}

// parallel picks the value that the client's own proxy wrote from a list with
// one value for each proxy, as X-Forwarded-Proto is where proxies append: as
// many from the right as proxies lie between, or the leftmost where the list is
// shorter, because a proxy replaced it.
func (t *trace) parallel(lines []string) string {
	l := list{lines: lines}
	value := ""
	for range max(1, t.n-1) {
		element, ok := l.last()
		if !ok {
			break
		}
		value = element
	}
	return value
}

// parameter reads one name=value of an RFC 7239 element; names are
// case-insensitive, values may be quoted.
func parameter(element, name string) (string, bool) {
	for element != "" {
		var pair string
		pair, element = cutUnquoted(element)
		key, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if ok && strings.EqualFold(key, name) {
			return unquote(value)
		}
	}
	return "", false
}

// cutUnquoted cuts s around its first semicolon outside of quotes.
func cutUnquoted(s string) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote takes a token or a quoted string without escapes: no address and no
// host needs one.
func unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, s != "" && !strings.Contains(s, `"`)
	}
	if len(s) < 2 || !strings.HasSuffix(s, `"`) {
		return "", false
	}
	s = s[1 : len(s)-1]
	return s, !strings.ContainsAny(s, `"\`)
}

// maxHost is a DNS name's length with a port.
const maxHost = 255 + len(":65535")

// validHost takes the characters of a registered name, an address and a port
// (RFC 3986, section 3.2.2): nothing that could break a header, a log line or a
// link that the app builds from it.
func validHost(s string) bool {
	if s == "" || len(s) > maxHost {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && strings.IndexByte("-._~:[]", c) < 0 {
			return false
		}
	}
	return true
}
