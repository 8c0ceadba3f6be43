package proxy

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
)

// spool holds request bodies until they are complete, so that a slow upload
// takes none of the app's workers: small ones in memory, larger ones in files.
// Beyond its bounds, or where the disk fails, the rest of a body is streamed as
// without it.
type spool struct {
	*nameless
	mem atomic.Int64 // bytes in memory
}

// Bounds of the spool, in bytes: of one body in memory, of all in memory, of
// all in files.
const (
	spoolSmall  = 1 << 20
	spoolMemory = 64 << 20
	spoolDisk   = 4 << 30
)

// newSpool holds bodies in dir, which is its own.
func newSpool(dir string, warn func(error)) *spool {
	return &spool{nameless: newNameless(dir, spoolDisk, warn)}
}

// spooled is a body that the spool holds.
type spooled struct {
	io.Reader
	spool *spool
	mem   int64
	disk  int64
	file  *os.File
	rest  io.Closer // what is not held
	once  sync.Once
}

// Close implements io.Closer.
func (b *spooled) Close() error {
	b.once.Do(func() {
		b.spool.mem.Add(-b.mem)
		b.spool.used.Add(-b.disk)
		if b.file != nil {
			b.file.Close()
		}
	})
	return b.rest.Close()
}

// hold reads r's body and puts what it holds in its place. An error is the
// client's. done gives the space back.
func (s *spool) hold(r *http.Request) (done func() error, err error) {
	b := &spooled{spool: s, rest: r.Body}
	whole, err := s.fill(b, r.Body)
	if err != nil {
		b.Close()
		return nil, err
	}
	r.Body = b
	if whole {
		r.ContentLength = b.mem + b.disk
		r.TransferEncoding = nil
		r.Header.Del("Expect") // it was sent
		if r.ContentLength == 0 {
			r.Body = http.NoBody
		}
	}
	return b.Close, nil
}

// fill reads body into b as far as the bounds allow, and reports whether that
// is all of it.
func (s *spool) fill(b *spooled, body io.Reader) (whole bool, err error) {
	var small bytes.Buffer
	b.Reader = &small
	for b.mem < spoolSmall {
		if !reserve(&s.mem, bufferSize, spoolMemory) {
			break
		}
		n, err := io.CopyN(&small, body, bufferSize)
		b.mem += n
		s.mem.Add(n - bufferSize)
		if err == io.EOF {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	whole, err = s.fillFile(b, &small, body)
	if !whole && err == nil {
		b.Reader = io.MultiReader(b.Reader, body)
	}
	return whole, err
}

// fillFile moves b to a file and reads on. Where it can't, b is what it has.
func (s *spool) fillFile(b *spooled, small *bytes.Buffer, body io.Reader) (whole bool, err error) {
	file, err := s.create()
	if err != nil {
		s.warn(err)
		return false, nil
	}
	b.file = file
	b.Reader = io.MultiReader(io.NewSectionReader(file, 0, 1<<62), small)
	w := &spoolWriter{b: b}
	if _, err := small.WriteTo(w); err != nil {
		s.warn(err)
		return false, nil
	}
	s.mem.Add(-b.mem)
	b.mem = 0
	buf := make([]byte, bufferSize)
	for {
		n, err := body.Read(buf)
		if _, failed := w.Write(buf[:n]); failed != nil {
			s.warn(failed)
			// What was read but not written follows what was.
			b.Reader = io.MultiReader(io.NewSectionReader(file, 0, b.disk), bytes.NewReader(buf[w.partial:n]))
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
}

// spoolWriter writes to b's file within the bounds.
type spoolWriter struct {
	b       *spooled
	partial int // what the last Write wrote, where it failed
}

// Write implements io.Writer.
func (w *spoolWriter) Write(p []byte) (n int, err error) {
	n, err = w.b.spool.write(w.b.file, p)
	w.b.disk += int64(n)
	w.partial = n
	return n, err
}
