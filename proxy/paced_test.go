package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// deadliner is a ResponseWriter that can only set read deadlines.
type deadliner struct {
	http.ResponseWriter
	net.Conn
}

func (d deadliner) SetReadDeadline(t time.Time) error  { return d.Conn.SetReadDeadline(t) }
func (d deadliner) Write(p []byte) (int, error)        { return d.Conn.Write(p) }
func (d deadliner) Header() http.Header                { return nil }
func (d deadliner) SetWriteDeadline(t time.Time) error { return d.Conn.SetWriteDeadline(t) }

func TestPacedBody(t *testing.T) {
	tests := []struct {
		name  string
		bytes int           // in each part
		pause time.Duration // before each part
		parts int
		slow  bool
	}{
		{"a byte each 10 s", 1, 10 * time.Second, 60, true},
		{"499 bytes a second", 499, time.Second, 3600, false}, // patience lasts for 8 hours
		{"100 bytes a second", 100, time.Second, 600, true},
		{"a slow upload for an hour", 600, time.Second, 3600, false},
		{"a tunnel each minute", 25_000, 50 * time.Second, 100, false},
		{"silence for 59 s", 10, 59 * time.Second, 1, false},
		{"silence for 61 s", 10, 61 * time.Second, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close()
				body := &pacedBody{ReadCloser: server, control: http.NewResponseController(deadliner{Conn: server}), rate: 500, left: patience}
				var group sync.WaitGroup
				defer group.Wait()
				group.Go(func() {
					for range tt.parts {
						time.Sleep(tt.pause)
						if _, err := client.Write(make([]byte, tt.bytes)); err != nil {
							return
						}
					}
					client.Close()
				})
				n, err := io.Copy(io.Discard, body)
				server.Close()
				if tt.slow != errors.Is(err, os.ErrDeadlineExceeded) || tt.slow != errors.Is(body.failure(), os.ErrDeadlineExceeded) {
					t.Errorf("%d bytes, %v, failure %v; want slow %t", n, err, body.failure(), tt.slow)
				}
				if want := int64(tt.bytes * tt.parts); !tt.slow && n != want {
					t.Errorf("%d bytes, want %d", n, want)
				}
			})
		})
	}
}

// lateWriter is an HTTP/2 client's writer whose Write ends by its deadline. As
// net/http's, it must not be touched once the handler has returned.
type lateWriter struct {
	*reusedWriter
	ended   chan struct{}
	touched atomic.Bool // after the Write had ended
	over    atomic.Bool
}

func (w *lateWriter) Write([]byte) (int, error) {
	<-w.ended
	return 0, os.ErrDeadlineExceeded
}

func (w *lateWriter) SetWriteDeadline(time.Time) error {
	close(w.ended)
	for range 100_000 { // long enough for the handler to return
		runtime.Gosched()
	}
	w.touched.Store(w.over.Load())
	return nil
}

// What ends a Write is over before the handler is, so that it can't meet what
// net/http has given to another stream, or nothing.
func TestWriteDeadlineDoesNotOutliveTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &lateWriter{reusedWriter: &reusedWriter{header: http.Header{}}, ended: make(chan struct{})}
		h := &Handler{Config: Config{MinRate: 500}}
		x := &exchange{Context: t.Context(), handler: h, writer: w, request: &http.Request{ProtoMajor: 2}, status: http.StatusOK}
		if _, err := x.Write([]byte("page")); err == nil {
			t.Error("the Write did not end")
		}
		w.over.Store(true)
		time.Sleep(time.Minute)
		if w.touched.Load() {
			t.Error("the deadline was set after the handler's end")
		}
	})
}
