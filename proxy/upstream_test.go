package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The app's private address is nobody's business, and links made of it lead
// nowhere.
func TestRequestWithoutHost(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }, nil)
	front := g.front.Listener.Addr().String()
	for _, request := range []string{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"} {
		conn, err := net.Dial("tcp", front)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != front || err != nil {
			t.Errorf("%q: the app was asked as %q, %v, want %q", request, body, err, front)
		}
	}
}

// An answer without a type stays one: a guess of text/html could make a page of
// what the app meant to be none.
func TestUntypedAnswer(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html><script>alert(1)</script>")
	}, nil)
	for _, http2 := range []bool{false, true} {
		front := httptest.NewUnstartedServer(g.handler)
		front.EnableHTTP2 = http2
		front.StartTLS()
		defer front.Close()
		res, err := front.Client().Get(front.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got, ok := res.Header["Content-Type"]; ok {
			t.Errorf("%s: got Content-Type %q, want none", res.Proto, got)
		}
	}
}
