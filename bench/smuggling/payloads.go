package main

import "strings"

// payload is one way to make two parsers disagree.
type payload struct {
	name string
	raw  string // as it goes over the wire, over HTTP/1
	// requests is how many requests RFC 9112 lets one see in it at most; more
	// at the app is smuggling.
	requests int
	// h2 is sent over HTTP/2 instead, frame by frame.
	h2 []field
	// broken says that its body turns out wrong only after its header was
	// taken: how much of it came to the app, if anything, is a matter of time.
	broken bool
}

// field is a header field of an HTTP/2 request, unchecked.
type field struct{ name, value string }

// smuggled is what must never arrive as a request of its own.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n"

// post is the beginning of a POST with these header lines.
func post(lines ...string) string {
	return "POST /echo HTTP/1.1\r\nHost: app\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func get(lines ...string) string {
	head := "GET /echo HTTP/1.1\r\nHost: app\r\n"
	if len(lines) > 0 {
		head += strings.Join(lines, "\r\n") + "\r\n"
	}
	return head + "\r\n"
}

const chunked = "Transfer-Encoding: chunked"

var payloads = []payload{
	{"plain body", post("Content-Length: 5") + "hello", 1, nil, false},
	{"chunked body", post(chunked) + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"pipelined, both meant", get() + get(), 2, nil, false},
	{"CL.TE: length ends inside the chunks", post("Content-Length: 4", chunked) + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"CL.TE: a request after the last chunk, inside the length", post("Content-Length: "+itoa(5+len(smuggled)), chunked) + "0\r\n\r\n" + smuggled, 1, nil, false},
	{"TE.CL: a request inside a chunk, after the length", post("Content-Length: 4", chunked) + hex(len(smuggled)) + "\r\n" + smuggled + "\r\n0\r\n\r\n", 1, nil, false},
	{"TE xchunked", post("Content-Length: 5", "Transfer-Encoding: xchunked") + "hello", 1, nil, false},
	{"TE identity", post("Content-Length: 5", "Transfer-Encoding: identity") + "hello", 1, nil, false},
	{"TE chunked, identity", post("Transfer-Encoding: chunked, identity") + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"TE gzip, chunked", post("Transfer-Encoding: gzip, chunked") + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"TE twice", post(chunked, "Transfer-Encoding: x") + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"TE CHUNKED in capitals", post("Transfer-Encoding: CHUNKED") + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"TE with a vertical tab", post("Content-Length: 5", "Transfer-Encoding: \x0bchunked") + "hello", 1, nil, false},
	{"TE, blank before the colon", post("Content-Length: 5", "Transfer-Encoding : chunked") + "hello", 1, nil, false},
	{"TE with an underscore", post("Content-Length: 5", "Transfer_Encoding: chunked") + "hello", 1, nil, false},
	{"TE folded", post("Transfer-Encoding:\r\n chunked") + "5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"TE over HTTP/1.0", "POST /echo HTTP/1.0\r\nHost: app\r\n" + chunked + "\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"two CLs, the same", post("Content-Length: 5", "Content-Length: 5") + "hello", 1, nil, false},
	{"two CLs, different", post("Content-Length: 5", "Content-Length: "+itoa(5+len(smuggled))) + "hello" + smuggled, 1, nil, false},
	{"CL list, the same", post("Content-Length: 5, 5") + "hello", 1, nil, false},
	{"CL with a plus", post("Content-Length: +5") + "hello", 1, nil, false},
	{"CL with leading zeros", post("Content-Length: 005") + "hello", 1, nil, false},
	{"CL in hexadecimal", post("Content-Length: 0x5") + "hello", 1, nil, false},
	{"CL negative", post("Content-Length: -1") + "hello", 1, nil, false},
	{"CL beyond 64 bits", post("Content-Length: 18446744073709551621") + "hello", 1, nil, false},
	{"CL empty", post("Content-Length:") + smuggled, 1, nil, false},
	{"CL, underscore", post("Content_Length: "+itoa(len(smuggled))) + smuggled, 2, nil, false},
	{"GET with a body that is a request", get("Content-Length: "+itoa(len(smuggled))) + smuggled, 1, nil, false},
	{"obs-fold", get("X-A: 1\r\n folded: 2"), 1, nil, false},
	{"fold after the request line", "GET /echo HTTP/1.1\r\n X-A: 1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"bare LF", "GET /echo HTTP/1.1\nHost: app\n\n", 1, nil, false},
	{"bare CR in a value", get("X-A: 1\rContent-Length: 5"), 1, nil, false},
	{"NUL in a value", get("X-A: 1\x002"), 1, nil, false},
	{"NUL in a name", get("X\x00A: 1"), 1, nil, false},
	{"name with a blank", get("X A: 1"), 1, nil, false},
	{"name with an underscore", get("X_Forwarded_For: 192.0.2.1"), 1, nil, false},
	{"line without a colon", get("X-A"), 1, nil, false},
	{"chunk extension", post(chunked) + "5;a=b\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"chunk extension with a bare LF", post(chunked) + "5;a\nhello\r\n0\r\n\r\n", 1, nil, true},
	{"chunk extension, quoted CRLF", post(chunked) + "5;a=\"\r\nhello\r\n0\r\n\r\n", 1, nil, false},
	{"chunk size with 0x", post(chunked) + "0x5\r\nhello\r\n0\r\n\r\n", 1, nil, true},
	{"chunk size with a sign", post(chunked) + "+5\r\nhello\r\n0\r\n\r\n", 1, nil, true},
	{"chunk size beyond 64 bits", post(chunked) + "10000000000000005\r\nhello\r\n0\r\n\r\n", 1, nil, true},
	{"chunk ends in LF", post(chunked) + "5\nhello\n0\n\n", 1, nil, true},
	{"chunk data too long", post(chunked) + "5\r\nhelloX\r\n0\r\n\r\n", 1, nil, true},
	{"trailer that is a length", post(chunked, "Trailer: Content-Length") + "5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n", 1, nil, false},
	{"trailer", post(chunked, "Trailer: X-Sum") + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", 1, nil, false},
	{"absolute form", "GET http://app/echo HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"absolute form, another Host", "GET http://app/echo HTTP/1.1\r\nHost: other\r\n\r\n", 1, nil, false},
	{"two Hosts", "GET /echo HTTP/1.1\r\nHost: app\r\nHost: other\r\n\r\n", 1, nil, false},
	{"no Host", "GET /echo HTTP/1.1\r\n\r\n", 1, nil, false},
	{"percent that is no escape", "GET /search/100% HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"blank in the target", "GET /echo /x HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"%00", "GET /echo%00 HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"encoded CRLF in the target", "GET /echo%0d%0aX-A:1 HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"fragment in the target", "GET /echo#x HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"HTTP/1.0 keep-alive, pipelined", "GET /echo HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n" + get(), 2, nil, false},
	{"HTTP/0.9", "GET /echo\r\n", 1, nil, false},
	{"HTTP/2.0 in clear text", "GET /echo HTTP/2.0\r\nHost: app\r\n\r\n", 1, nil, false},
	{"lower-case method", "get /echo HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"Connection names a header", get("Connection: close, X-Forwarded-For"), 1, nil, false},
	{"Upgrade to h2c", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), 1, nil, false},
	{"Upgrade to WebSocket without a view for it", get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==") + smuggled, 2, nil, false},
	{"CONNECT", "CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\n\r\n", 1, nil, false},
	{"TRACE", "TRACE /echo HTTP/1.1\r\nHost: app\r\n\r\n", 1, nil, false},
	{"Expect: 100-continue, body at once", post("Content-Length: 5", "Expect: 100-continue") + "hello", 1, nil, false},
	{"Expect: something else", post("Content-Length: 5", "Expect: x") + "hello", 1, nil, false},

	{name: "HTTP/2: CRLF in a value", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"x-a", "1\r\n\r\n" + smuggled}}},
	{name: "HTTP/2: CRLF in a name", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"x-a\r\nx-b", "1"}}},
	{name: "HTTP/2: colon in a name", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"x-a: 1", "1"}}},
	{name: "HTTP/2: name in capitals", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"X-A", "1"}}},
	{name: "HTTP/2: blanks in :path", requests: 1, h2: []field{{":method", "GET"}, {":path", "/smuggled HTTP/1.1\r\nHost: app\r\n\r\nGET /echo"}}},
	{name: "HTTP/2: blank in :path", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo x"}}},
	{name: "HTTP/2: CRLF in :method", requests: 1, h2: []field{{":method", "GET /smuggled HTTP/1.1\r\n\r\nGET"}, {":path", "/echo"}}},
	{name: "HTTP/2: CRLF in :authority", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {":authority", "app\r\nX-A: 1"}}},
	{name: "HTTP/2: :path twice", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {":path", "/smuggled"}}},
	{name: "HTTP/2: length too small", requests: 1, broken: true, h2: []field{{":method", "POST"}, {":path", "/echo"}, {"content-length", "3"}, {body, "hello"}}},
	{name: "HTTP/2: length too large", requests: 1, broken: true, h2: []field{{":method", "POST"}, {":path", "/echo"}, {"content-length", "99"}, {body, "hello"}}},
	{name: "HTTP/2: length 0 with a request", requests: 1, broken: true, h2: []field{{":method", "POST"}, {":path", "/echo"}, {"content-length", "0"}, {body, smuggled}}},
	{name: "HTTP/2: no length, a request as body", requests: 1, h2: []field{{":method", "POST"}, {":path", "/echo"}, {body, smuggled}}},
	{name: "HTTP/2: transfer-encoding", requests: 1, h2: []field{{":method", "POST"}, {":path", "/echo"}, {"transfer-encoding", "chunked"}, {body, "0\r\n\r\n" + smuggled}}},
	{name: "HTTP/2: connection", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"connection", "keep-alive"}}},
	{name: "HTTP/2: te: chunked", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"te", "chunked"}}},
	{name: "HTTP/2: host unlike :authority", requests: 1, h2: []field{{":method", "GET"}, {":path", "/echo"}, {"host", "other"}}},
}

// body stands for DATA frames among an HTTP/2 request's fields.
const body = "\x00body"
