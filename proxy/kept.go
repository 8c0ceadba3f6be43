package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// Bounds of what is kept of bodies for another try, in bytes: of one request in
// memory and of all, of one in a file and of all. What is larger is sent once
// only.
const (
	maxKept      = 1 << 20
	maxKeptAll   = 64 << 20
	maxKeptFile  = 256 << 20
	maxKeptFiles = 1 << 30
	// keptPause is how long writing to a file may hold an upload up in all, beside
	// what a disk of keptRate bytes a second takes: then its body is not kept any
	// more. A busy machine, or a disk that writes back, halts single writes for some
	// hundred milliseconds; that is no reason to lose the request.
	keptPause = 2 * time.Second
	keptRate  = 10 << 20
)

var errSlowDisk = errors.New("the disk is too slow")

// keptBody is a request's body that can be sent again: what was sent of it is
// kept, in memory and then in a file, until the app is known to have begun to
// work on the request. Most servers begin as soon as they have the header, so
// that little is kept of what they take; those that read the whole body first
// (waitress) are what the file is for.
type keptBody struct {
	io.ReadCloser
	flight *app.Flight
	mem    *atomic.Int64 // bytes that all requests keep in memory
	files  *nameless     // nil keeps nothing in files

	mu     sync.Mutex
	kept   []byte
	file   *os.File // what follows kept; nil for nothing
	inFile int64
	spent  time.Duration // by writing to the file
	at     int64         // how much of both was read in this try
	over   bool          // nothing more is kept
	users  int           // those who may still read: RoundTrip, and a try
}

// keep makes r's body one that can be sent again.
func (t *transport) keep(r *http.Request) (*http.Request, *keptBody) {
	body := &keptBody{ReadCloser: r.Body, mem: &t.kept, users: 1}
	if x := exchangeOf(r.Context()); x != nil {
		body.flight, body.files = &x.flight, x.handler.kept
	}
	out := *r
	out.Body = body
	return &out, body
}

// take says that a try begins to read; done must follow.
func (b *keptBody) take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users++
}

// done says that a try has ended or that there will be no other. What one
// reads anew stays for it.
func (b *keptBody) done(last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = b.over || last
	if b.users--; b.users == 0 {
		b.forget()
	}
}

// Read implements io.Reader. One try reads at a time.
func (b *keptBody) Read(p []byte) (int, error) {
	if n, err := b.reread(p); n > 0 || err != nil {
		return n, err
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.add(p[:n])
	}
	return n, err
}

// reread reads what was kept; nothing where there is no more of it.
func (b *keptBody) reread(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	inMemory := int64(len(b.kept))
	switch {
	case b.at < inMemory:
		n = copy(p, b.kept[b.at:])
	case b.at < inMemory+b.inFile:
		left := inMemory + b.inFile - b.at
		n, err = b.file.ReadAt(p[:min(int64(len(p)), left)], b.at-inMemory)
	}
	b.at += int64(n)
	return n, err
}

// add keeps what was read of the client.
func (b *keptBody) add(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.over = b.flight != nil && b.flight.HasBegun() || !b.store(p)
	}
	if b.over {
		b.forget()
		return
	}
	b.at += int64(len(p))
}

// store puts p into memory, or behind that into a file, and reports whether
// there was room.
func (b *keptBody) store(p []byte) bool {
	n := int64(len(p))
	if b.file == nil && len(b.kept)+len(p) <= maxKept && reserve(b.mem, n, maxKeptAll) {
		b.kept = append(b.kept, p...)
		return true
	}
	if b.files == nil || b.inFile+n > maxKeptFile {
		return false
	}
	if b.file == nil && !b.flight.Provable() {
		return false
	}
	err := b.write(p)
	if err != nil {
		b.files.warn(err)
	}
	return err == nil
}

// write appends p to the file.
func (b *keptBody) write(p []byte) (err error) {
	began := time.Now()
	if b.file == nil {
		if b.file, err = b.files.create(); err != nil {
			return err
		}
	}
	n, err := b.files.write(b.file, p)
	b.inFile += int64(n)
	b.spent += time.Since(began)
	if err == nil && tooSlow(b.inFile, b.spent) {
		err = errSlowDisk
	}
	return err
}

// tooSlow says that a disk has taken too long for so many bytes.
func tooSlow(written int64, spent time.Duration) bool {
	return spent > keptPause+time.Duration(written)*time.Second/keptRate
}

// forget gives back what is kept. The caller holds mu.
func (b *keptBody) forget() {
	b.mem.Add(-int64(len(b.kept)))
	if b.file != nil {
		b.files.used.Add(-b.inFile)
		b.file.Close()
	}
	b.kept, b.file, b.inFile, b.at = nil, nil, 0, 0
}

// rewind begins anew; false where that isn't possible.
func (b *keptBody) rewind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = 0
	return !b.over
}
