package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bothVersions runs a test over HTTP/1.1 and over HTTP/2 with TLS, in front of upstream.
func bothVersions(t *testing.T, upstream string, test func(t *testing.T, c *http.Client, base string)) {
	t.Helper()
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := ca.files(dir, "shop.example")
	args := []string{testApp(t, "semantics.py"), "--tls-cert", cert, "--tls-key", key}
	if upstream != "" {
		args = append(args, "--upstream", "http://"+upstream)
	}
	d := start(t, dir, "", args...)
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%v", http2), func(t *testing.T) {
			c := secureClient(d.addr, ca.pool(), http2)
			c.Timeout = 2 * time.Minute
			c.Transport.(*http.Transport).DisableCompression = true
			test(t, c, "https://shop.example")
		})
	}
}

// sendRequest sends a request and reads its answer.
func sendRequest(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return res, string(body)
}

func newRequest(t *testing.T, method, url string, body io.Reader, head ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	return r
}

// TestEarlyHints: 103 comes before the answer is there, and is none itself.
func TestEarlyHints(t *testing.T) {
	got := make(chan struct{}, 1)
	upstream := listenRaw(t, func(conn net.Conn, r *http.Request) {
		if r.URL.Path != "/file" {
			io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
		<-got // the answer waits until the client has the hint
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Final: yes\r\n\r\nhello")
	})
	bothVersions(t, upstream, func(t *testing.T, c *http.Client, base string) {
		for _, method := range []string{"GET", "POST"} {
			hints := 0
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code != http.StatusEarlyHints || h.Get("Link") != "</style.css>; rel=preload" {
					t.Errorf("got %d %v", code, h)
				}
				hints++
				got <- struct{}{}
				return nil
			}})
			var sent io.Reader
			if method == "POST" {
				sent = strings.NewReader("a body")
			}
			res, body := sendRequest(t, c, newRequest(t, method, base+"/file", sent).WithContext(ctx))
			if hints != 1 || res.StatusCode != 200 || body != "hello" || res.Header.Get("X-Final") != "yes" || res.Header.Get("Link") != "" {
				t.Errorf("%s: %d hints, %d %q %v", method, hints, res.StatusCode, body, res.Header)
			}
		}
	})
}

// TestTrailers: an answer's pass; a request's don't, for WSGI has none and
// Werkzeug's server answers 500 to them.
func TestTrailers(t *testing.T) {
	upstream := listenRaw(t, func(conn net.Conn, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n"+
			"%x\r\n%s\r\n0\r\nX-Sum: down\r\nX-Saw: %d\r\n\r\n", len(body)+3, "ok "+string(body), len(r.Trailer))
	})
	bothVersions(t, upstream, func(t *testing.T, c *http.Client, base string) {
		r := newRequest(t, "POST", base+"/take", io.MultiReader(strings.NewReader("hello")))
		r.Trailer = http.Header{"X-Check": {"up"}}
		res, body := sendRequest(t, c, r)
		if body != "ok hello" || res.Trailer.Get("X-Sum") != "down" || res.Trailer.Get("X-Saw") != "0" {
			t.Errorf("got %q with trailer %v", body, res.Trailer)
		}
		res, body = sendRequest(t, c, newRequest(t, "GET", base+"/file", nil, "TE", "trailers"))
		if body != "ok " || res.Trailer.Get("X-Sum") != "down" {
			t.Errorf("GET: %q with trailer %v", body, res.Trailer)
		}
	})
}

