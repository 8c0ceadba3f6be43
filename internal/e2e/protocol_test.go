package e2e

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// seen is what the app saw of a request.
type seen struct {
	Rest, Query, Scheme, Host, External string
	RemoteAddr                          string `json:"remote_addr"`
	Headers                             map[string]string
	Environ                             []string
}

func (c *client) seen(target string, head ...string) seen {
	c.t.Helper()
	var s seen
	body := c.want(200, target, head...)
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		c.t.Fatalf("%s: %v", body, err)
	}
	return s
}

// TestAppSeesItsClient: address, scheme, host as without a proxy, and no way to
// forge them.
func TestAppSeesItsClient(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	s := d.from("127.0.7.7").seen("/seen/x",
		"X-Forwarded-For", "8.8.8.8", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https",
		"X_Forwarded_For", "9.9.9.9", "X-Real-Ip", "8.8.4.4", "Forwarded", "for=1.1.1.1", "X-Forwarded-Prefix", "/evil",
		"Connection", "X-Forwarded-For, close")
	if s.RemoteAddr != "127.0.7.7" || s.Scheme != "http" || s.Host != d.addr {
		t.Errorf("the app sees %s %s %s", s.RemoteAddr, s.Scheme, s.Host)
	}
	if s.External != "http://"+d.addr+"/seen/x" {
		t.Errorf("url_for gives %s", s.External)
	}
	if got := s.Headers["x-forwarded-for"]; got != "127.0.7.7" {
		t.Errorf("X-Forwarded-For is %q", got)
	}
	for _, name := range []string{"x-real-ip", "forwarded", "x-forwarded-prefix"} {
		if v, ok := s.Headers[name]; ok {
			t.Errorf("the client's %s: %s reached the app", name, v)
		}
	}
	if len(s.Environ) > 0 {
		t.Errorf("the app sees our own headers: %v", s.Environ)
	}
}

// TestTargetByteForByte: path and query reach the app as they were sent.
func TestTargetByteForByte(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	c := d.from("127.0.7.8")
	tests := []struct{ target, rest, query string }{
		{"/seen/a?x=%zz&y=;1&&z", "a", "x=%zz&y=;1&&z"},
		{"/seen/a%2Fb?", "a/b", ""},
		{"/seen/%C3%A9?q=%C3%A9", "é", "q=%C3%A9"},
		{"/seen/a|b?c=d|e", "a|b", "c=d|e"},
		{"/seen/a+b%20c?a+b", "a+b c", "a+b"},
		{"/seen/a;p=1,2?a=1;b=2", "a;p=1,2", "a=1;b=2"},
	}
	for _, tt := range tests {
		s := c.seen(tt.target)
		if s.Rest != tt.rest || s.Query != tt.query {
			t.Errorf("%s: the app saw path %q, query %q; want %q, %q", tt.target, s.Rest, s.Query, tt.rest, tt.query)
		}
	}
}

// TestStreamIsNotBuffered: an event arrives before the next is made.
func TestStreamIsNotBuffered(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	c := d.from("127.0.7.12")
	res, err := c.http.Get(c.base + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 9)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: 0\n\n" {
		t.Fatalf("%q %v", first, err)
	}
	c.want(200, "/stream/on")
	rest, err := io.ReadAll(res.Body)
	if err != nil || string(rest) != "data: 1\n\n" {
		t.Errorf("%q %v", rest, err)
	}
}

// TestLargeBodies: 32 MiB up and down, unharmed.
func TestLargeBodies(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	c := d.from("127.0.7.9")
	body := make([]byte, 32<<20)
	rand.Read(body)
	status, got := c.do(http.MethodPost, "/upload", bytes.NewReader(body))
	want := fmt.Sprintf("%x", sha256.Sum256(body))
	if status != 200 || !strings.Contains(got, want) || !strings.Contains(got, fmt.Sprint(len(body))) {
		t.Errorf("upload: %d %s, want sha256 %s", status, got, want)
	}
	if down := c.want(200, fmt.Sprintf("/download/%d", 32<<20)); len(down) != 32<<20 {
		t.Errorf("download: %d bytes", len(down))
	}
}

// TestSlowUploadAndAnswer: no time-out of ours cuts them.
func TestSlowUploadAndAnswer(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--read-header-timeout", "1s", "--idle-timeout", "1s")
	c := d.from("127.0.7.10")
	r, w := io.Pipe()
	go func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for range 8 {
			<-tick.C
			w.Write([]byte("12345678"))
		}
		w.Close()
	}()
	if status, got := c.do(http.MethodPost, "/upload", r); status != 200 || !strings.Contains(got, "64") {
		t.Errorf("slow upload: %d %s", status, got)
	}
	c.want(200, "/slow/2.5")
}

// TestMaxBody bounds request bodies.
func TestMaxBody(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--max-body", "1MB")
	c := d.from("127.0.7.11")
	if status, _ := c.do(http.MethodPost, "/upload", bytes.NewReader(make([]byte, 2<<20))); status != 413 && status != 0 {
		t.Errorf("2 MiB: %d, want 413", status)
	}
	if status, _ := c.do(http.MethodPost, "/upload", bytes.NewReader(make([]byte, 1000))); status != 200 {
		t.Errorf("1000 bytes: %d", status)
	}
}

// TestWebSocket passes an upgrade and bytes both ways.
func TestWebSocket(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", d.addr)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The key and its answer are the example of RFC 6455 1.3.
	if got := res.Header.Get("Sec-WebSocket-Accept"); res.StatusCode != 101 || got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("handshake: %s, accept %q", res.Status, got)
	}
	for _, text := range []string{"\x81\x05hello", "\x00\xff raw"} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Fatalf("echo %q, %v; want %q", got, err, text)
		}
	}
}
