package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

func upload(t *testing.T, url string, body io.Reader, length int64) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = length
	return (&lean{}).upload(r)
}

// TestUploadArrivesWhole: of known and of unknown length, small and large.
func TestUploadArrivesWhole(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x %v %s %d", n, h.Sum(nil), err, strings.Join(r.TransferEncoding, ","), r.ContentLength)
	})
	for _, start := range []func(http.Handler) *httptest.Server{httptest.NewServer, httptest.NewTLSServer} {
		s := start(echo)
		defer s.Close()
		for _, size := range []int{1, 1000, 100_000, 5 << 20} {
			data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			for length, encoding := range map[int64]string{int64(size): "", -1: "chunked"} {
				res, err := upload(t, s.URL, io.MultiReader(bytes.NewReader(data)), length)
				if err != nil {
					t.Fatalf("%d bytes, length %d: %v", size, length, err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				want := fmt.Sprintf("%d %x <nil> %s %d", size, sha256.Sum256(data), encoding, length)
				if err != nil || string(got) != want {
					t.Errorf("%d bytes, length %d: %v\ngot  %s\nwant %s", size, length, err, got, want)
				}
			}
		}
	}
}

// TestEarlyAnswerIsNotLost: an app answers an upload without reading it, and
// closes, as gunicorn's workers do.
func TestEarlyAnswerIsNotLost(t *testing.T) {
	t.Parallel()
	addr := rawApp(t, func(c net.Conn) {
		bufio.NewReaderSize(c, 512).ReadString('\n') // of the header only
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(20 * time.Millisecond) // the worker goes on before it closes
	})
	body := bytes.Repeat([]byte("x"), 5<<20)
	for n := range 20 {
		res, err := upload(t, "http://"+addr+"/", bytes.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatalf("upload %d: %v", n, err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 413 || string(got) != "too large" || err != nil {
			t.Fatalf("upload %d: %d %q %v", n, res.StatusCode, got, err)
		}
	}
}

// TestClientFailsWithinUpload: the error is the client's, and the app gets no
// whole request.
func TestClientFailsWithinUpload(t *testing.T) {
	t.Parallel()
	whole := make(chan bool, 2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		whole <- err == nil
	}))
	gone := errors.New("the client left")
	for _, length := range []int64{1000, -1} {
		body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(gone))
		if _, err := upload(t, s.URL, body, length); !errors.Is(err, gone) {
			t.Errorf("length %d: error %v, want the client's", length, err)
		}
	}
	s.Close() // waits for the handlers that were reached
	close(whole)
	for w := range whole {
		if w {
			t.Error("the app took half a body for a whole one")
		}
	}
}

// TestUploadOverTheBound still answers 413.
func TestUploadOverTheBound(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
		func(c *Config, _ *ban.Config) { c.MaxBody = 1000 })
	r := httptest.NewRequest("POST", "/post", io.MultiReader(bytes.NewReader(make([]byte, 5000))))
	r.ContentLength, r.RemoteAddr = -1, "192.0.2.1:4000"
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("%d, want 413", w.Code)
	}
}

// slowly is a body of so many bytes that come bit by bit.
type slowly struct{ left int }

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(2 * time.Millisecond)
	n := min(len(p), s.left, 5000)
	s.left -= n
	return n, nil
}

// TestAppAnswersWhileItReads: an app that answers before it has read the body
// gets all of it (net/http's server would take up to 256 KiB away), and the
// connection goes on only where no byte of it can become a request.
func TestAppAnswersWhileItReads(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := errors.Join(c.EnableFullDuplex(), c.Flush()); err != nil {
			t.Error(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	}, func(c *Config, _ *ban.Config) { c.MinRate = 1000 })
	for _, size := range []int{50_000, 200_000, 1 << 20} {
		for _, length := range []int64{int64(size), -1} {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", g.front.URL+"/post", &slowly{size})
			r.ContentLength = length
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatalf("%d bytes, length %d: %v", size, length, err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if want := fmt.Sprintf("%d <nil>", size); string(got) != want || err != nil || !res.Close {
				t.Errorf("length %d: got %q %v, closed %t; want %q, closed", length, got, err, res.Close, want)
			}
		}
	}
}

// TestEarlyAnswerComesEarly: who sends slowly hears at once what the app says
// without reading on, and may not keep the connection.
func TestEarlyAnswerComesEarly(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusForbidden)
		http.NewResponseController(w).Flush()
	}, func(c *Config, _ *ban.Config) { c.MinRate = 1000 })
	for _, begin := range []string{
		"Content-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 1000),
		"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
	} {
		c, err := net.Dial("tcp", g.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience / 2)) // the rest is awaited for patience
		fmt.Fprintf(c, "POST /post HTTP/1.1\r\nHost: x\r\n%s", begin)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusForbidden || !res.Close {
			t.Errorf("%.20q: %+v %v, want 403 and Connection: close", begin, res, err)
		}
	}
}