// TestHeadAndRange: as Flask's send_file answers them.
func TestHeadAndRange(t *testing.T) {
	text := bytes.Repeat(func() (all []byte) {
		for i := range 256 {
			all = append(all, byte(i))
		}
		return
	}(), 40)
	bothVersions(t, "", func(t *testing.T, c *http.Client, base string) {
		head, body := sendRequest(t, c, newRequest(t, "HEAD", base+"/file", nil))
		if head.ContentLength != 10240 || body != "" || head.StatusCode != 200 {
			t.Errorf("HEAD: %d, %d bytes, length %d", head.StatusCode, len(body), head.ContentLength)
		}
		tests := []struct {
			name         string
			head         []string
			status       int
			body, ranged string
		}{
			{"whole", nil, 200, string(text), ""},
			{"first", []string{"Range", "bytes=0-9"}, 206, string(text[:10]), "bytes 0-9/10240"},
			{"last", []string{"Range", "bytes=-5"}, 206, string(text[10235:]), "bytes 10235-10239/10240"},
			{"open", []string{"Range", "bytes=10000-"}, 206, string(text[10000:]), "bytes 10000-10239/10240"},
			{"If-Range, the same", []string{"Range", "bytes=0-9", "If-Range", `"of-the-file"`}, 206, string(text[:10]), "bytes 0-9/10240"},
			{"If-Range, another", []string{"Range", "bytes=0-9", "If-Range", `"old"`}, 200, string(text), ""},
			{"If-None-Match", []string{"If-None-Match", `"of-the-file"`}, 304, "", ""},
		}
		for _, tt := range tests {
			res, body := sendRequest(t, c, newRequest(t, "GET", base+"/file", nil, tt.head...))
			if res.StatusCode != tt.status || body != tt.body || res.Header.Get("Content-Range") != tt.ranged {
				t.Errorf("%s: %d, %d bytes, Content-Range %q", tt.name, res.StatusCode, len(body), res.Header.Get("Content-Range"))
			}
		}
		res, _ := sendRequest(t, c, newRequest(t, "GET", base+"/file", nil, "Range", "bytes=20000-"))
		if res.StatusCode != 416 || res.Header.Get("Content-Range") != "bytes */10240" && res.Header.Get("Content-Range") != "" {
			t.Errorf("beyond the end: %d %v", res.StatusCode, res.Header)
		}
	})
}

// nginxOf serves a folder's files with nginx.
func nginxOf(t *testing.T, dir string) string {
	t.Helper()
	addr, place := freePort(t), t.TempDir()
	conf := fmt.Sprintf(`daemon off; user root; pid %[1]s/pid; error_log stderr; worker_processes 1; events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s; root %[3]s; } }`, place, addr, dir)
	file := filepath.Join(place, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	serve(t, place, addr, nil, "nginx", "-e", "stderr", "-c", file)
	return addr
}

// TestMultipartRange: several ranges, which Flask doesn't make but nginx does.
func TestMultipartRange(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("abcdefghij"), 0o644); err != nil {
		t.Fatal(err)
	}
	bothVersions(t, nginxOf(t, dir), func(t *testing.T, c *http.Client, base string) {
		res, body := sendRequest(t, c, newRequest(t, "GET", base+"/file", nil, "Range", "bytes=0-1,4-5"))
		_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if err != nil || res.StatusCode != 206 {
			t.Fatalf("%d %v %q", res.StatusCode, err, body)
		}
		parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
		for _, want := range []string{"ab", "ef"} {
			p, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := io.ReadAll(p); string(got) != want {
				t.Errorf("part %q, want %q", got, want)
			}
		}
		res, _ = sendRequest(t, c, newRequest(t, "GET", base+"/file", nil, "Range", "bytes=20-"))
		if res.StatusCode != 416 || res.Header.Get("Content-Range") != "bytes */10" {
			t.Errorf("beyond the end: %d %v", res.StatusCode, res.Header)
		}
	})
}

// TestExpectContinue: the client hears 100 before it sends its body, or hears
// at once that it need not.
func TestExpectContinue(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "semantics.py"), "--max-body", "1MB")
	ask := func(target string, length int) (*bufio.Reader, net.Conn) {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", target, length)
		return bufio.NewReader(conn), conn
	}
	answer := func(r *bufio.Reader) *http.Response {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	in, conn := ask("/take", 5)
	if res := answer(in); res.StatusCode != http.StatusContinue {
		t.Fatalf("got %s, want 100", res.Status)
	}
	io.WriteString(conn, "hello")
	res := answer(in)
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "5\n" {
		t.Errorf("after 100: %s %q", res.Status, body)
	}
	in, _ = ask("/take", 2<<20)
	if res := answer(in); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("beyond --max-body: %s, want 413 and no 100", res.Status)
	}
	// The app refuses without reading: its answer comes though no body does.
	// A 100 comes first, as from gunicorn and Werkzeug themselves.
	for _, status := range []int{417, 413, 401} {
		in, _ := ask(fmt.Sprint("/refuse/", status), 1000)
		res := answer(in)
		if res.StatusCode == http.StatusContinue {
			res = answer(in)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != status || string(body) != "refused, 1000\n" {
			t.Errorf("refused by the app: %s %q, want %d", res.Status, body, status)
		}
	}
}

