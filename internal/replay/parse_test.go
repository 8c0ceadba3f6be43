package replay

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func noInterfaces() ([]net.Addr, error) { return nil, nil }

// Lines as the programs themselves write them.
const (
	combinedLine = `83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /presentations/a.png HTTP/1.1" 200 203023 "http://semicomplete.com/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)"`
	nginxLine    = `{"time_iso8601":"2015-05-17T10:05:03+00:00","remote_addr":"192.0.2.1","request_method":"GET","request_uri":"/a?b=1","status":"404","http_referer":"","http_user_agent":"curl/8","host":"example.org"}`
	caddyLine    = `{"level":"info","ts":1431857103.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1","remote_port":"41342","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"example.org","uri":"/a?b=1","headers":{"User-Agent":["curl/7.82.0"],"Accept":["*/*"],"Accept-Encoding":["gzip, deflate, br"]},"tls":{"resumed":false,"version":772,"cipher_suite":4865,"proto":"h2","server_name":"example.org"}},"bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":404,"resp_headers":{"Server":["Caddy"],"Content-Type":["text/html"]}}`
)

var at = time.Date(2015, time.May, 17, 10, 5, 3, 0, time.UTC)

// want is what a test expects of a line: what is not said is zero.
type want struct {
	format                               format
	addr, method, target, host, fwd, who string
	status                               int
	soft                                 bool
	time                                 time.Time // at where zero
}

func TestLines(t *testing.T) {
	get404 := want{format: combined, addr: "192.0.2.1", method: "GET", target: "/a", status: 404}
	tests := []struct {
		name, line string
		want       want
	}{
		{"combined", `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "curl"`, get404.by("curl")},
		{"gunicorn", `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 207 "-" "curl/7.88.1"`, get404.by("curl/7.88.1")},
		{"zone", `192.0.2.1 - - [17/May/2015:12:05:03 +0200] "GET /a HTTP/1.1" 404 5 "-" "curl"`, get404.by("curl")},
		{"zone west", `192.0.2.1 - - [17/May/2015:04:35:03 -0530] "GET /a HTTP/1.1" 404 5 "-" "curl"`, get404.by("curl")},
		{"referer", `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "http://x/" "curl"`, get404.by("curl").softly()},
		{"forwarded", `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "curl" "198.51.100.7"`,
			want{combined, "192.0.2.1", "GET", "/a", "", "198.51.100.7", "curl", 404, false, at}},
		{"common", `192.0.2.1 - frank [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 -`, get404.as(common)},
		{"virtual host", `example.org:80 192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`,
			want{format: common, addr: "192.0.2.1", method: "GET", target: "/a", host: "example.org", status: 404}},
		{"syslog", `May 17 10:05:03 web1 nginx: 192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`, get404.as(common)},
		{"syslog of an address", `May 17 10:05:03 10.0.0.5 nginx: 192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`, get404.as(common)},
		{"forwarded list first", `203.0.113.9, 192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`, get404.as(common)},
		{"IPv6", `2001:db8::1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`,
			want{format: common, addr: "2001:db8::1", method: "GET", target: "/a", status: 404}},
		{"Unix socket", `- - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "curl"`,
			want{format: combined, method: "GET", target: "/a", status: 404, who: "curl"}},
		{"Unix socket, gunicorn", ` - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`, want{format: common, method: "GET", target: "/a", status: 404}},
		{"cut off in a field", `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "cur`, get404.by("cur")},
		{"nginx JSON", nginxLine, want{nginxJSON, "192.0.2.1", "GET", "/a?b=1", "example.org", "", "curl/8", 404, false, at}},
		{"nginx JSON, request line", `{"msec":1431857103.500,"remote_addr":"192.0.2.1","request":"GET /a HTTP/1.1","status":404,"http_referer":"-"}`,
			get404.as(nginxJSON).when(at.Add(500 * time.Millisecond))},
		{"nginx JSON, default escapes", `{"time_local":"17/May/2015:10:05:03 +0000","remote_addr":"192.0.2.1","request":"GET /\x22 HTTP/1.1","status":"404"}`,
			want{format: nginxJSON, addr: "192.0.2.1", method: "GET", target: `/"`, status: 404}},
		{"Caddy", caddyLine, want{caddyJSON, "192.0.2.7", "GET", "/a?b=1", "example.org", "", "curl/7.82.0", 404, false, at.Add(500 * time.Millisecond)}},
		{"Caddy, a fetch", strings.Replace(caddyLine, `"Accept":["*/*"]`, `"Sec-Fetch-Dest":["image"]`, 1),
			want{caddyJSON, "192.0.2.7", "GET", "/a?b=1", "example.org", "", "curl/7.82.0", 404, true, at.Add(500 * time.Millisecond)}},
		{"Caddy, navigation", strings.Replace(caddyLine, `"Accept":["*/*"]`, `"Sec-Fetch-Dest":["document"],"Sec-Fetch-Site":["none"],"Origin":["null"]`, 1),
			want{caddyJSON, "192.0.2.7", "GET", "/a?b=1", "example.org", "", "curl/7.82.0", 404, true, at.Add(500 * time.Millisecond)}},
		{"Caddy before 2.5", `{"ts":"2015/05/17 10:05:03.000","request":{"remote_addr":"192.0.2.1:4711","method":"GET","uri":"/a","headers":{}},"status":404}`,
			get404.as(caddyJSON).when(time.Date(2015, 5, 17, 10, 5, 3, 0, time.Local))},
		{"ISO in brackets", `192.0.2.1 - - [2015-05-17T10:05:03+00:00] "GET /a HTTP/1.1" 404 5`, get404.as(common)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.want.check(t, tt.line) })
	}
}

