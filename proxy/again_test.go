package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
)

// provingApp can prove of every request that it was not begun.
type provingApp struct {
	scriptedApp
	asked atomic.Int32
	proof error
}

func (a *provingApp) Again(_ context.Context, _ *app.Flight, safe bool, _ error) error {
	a.asked.Add(1)
	if safe {
		return nil
	}
	return a.proof
}

// uploadTo sends a body through a handler whose app breaks the first tries'
// connections after it has read so much of the body.
func uploadTo(t *testing.T, dir string, proof error, breaks, read, size int) (w *httptest.ResponseRecorder, got []byte, tries int) {
	t.Helper()
	var count atomic.Int32
	a := &provingApp{proof: proof}
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if int(count.Add(1)) <= breaks {
			io.CopyN(io.Discard, r.Body, int64(read))
			panic(http.ErrAbortHandler)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = body
		io.WriteString(w, "done")
	}, func(c *Config, _ *ban.Config) { c.App, c.BodyDir = a, dir })
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	r := httptest.NewRequest("POST", "/post", io.NopCloser(bytes.NewReader(body)))
	r.ContentLength = int64(len(body))
	r.RemoteAddr = "192.0.2.1:1234"
	w = httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	if got != nil && !bytes.Equal(got, body) {
		t.Errorf("the app got %d bytes, not the %d that were sent", len(got), len(body))
	}
	return w, got, int(count.Load())
}

func TestUnreadUploadsAreSentAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		dir               string
		proof             error
		breaks, read      int
		size, code, tries int
	}{
		{"nothing read", "", nil, 1, 0, 64 << 10, 200, 2},
		{"header and some bytes read", "", nil, 2, 1000, 256 << 10, 200, 3},
		{"no proof", "", errors.New("it may have begun"), 1, 0, 64 << 10, 502, 1},
		{"too much for memory, and no folder", "", nil, 1, 3 << 20, 4 << 20, 502, 1},
		{"too much for memory", t.TempDir(), nil, 2, 3 << 20, 5 << 20, 200, 3},
		{"as much as memory takes", t.TempDir(), nil, 1, maxKept, maxKept, 200, 2},
		{"one byte more", t.TempDir(), nil, 1, maxKept + 16, maxKept + 16, 200, 2},
		{"large, and nothing read", t.TempDir(), nil, 1, 0, 5 << 20, 200, 2},
		{"large, and no disk", "/dev/null/bodies", nil, 1, 3 << 20, 5 << 20, 502, 1},
		{"it never works", "", nil, 99, 0, 1 << 10, 502, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, got, tries := uploadTo(t, tt.dir, tt.proof, tt.breaks, tt.read, tt.size)
			if w.Code != tt.code || tries != tt.tries || (tt.code == 200) != (got != nil) {
				t.Errorf("%d after %d tries, want %d after %d: %s", w.Code, tries, tt.code, tt.tries, w.Body)
			}
		})
	}
}
