package replay

import (
	"errors"
	"net/netip"
	"strings"
)

// The errors of lines in the family of the common log format.
var (
	errShape   = errors.New("no access log line")
	errAddress = errors.New("no client address (log addresses, not host names)")
	errStatus  = errors.New("no status")
)

// parseCommon reads the common log format and those that extend it:
//
//	ADDR - USER [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "REFERER" "AGENT" "X-FORWARDED-FOR"
//
// Whatever stands before ADDR (a virtual host, syslog's words) is passed over.
// USER is the client's own word, so the brackets that count are the last
// before the request; a quote in it is escaped by every server that writes one.
func parseCommon(line string, r *record) (format, error) {
	end := strings.Index(line, `] "`)
	if end < 0 {
		return unknownFormat, errShape
	}
	begin := strings.LastIndexByte(line[:end], '[')
	if begin < 1 {
		return unknownFormat, errShape
	}
	var err error
	if r.time, err = stamp(line[begin+1 : end]); err != nil {
		return unknownFormat, err
	}
	if err = readHead(line[:begin], r); err != nil {
		return unknownFormat, err
	}
	f := combined
	rest := line[end+len(`] "`):]
	if end-begin-1 == len("17/May/2015 10:05:03") {
		f = werkzeug
	}
	request, rest, err := cutRequest(rest, f, r)
	if err != nil {
		return unknownFormat, err
	}
	splitRequest(unescape(request), r)
	return readTail(rest, f, r), nil
}

// readHead finds the address before the time: the first word, or the first one
// that a dash follows.
func readHead(head string, r *record) error {
	word, rest, _ := strings.Cut(head, " ")
	if addr, ok := address(word); ok {
		r.addr = addr
		return nil
	}
	host := word
	for rest != "" {
		word, rest, _ = strings.Cut(rest, " ")
		if !strings.HasPrefix(rest, "- ") {
			continue
		}
		if addr, ok := address(word); ok {
			r.addr, r.host = addr, virtualHost(host)
			return nil
		}
	}
	if head == "- - - " || head == " - - " {
		return nil // a Unix socket's peer has none
	}
	return errAddress
}

// virtualHost is Apache's %v:%p before the address, empty where the first word
// is something else.
func virtualHost(word string) string {
	if name, port, ok := strings.Cut(word, ":"); ok && digits(port) > 0 {
		return name
	}
	return ""
}

// address reads an IP address, with what Python's logging writes before it.
func address(word string) (netip.Addr, bool) {
	word = strings.TrimPrefix(word, "INFO:werkzeug:")
	if len(word) < 2 || len(word) > 64 || strings.IndexByte("0123456789abcdefABCDEF:", word[0]) < 0 || !strings.ContainsAny(word, ".:") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(word)
	return addr, err == nil
}

// cutRequest finds the quote that ends the request: the first with a status
// after it. Werkzeug escapes no quotes, and writes nothing that a client says
// after the request: there the last one counts.
func cutRequest(s string, f format, r *record) (request, rest string, err error) {
	at := -1
	for i := 0; i < len(s); i++ {
		next := strings.IndexByte(s[i:], '"')
		if next < 0 {
			break
		}
		i += next
		if status, ok := statusAfter(s[i+1:]); ok && !escaped(s, i) {
			at, r.status = i, status
			if f != werkzeug {
				break
			}
		}
	}
	if at < 0 {
		return "", "", errStatus
	}
	return s[:at], s[at+1:], nil
}

// escaped says whether an odd number of backslashes stands before s[i].
func escaped(s string, i int) bool {
	n := 0
	for i--; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// statusAfter reads " 404 " or " 404" at the end; a dash is 0.
func statusAfter(s string) (int, bool) {
	if strings.HasPrefix(s, " - ") {
		return 0, true
	}
	if len(s) < 4 || s[0] != ' ' || len(s) > 4 && s[4] != ' ' {
		return 0, false
	}
	status := digits(s[1:4])
	return status, status >= 0
}

// splitRequest takes a request line apart. One that is none leaves the method
// empty: a TLS handshake on a plain port, nginx's "-" for a time-out.
func splitRequest(s string, r *record) {
	s = stripColour(s)
	method, rest, ok := strings.Cut(s, " ")
	if !ok || !isMethod(method) {
		r.target = s
		return
	}
	if i := strings.LastIndex(rest, " HTTP/"); i >= 0 {
		rest = rest[:i]
	}
	r.method, r.target = method, rest
}

// isMethod says whether s is a token of letters, as all methods are.
func isMethod(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// stripColour takes off the colours that Werkzeug writes on a terminal.
func stripColour(s string) string {
	for strings.HasPrefix(s, "\x1b[") {
		_, after, ok := strings.Cut(s, "m")
		if !ok {
			return s
		}
		s = after
	}
	return strings.TrimSuffix(s, "\x1b[0m")
}

// readTail reads what stands after the request: status, size and the quoted
// fields.
func readTail(s string, f format, r *record) format {
	referer, s, ok := cutQuoted(s)
	if !ok {
		if f == combined {
			return common
		}
		return f
	}
	r.soft = !noReferer(referer)
	r.agent, s, _ = cutQuoted(s)
	r.forwarded, _, _ = cutQuoted(s)
	return f
}

// cutQuoted returns the next quoted field. Its end is a quote that a space or
// nothing follows: some loggers escape none.
func cutQuoted(s string) (field, rest string, ok bool) {
	begin := strings.IndexByte(s, '"')
	if begin < 0 {
		return "", "", false
	}
	s = s[begin+1:]
	for i := 0; i < len(s); i++ {
		next := strings.IndexByte(s[i:], '"')
		if next < 0 {
			break
		}
		i += next
		if (i+1 == len(s) || s[i+1] == ' ') && !escaped(s, i) {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", true // cut off
}
