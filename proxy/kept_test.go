package proxy

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
)

// keeping is a body of size random bytes that is kept, with a folder.
func keeping(t testing.TB, size int) (b *keptBody, want []byte) {
	t.Helper()
	want = make([]byte, size)
	rand.Read(want)
	h := &Handler{kept: newNameless(t.TempDir()+"/bodies", maxKeptFiles, func(err error) { t.Log(err) })}
	x := &exchange{Context: t.Context(), handler: h}
	r := httptest.NewRequest("POST", "/", iotest.HalfReader(bytes.NewReader(want)))
	_, b = (&transport{}).keep(r.WithContext(x))
	return b, want
}

// TestKeptBodyReadsTheSameAgain, wherever the try before it broke off, and
// leaves nothing.
func TestKeptBodyReadsTheSameAgain(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1000, maxKept, maxKept + 1, 3 << 20} {
		b, want := keeping(t, size)
		for _, read := range []int{0, size / 3, size / 2, size} {
			b.take()
			got := make([]byte, read)
			if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want[:read]) {
				t.Fatalf("%d of %d bytes: %v", read, size, err)
			}
			b.done(false)
			if !b.rewind() {
				t.Fatalf("%d bytes can't be read again", size)
			}
		}
		b.take()
		b.done(true) // an answer has come before the end
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		b.done(false)
		if n, used := b.mem.Load(), b.files.used.Load(); n != 0 || used != 0 || b.file != nil {
			t.Errorf("%d bytes are left in memory, %d in files", n, used)
		}
		if names, _ := os.ReadDir(b.files.dir); len(names) > 0 {
			t.Errorf("a file with a name: %v; a kill would leave it", names)
		}
	}
}

// TestNothingIsKeptOfWhatHasBegun: from then on it would never be sent again.
func TestNothingIsKeptOfWhatHasBegun(t *testing.T) {
	t.Parallel()
	b, want := keeping(t, 4<<20)
	got := make([]byte, 3<<20)
	for at := 0; at < len(got); at += bufferSize {
		io.ReadFull(b, got[at:at+bufferSize])
	}
	if n, used := b.mem.Load(), b.files.used.Load(); n == 0 || used == 0 || n+used != 3<<20 {
		t.Errorf("%d bytes in memory and %d in files, want all of %d", n, used, len(got))
	}
	b.flight.Begins()
	rest, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(append(got, rest...), want) {
		t.Errorf("the body is another one: %v", err)
	}
	if n, used := b.mem.Load(), b.files.used.Load(); n != 0 || used != 0 || b.rewind() {
		t.Errorf("%d bytes in memory and %d in files are kept of a request that has begun", n, used)
	}
}

// TestWhatIsKeptOfBodiesIsBounded, by request and in all; beyond, a body is
// streamed as it comes.
func TestWhatIsKeptOfBodiesIsBounded(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]func(*keptBody){
		"memory and no folder": func(b *keptBody) { b.mem.Store(maxKeptAll); b.files = nil },
		"files":                func(b *keptBody) { b.files.used.Store(maxKeptFiles) },
		"one file":             func(b *keptBody) { b.inFile, b.at = maxKeptFile, maxKeptFile },
		"no disk":              func(b *keptBody) { b.files.dir = "/dev/null/bodies" },
	} {
		b, want := keeping(t, 3<<20)
		warned := 0
		if b.files != nil {
			b.files.warn = func(error) { warned++ }
		}
		full(b)
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) || b.rewind() {
			t.Errorf("%s: got %d bytes, %v; can be sent again though it is not kept", name, len(got), err)
		}
		if want := name == "files" || name == "no disk"; (warned == 1) != want {
			t.Errorf("%s: warned %d times", name, warned)
		}
	}
	b, want := keeping(t, 1000)
	b.mem.Store(maxKeptAll)
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) || !b.rewind() || b.inFile != 1000 {
		t.Errorf("got %d bytes, %v, %d of them in a file, where memory is taken", len(got), err, b.inFile)
	}
}

// A full disk is not the client's concern.
func TestAFullDiskStopsNoUpload(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full: ", err)
	}
	b, want := keeping(t, 3<<20)
	var failed error
	b.files.warn = func(err error) { failed = errors.Join(failed, err) }
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.file = full
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) || b.rewind() {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if failed == nil || !strings.Contains(failed.Error(), "no space left on device") {
		t.Errorf("the operator is told %v", failed)
	}
	if used := b.files.used.Load(); used != 0 {
		t.Errorf("%d bytes are counted", used)
	}
}

// TestASlowDiskStopsNoUpload: one that takes in nothing for longer than we wait
// is given up, and the body streamed.
func TestASlowDiskStopsNoUpload(t *testing.T) {
	t.Parallel()
	b, want := keeping(t, 3<<20)
	var failed error
	b.files.warn = func(err error) { failed = errors.Join(failed, err) }
	disk, file, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	b.file = file
	time.AfterFunc(keptPause+3*time.Second, func() { io.Copy(io.Discard, disk) })
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) || b.rewind() {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if !errors.Is(failed, errSlowDisk) {
		t.Errorf("the operator is told %v", failed)
	}
	if used := b.files.used.Load(); used != 0 {
		t.Errorf("%d bytes are counted", used)
	}
}

func TestTooSlow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		written int64
		spent   time.Duration
		want    bool
	}{
		{0, 0, false},
		{bufferSize, 300 * time.Millisecond, false}, // one write that a busy machine halts
		{bufferSize, keptPause + time.Second, true},
		{100 << 20, 10 * time.Second, false}, // a disk of 10 MiB a second
		{100 << 20, 13 * time.Second, true},
		{maxKeptFile, 27 * time.Second, false},
	} {
		if got := tooSlow(tt.written, tt.spent); got != tt.want {
			t.Errorf("%d bytes in %v: %v, want %v", tt.written, tt.spent, got, tt.want)
		}
	}
}

// begunApp begins each request as soon as it has entered, as most servers do.
type begunApp struct{ scriptedApp }

func (*begunApp) Enter(f *app.Flight) { f.Begins() }

// BenchmarkUpload10MB is what keeping costs: of a request that the app has
// begun, of one that it never begins (all in a file), and without a folder.
func BenchmarkUpload10MB(b *testing.B) {
	body := make([]byte, 10<<20)
	rand.Read(body)
	for _, c := range []struct {
		name string
		app  App
		dir  string
	}{{"begun", &begunApp{}, "bodies"}, {"unread", &scriptedApp{}, "bodies"}, {"unkept", &scriptedApp{}, ""}} {
		b.Run(c.name, func(b *testing.B) {
			g := newRig(b, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, func(conf *Config, _ *ban.Config) {
				conf.App = c.app
				if c.dir != "" {
					conf.BodyDir = filepath.Join(b.TempDir(), c.dir)
				}
			})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				res, err := http.Post(g.front.URL+"/post", "application/octet-stream", bytes.NewReader(body))
				if err != nil || res.StatusCode != 200 {
					b.Fatal(res, err)
				}
				res.Body.Close()
			}
		})
	}
}
