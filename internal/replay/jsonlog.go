package replay

import (
	"net"

	"github.com/flask2ban/flask2ban/proxy"
)

// jsonLine is what a line in JSON said of a request.
type jsonLine struct {
	time, addr, client, request, method, target, uri, status string
	host, referer, agent, forwarded                          string
	soft                                                     bool
}

// jsonFields says where the values of keys go. nginx has no fixed names
// (log_format escape=json is the operator's), so the usual ones are here;
// Caddy's are those of its documentation.
var jsonFields = map[string]func(*jsonLine, string){
	"ts": setTime, "time": setTime, "time_local": setTime, "time_iso8601": setTime, "msec": setTime,
	"timestamp": setTime, "@timestamp": setTime,
	"remote_addr": setAddr, "remote_ip": setAddr, "remote_address": setAddr,
	"client_ip": func(l *jsonLine, s string) { l.client = s },
	"client":    func(l *jsonLine, s string) { l.client = s }, "ip": func(l *jsonLine, s string) { l.client = s },
	"request":        func(l *jsonLine, s string) { l.request = s },
	"request_method": setMethod, "method": setMethod,
	"request_uri": func(l *jsonLine, s string) { l.target = s },
	"uri":         setURI, "url": setURI, "path": setURI,
	"status": func(l *jsonLine, s string) { l.status = s },
	"host":   setHost, "http_host": setHost, "server_name": setHost,
	"http_referer": setReferer, "http_referrer": setReferer, "referer": setReferer, "referrer": setReferer,
	"http_user_agent": setAgent, "user_agent": setAgent, "agent": setAgent,
	"http_x_forwarded_for": func(l *jsonLine, s string) { l.forwarded = s },
	"x_forwarded_for":      func(l *jsonLine, s string) { l.forwarded = s },
}

func setTime(l *jsonLine, s string) {
	if l.time == "" {
		l.time = s
	}
}
func setAddr(l *jsonLine, s string)    { l.addr = s }
func setMethod(l *jsonLine, s string)  { l.method = s }
func setURI(l *jsonLine, s string)     { l.uri = s }
func setReferer(l *jsonLine, s string) { l.referer = s }
func setAgent(l *jsonLine, s string)   { l.agent = s }
func setHost(l *jsonLine, s string) {
	if l.host == "" {
		l.host = s
	}
}

// jsonHeaders are the request's headers that matter, as Caddy names them: who
// asks, and what marks evidence as soft.
var jsonHeaders = withMarks(map[string]func(*jsonLine, string){
	"User-Agent":      setAgent,
	"X-Forwarded-For": func(l *jsonLine, s string) { l.forwarded = s },
	"Accept":          func(l *jsonLine, s string) { l.mark(proxy.AcceptsSubresource(s)) },
})

// withMarks adds those that are marks by being there.
func withMarks(headers map[string]func(*jsonLine, string)) map[string]func(*jsonLine, string) {
	for _, name := range proxy.MarkHeaders() {
		headers[name] = func(l *jsonLine, s string) { l.mark(!noReferer(s)) }
	}
	return headers
}

func (l *jsonLine) mark(soft bool) { l.soft = l.soft || soft }

// parseJSON reads a line of nginx with escape=json, or of Caddy, whose requests
// are objects within it.
func parseJSON(line string, r *record) (format, error) {
	j := jsonReader{s: line}
	var l jsonLine
	f := nginxJSON
	for key, ok := begin(&j); ok; key, ok = j.key() {
		if key == "request" && j.peek() == '{' {
			f = caddyJSON
			readObject(&j, &l, jsonFields)
			continue
		}
		setField(&j, &l, jsonFields[key])
	}
	if j.bad {
		return unknownFormat, errJSON
	}
	if err := l.record(r); err != nil {
		return unknownFormat, err
	}
	return f, nil
}

// begin takes an object's brace and returns its first key.
func begin(j *jsonReader) (string, bool) {
	if !j.take('{') {
		j.fail()
		return "", false
	}
	return j.key()
}

func readObject(j *jsonReader, l *jsonLine, fields map[string]func(*jsonLine, string)) {
	for key, ok := begin(j); ok; key, ok = j.key() {
		if key == "headers" && j.peek() == '{' {
			readObject(j, l, jsonHeaders)
			continue
		}
		setField(j, l, fields[key])
	}
}

func setField(j *jsonReader, l *jsonLine, set func(*jsonLine, string)) {
	switch value := j.text(); {
	case j.bad, set == nil, value == "null":
	default:
		set(l, value)
	}
}

// record makes the record of what the line said.
func (l *jsonLine) record(r *record) error {
	var err error
	if r.time, err = stamp(l.time); err != nil {
		return err
	}
	addr := l.client
	if addr == "" {
		addr = l.addr
	}
	var ok bool
	if r.addr, ok = address(addr); !ok {
		host, _, err := net.SplitHostPort(addr)
		if r.addr, ok = address(host); err != nil || !ok {
			return errAddress
		}
	}
	if r.status = digits(l.status); len(l.status) != 3 || r.status < 0 {
		if r.status = 0; l.status == "" {
			return errStatus
		}
	}
	l.setRequest(r)
	r.host, r.agent, r.forwarded = l.host, l.agent, l.forwarded
	r.soft = l.soft || !noReferer(l.referer)
	return nil
}

// setRequest prefers the raw target to what a server made of it.
func (l *jsonLine) setRequest(r *record) {
	if l.request != "" {
		splitRequest(l.request, r)
	}
	if l.target != "" {
		r.target = l.target
	} else if l.uri != "" && r.target == "" {
		r.target = l.uri
	}
	if l.method != "" && isMethod(l.method) {
		r.method = l.method
	}
}
