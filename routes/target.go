package routes

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// server says who parses the request line.
type server uint8

const (
	serverWerkzeug server = iota
	serverGunicorn
)

func serverOf(o Options) server {
	if strings.EqualFold(o.Server, "gunicorn") {
		return serverGunicorn
	}
	return serverWerkzeug
}

const (
	// gunicornLine is gunicorn's default limit_request_line, in bytes.
	gunicornLine = 4094
	// pythonLine is the limit of http.server, in bytes with the line's end.
	pythonLine = 65536
	// lineRest is what a request line has besides method and target.
	lineRest = len("  HTTP/1.1")
)

// request is a request target taken apart as the app's server does it.
type request struct {
	// path is still percent-encoded.
	path, query string
	// authority is set where the target itself names the host.
	authority string
	// decode says that path has something to decode.
	decode bool
	// bad says that the server refuses the request.
	bad bool
}

// read takes a raw target apart into r, which must be zero. The loop is for the
// common case, an origin-form target; it takes no more than a nanosecond a byte.
func (r *request) read(target string, s server, b behaviour) {
	if len(target) == 0 || target[0] != '/' || len(target) > 1 && target[1] == '/' {
		*r = readOddTarget(target, s, b)
		return
	}
	end := len(target)
	for i := 0; i < len(target); i++ {
		switch byteClasses[target[i]] {
		case plain:
		case space:
			*r = readOddTarget(target, s, b)
			return
		case ends:
			end = min(end, i)
		case encoded:
			r.decode = r.decode || end == len(target)
		}
	}
	r.path = target[:end]
	if end < len(target) {
		r.query = queryOf(target[end:])
	}
}

// queryOf returns the query of what follows the path.
func queryOf(rest string) string {
	if rest == "" || rest[0] != '?' {
		return ""
	}
	query, _, _ := strings.Cut(rest[1:], "#")
	return query
}

// readOddTarget handles every other target: absolute-form, doubled slashes at
// the start, white space, nothing at all.
func readOddTarget(target string, s server, b behaviour) request {
	if s == serverGunicorn {
		return readGunicorn(target)
	}
	words := strings.FieldsFunc(latin1(target), func(r rune) bool {
		return r < 256 && byteClasses[byte(r)] == space
	})
	switch {
	case len(words) > 1:
		return request{bad: true}
	case len(words) == 0:
		// "GET  HTTP/1.1" is a HTTP/0.9 request for "HTTP/1.1".
		return request{path: "HTTP/1.1", decode: true}
	}
	// http.server (gh-87389) reduces leading slashes to one.
	target = unlatin1(words[0])
	if strings.HasPrefix(target, "//") {
		target = "/" + strings.TrimLeft(target, "/")
	}
	return splitURL(target, !b.urllib)
}

// unlatin1 undoes latin1.
func unlatin1(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		out = append(out, byte(r))
	}
	return string(out)
}

// readGunicorn is gunicorn.util.split_request_uri.
func readGunicorn(target string) request {
	if strings.Contains(target, " ") {
		return request{bad: true}
	}
	if strings.HasPrefix(target, "//") {
		r := splitURL("."+target, false)
		r.path = strings.TrimPrefix(r.path, ".")
		r.authority = ""
		return r
	}
	r := splitURL(target, false)
	// gunicorn takes the host from the Host field alone.
	r.authority = ""
	return r
}

// splitURL is urllib.parse.urlsplit, or before Werkzeug 2.3 its url_parse.
func splitURL(url string, legacy bool) request {
	if !legacy {
		// urlsplit drops these since Python 3.9.5 and 3.11.4.
		url = strings.TrimLeft(unsafeBytes.Replace(url), controlsAndSpace)
	}
	scheme, rest := cutScheme(url, legacy)
	var r request
	if strings.HasPrefix(rest, "//") {
		end := len(rest)
		if i := strings.IndexAny(rest[2:], "/?#"); i >= 0 {
			end = i + 2
		}
		r.authority, rest = rest[2:end], rest[end:]
		if badAuthority(r.authority, legacy) {
			return request{bad: true}
		}
	}
	rest, _, _ = strings.Cut(rest, "#")
	r.path, r.query, _ = strings.Cut(rest, "?")
	r.decode = true
	if scheme == "" && r.authority != "" {
		r.path, r.authority = "/"+r.authority+r.path, ""
	}
	return r
}

const controlsAndSpace = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f "

var unsafeBytes = strings.NewReplacer("\t", "", "\r", "", "\n", "")

// cutScheme returns a URL's scheme and what follows it.
func cutScheme(url string, legacy bool) (scheme, rest string) {
	scheme, rest, found := strings.Cut(url, ":")
	if !found || scheme == "" {
		return "", url
	}
	for i := range len(scheme) {
		if !isSchemeByte(scheme[i], legacy) {
			return "", url
		}
	}
	// url_parse takes digits behind the colon for a port, urlsplit wants a
	// letter first.
	if legacy && rest != "" && strings.Trim(rest, "0123456789") == "" || !legacy && !isLetter(scheme[0]) {
		return "", url
	}
	return scheme, rest
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isSchemeByte knows that url_parse's class [+-.] is a range that holds a comma.
func isSchemeByte(c byte, legacy bool) bool {
	return isLetterOrDigit(c) || c == '+' || c == '-' || c == '.' || legacy && c == ','
}

func badAuthority(authority string, legacy bool) bool {
	if strings.Contains(authority, "[") != strings.Contains(authority, "]") {
		return true
	}
	if legacy {
		return false
	}
	return badBrackets(authority) || expandsToDelimiter(authority)
}

// badBrackets is urllib.parse._check_bracketed_netloc of Python 3.11.4 and
// later, without the check that the address is one.
func badBrackets(authority string) bool {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	before, bracketed, found := strings.Cut(authority, "[")
	if !found {
		return false
	}
	_, port, _ := strings.Cut(bracketed, "]")
	return before != "" || port != "" && port[0] != ':'
}

// expandsToDelimiter is urllib.parse._checknetloc.
func expandsToDelimiter(authority string) bool {
	text := latin1(authority)
	if len(text) == len(authority) {
		return false
	}
	text = strings.NewReplacer("@", "", ":", "", "#", "", "?", "").Replace(text)
	normal := norm.NFKC.String(text)
	return normal != text && strings.ContainsAny(normal, "/?#@:")
}

// lineTooLong says whether the server refuses the request line for its length.
func lineTooLong(s server, method, target string) bool {
	n := len(method) + len(target) + lineRest
	if s == serverGunicorn {
		return n > gunicornLine
	}
	return n+2 > pythonLine
}