// TestMethodsRefused: CONNECT and TRACE are never the app's; OPTIONS * is
// answered, and OPTIONS of a route is Flask's.
func TestMethodsRefused(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "semantics.py"))
	c := d.from("127.0.6.1")
	for request, want := range map[string]int{
		"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n": http.StatusMethodNotAllowed,
		"CONNECT /file HTTP/1.1\r\nHost: x\r\n\r\n":                           http.StatusMethodNotAllowed,
		"TRACE /file HTTP/1.1\r\nHost: x\r\n\r\n":                             http.StatusMethodNotAllowed,
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                               http.StatusOK,
	} {
		if res := c.raw(request, d.addr); res.StatusCode != want {
			t.Errorf("%q: %d, want %d", request, res.StatusCode, want)
		}
	}
	res := c.raw("OPTIONS /file HTTP/1.1\r\nHost: x\r\n\r\n", d.addr)
	if allow := res.Header.Get("Allow"); res.StatusCode != 200 || !strings.Contains(allow, "GET") {
		t.Errorf("OPTIONS /file: %d, Allow %q", res.StatusCode, allow)
	}
}

// TestStreamsInStep: each event and chunk arrives before the next is made: the
// app waits for a sign of ours that it did.
func TestStreamsInStep(t *testing.T) {
	acks := t.TempDir()
	os.Chmod(acks, 0o755)
	os.Chmod(filepath.Dir(acks), 0o755)
	t.Setenv("ACKS", acks)
	bothVersions(t, "", func(t *testing.T, c *http.Client, base string) {
		for path, line := range map[string]string{"/events": "data: %d\n\n", "/chunks": "chunk %d\n"} {
			res, err := c.Do(newRequest(t, "GET", base+path, nil))
			if err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				want := fmt.Sprintf(line, n)
				got := make([]byte, len(want))
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
					t.Fatalf("%s: got %q %v, want %q", path, got, err, want)
				}
				if err := os.WriteFile(filepath.Join(acks, fmt.Sprint(n)), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
				t.Errorf("%s: then %q %v", path, rest, err)
			}
			res.Body.Close()
			for n := range 5 {
				os.Remove(filepath.Join(acks, fmt.Sprint(n)))
			}
		}
	})
}

// TestCompressedIsUntouched: bytes, encoding and Vary are the app's.
func TestCompressedIsUntouched(t *testing.T) {
	bothVersions(t, "", func(t *testing.T, c *http.Client, base string) {
		res, body := sendRequest(t, c, newRequest(t, "GET", base+"/gzip", nil, "Accept-Encoding", "gzip, br"))
		if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("header %v", res.Header)
		}
		plain, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(plain); err != nil || len(text) != 10240 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
	})
}

// TestTruncatedAnswer: an answer that breaks off is no complete one to the
// client, however its end was announced.
func TestTruncatedAnswer(t *testing.T) {
	answers := map[string]string{
		"/file":    "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat("x", 20000),
		"/gzip":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"/chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
		"/events":  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"/large":   "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
		"/refuse/": "HTTP/1.1 200 OK\r\nContent-Le",
	}
	upstream := listenRaw(t, func(conn net.Conn, r *http.Request) { io.WriteString(conn, answers[r.URL.Path]) })
	bothVersions(t, upstream, func(t *testing.T, c *http.Client, base string) {
		for path := range answers {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			res, err := c.Do(newRequest(t, "GET", base+path, nil).WithContext(ctx))
			if err == nil {
				var body []byte
				body, err = io.ReadAll(res.Body)
				res.Body.Close()
				if err == nil && res.StatusCode == 200 {
					t.Errorf("%s: %d bytes, as if complete", path, len(body))
				}
			}
			if ctx.Err() != nil {
				t.Errorf("%s: hung", path)
			}
			cancel()
		}
	})
	// A body of unknown length without chunks ends with its connection
	// (RFC 9112 6.3): nobody can tell.
}