func (w want) by(agent string) want     { w.who = agent; return w }
func (w want) as(f format) want         { w.format = f; return w }
func (w want) softly() want             { w.soft = true; return w }
func (w want) when(when time.Time) want { w.time = when; return w }
func (w want) asks(target string) want  { w.target = target; return w }
func (w want) check(t *testing.T, line string) {
	t.Helper()
	var r record
	f, err := parse(line, &r)
	if err != nil {
		t.Fatal(err)
	}
	got := want{f, "", r.method, r.target, r.host, r.forwarded, r.agent, r.status, r.soft, time.Unix(0, r.time).UTC()}
	if r.addr.IsValid() {
		got.addr = r.addr.String()
	}
	if w.time.IsZero() {
		w.time = at
	}
	w.time = w.time.UTC()
	if got != w {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}
}

func TestWerkzeugLines(t *testing.T) {
	local := time.Date(2015, time.May, 17, 10, 5, 3, 0, time.Local)
	plain := want{format: werkzeug, addr: "192.0.2.1", method: "GET", target: "/a", status: 404, time: local}
	for name, tt := range map[string]struct {
		line string
		want want
	}{
		"plain":    {`192.0.2.1 - - [17/May/2015 10:05:03] "GET /a HTTP/1.1" 404 -`, plain},
		"coloured": {"192.0.2.1 - - [17/May/2015 10:05:03] \"\x1b[33mGET /a HTTP/1.1\x1b[0m\" 404 -", plain},
		"bold":     {"192.0.2.1 - - [17/May/2015 10:05:03] \"\x1b[31m\x1b[1mGET /a HTTP/1.1\x1b[0m\" 404 -", plain},
		"logging":  {`INFO:werkzeug:192.0.2.1 - - [17/May/2015 10:05:03] "GET /a HTTP/1.1" 404 -`, plain},
		"a status and a quote in the target": {
			`192.0.2.1 - - [17/May/2015 10:05:03] "GET /a" 200 - HTTP/1.1" 404 -`, plain.asks(`/a" 200 -`)},
		"control bytes": {`192.0.2.1 - - [17/May/2015 10:05:03] "GET /\x1b[2J HTTP/1.1" 404 -`, plain.asks("/\x1b[2J")},
	} {
		t.Run(name, func(t *testing.T) { tt.want.check(t, tt.line) })
	}
}

