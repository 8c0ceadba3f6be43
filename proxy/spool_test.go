package proxy

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// TestSpool: what comes out is what went in, whatever bound bites, and nothing
// is left.
func TestSpool(t *testing.T) {
	tests := []struct {
		name      string
		size      int
		mem, disk int64 // in use by others
		whole     bool
		inFile    bool
	}{
		{"small", 1000, 0, 0, true, false},
		{"as large as fits into memory", spoolSmall - 1, 0, 0, true, false},
		{"just larger", spoolSmall + 1, 0, 0, true, true},
		{"large", 10 << 20, 0, 0, true, true},
		{"memory in use", 1000, spoolMemory, 0, true, true},
		{"disk in use", 10 << 20, 0, spoolDisk, false, true},
		{"disk nearly in use", 10 << 20, 0, spoolDisk - 5<<20, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpool(t.TempDir()+"/bodies", func(error) {})
			s.mem.Store(tt.mem)
			s.used.Store(tt.disk)
			want := make([]byte, tt.size)
			rand.Read(want)
			r := &http.Request{Body: io.NopCloser(bytes.NewReader(want)), ContentLength: -1, TransferEncoding: []string{"chunked"}, Header: http.Header{}}
			done, err := s.hold(r)
			if err != nil {
				t.Fatal(err)
			}
			b := r.Body.(*spooled)
			if whole := r.ContentLength == int64(tt.size); whole != tt.whole || (b.file != nil) != tt.inFile {
				t.Errorf("length %d, file %v", r.ContentLength, b.file)
			}
			if names, _ := os.ReadDir(s.dir); len(names) > 0 {
				t.Errorf("a file with a name: %v; a kill would leave it", names)
			}
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
			}
			done()
			done()
			if s.mem.Load() != tt.mem || s.used.Load() != tt.disk {
				t.Errorf("%d in memory, %d on disk are left", s.mem.Load()-tt.mem, s.used.Load()-tt.disk)
			}
		})
	}
}

// A client that breaks off is an error, and leaves nothing.
func TestSpoolClientLeaves(t *testing.T) {
	gone := errors.New("gone")
	for _, size := range []int{100, 5 << 20} {
		s := newSpool(t.TempDir()+"/bodies", func(error) {})
		r := &http.Request{Body: io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(gone)))}
		if _, err := s.hold(r); !errors.Is(err, gone) || s.mem.Load() != 0 || s.used.Load() != 0 {
			t.Errorf("%v, %d, %d", err, s.mem.Load(), s.used.Load())
		}
	}
}

// Without a disk, bodies are streamed and the operator is told.
func TestSpoolWithoutDisk(t *testing.T) {
	told := 0
	s := newSpool("/dev/null/bodies", func(error) { told++ })
	want := make([]byte, 3<<20)
	rand.Read(want)
	r := &http.Request{Body: io.NopCloser(bytes.NewReader(want)), ContentLength: 3 << 20, Header: http.Header{}}
	done, err := s.hold(r)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) || told != 1 {
		t.Errorf("%d bytes, %v, told %d times", len(got), err, told)
	}
}

// A request in chunks ends its connection also where its body was held.
func TestChunksCloseWhereBodiesAreHeld(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, func(c *Config, _ *ban.Config) {
		c.BodyDir, c.HoldBodies = t.TempDir()+"/bodies", true
	})
	c, err := net.Dial("tcp", strings.TrimPrefix(g.front.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(c, "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Close {
		t.Errorf("%d: the connection stays open", res.StatusCode)
	}
}