// TestHostileLines holds that what clients write can't change who asked, when,
// or how it was answered.
func TestHostileLines(t *testing.T) {
	base := want{format: combined, addr: "192.0.2.1", method: "GET", target: "/a", status: 404, who: "-"}
	long := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct {
		line string
		want want
	}{
		"quote, as Apache escapes it":  {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a\" 200 5 \"-\" HTTP/1.1" 404 5 "-" "-"`, base.asks(`/a" 200 5 "-"`)},
		"quote, as nginx escapes it":   {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a\x22 200 HTTP/1.1" 404 5 "-" "-"`, base.asks(`/a" 200`)},
		"quote, not escaped":           {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a"b HTTP/1.1" 404 5 "-" "-"`, base.asks(`/a"b`)},
		"backslash at the end":         {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a\\ HTTP/1.1" 404 5 "-" "-"`, base.asks(`/a\`)},
		"a user with a time":           {`192.0.2.1 - x [17/May/2099:10:05:03 +0000] [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "-"`, base},
		"a user with an address":       {`192.0.2.1 - 6.6.6.6 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "-"`, base},
		"a user with spaces":           {`192.0.2.1 - a b [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "-"`, base},
		"an agent with another line":   {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5 "-" "] \"GET / HTTP/1.1\" 200 5"`, base.by(`] \"GET / HTTP/1.1\" 200 5`)},
		"a million bytes":              {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /` + long + ` HTTP/1.1" 404 5 "-" "-"`, base.asks("/" + long)},
		"NUL":                          {"192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET /\x00 HTTP/1.1\" 404 5 \"-\" \"-\"", base.asks("/\x00")},
		"a JSON key within a string":   {strings.Replace(nginxLine, `curl/8`, `\",\"status\":\"200`, 1), want{nginxJSON, "192.0.2.1", "GET", "/a?b=1", "example.org", "", `","status":"200`, 404, false, at}},
		"a surrogate pair, one broken": {strings.Replace(nginxLine, `curl/8`, `\ud83d\ude00\ud83d`, 1), want{nginxJSON, "192.0.2.1", "GET", "/a?b=1", "example.org", "", "😀\ufffd", 404, false, at}},
		"a TLS handshake":              {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01" 400 5 "-" "-"`, want{format: combined, addr: "192.0.2.1", target: "\x16\x03\x01", status: 400, who: "-"}},
		"a time-out":                   {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "-" 408 0 "-" "-"`, want{format: combined, addr: "192.0.2.1", target: "-", status: 408, who: "-"}},
		"no answer":                    {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" - 0 "-" "-"`, want{format: combined, addr: "192.0.2.1", method: "GET", target: "/a", who: "-"}},
		"HTTP/0.9":                     {`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a" 404 0 "-" "-"`, base},
	} {
		t.Run(name, func(t *testing.T) { tt.want.check(t, tt.line) })
	}
}

func TestNoLines(t *testing.T) {
	for line, want := range map[string]error{
		"hello":                        errShape,
		" * Running on http://0.0.0.0": errShape,
		`] "`:                          errShape,
		`[] "`:                         errShape,
		`host.example - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`: errAddress,
		`192.0.2.1 - - [31/Foo/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`:    errTime,
		`192.0.2.1 - - [17/May/9999:10:05:03 +0000] "GET /a HTTP/1.1" 404 5`:    errTime,
		`192.0.2.1 - - [17/May/2015:25:05:03 +0000] "GET /a HTTP/1.1" 404 5`:    errTime,
		`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" four 5`:   errStatus,
		`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1`:           errStatus,
		`{"a":1`: errJSON,
		`{`:      errJSON,
		`{"a"}`:  errJSON,
		`{}`:     errTime,
		`{"ts":1,"remote_ip":"example.org","status":200}`: errAddress,
		`{"ts":1,"remote_ip":"192.0.2.1"}`:                errStatus,
		`{"ts":1e999,"remote_ip":"192.0.2.1"}`:            errTime,
		`{"ts":null,"remote_ip":"192.0.2.1"}`:             errTime,
	} {
		var r record
		if _, err := parse(line, &r); err != want {
			t.Errorf("%s: got %v, want %v", line, err, want)
		}
	}
}

// TestParseAllocates holds that a usual line costs no memory of its own.
func TestParseAllocates(t *testing.T) {
	var r record
	for name, line := range map[string]string{"combined": combinedLine, "nginx": nginxLine} {
		got := testing.AllocsPerRun(100, func() {
			if _, err := parse(line, &r); err != nil {
				t.Fatal(err)
			}
		})
		if name == "combined" && got > 0 || got > 3 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func TestStampAgreesWithTime(t *testing.T) {
	for day := time.Date(1970, 1, 1, 23, 59, 59, 0, time.UTC); day.Year() <= lastYear; day = day.Add(31 * time.Hour) {
		got, err := stamp(day.Format("02/Jan/2006:15:04:05 -0700"))
		if err != nil || got != day.UnixNano() {
			t.Fatalf("%v: got %v, %v", day, time.Unix(0, got).UTC(), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{
		combinedLine, nginxLine, caddyLine, "{", `{"a":[{"b":"\u12`, "x",
		`192.0.2.1 - - [17/May/2015 10:05:03] "GET /a" 200 - HTTP/1.1" 404 -`,
		`example.org:80 192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /\x22\" HTTP/1.1" 404 5 "a"b" "c`,
		"192.0.2.1 - - [17/May/2015 10:05:03] \"\x1b[33mGET /a HTTP/1.1\x1b[0m\" 404 -",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if line == "" {
			return
		}
		var r record
		kind, err := parse(line, &r)
		if err != nil {
			return
		}
		year := time.Unix(0, r.time).UTC().Year()
		if kind == unknownFormat || kind >= formats || r.status < 0 || r.status > 999 || year < firstYear-1 || year > lastYear+1 {
			t.Errorf("%q: %v %+v", line, kind, r)
		}
		if r.method != "" && !isMethod(r.method) || r.addr == (netip.Addr{}) && kind >= nginxJSON {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
