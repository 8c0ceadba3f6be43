package proxy

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// nameless makes files that no name leads to, so that they vanish with us
// however we end, and bounds what is in all of them.
type nameless struct {
	dir  string // of our own
	most int64  // bytes in all files
	used atomic.Int64
	warn func(error) // of what the operator should know
}

// newNameless makes files in dir, which is its own.
func newNameless(dir string, most int64, warn func(error)) *nameless {
	os.RemoveAll(dir) // what a file system without O_TMPFILE left of a kill
	return &nameless{dir: dir, most: most, warn: warn}
}

// create makes a file without a name; on file systems that can't, one whose
// name is gone at once.
func (s *nameless) create() (*os.File, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	fd, err := unix.Open(s.dir, unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), filepath.Join(s.dir, "body")), nil
	}
	file, err := os.CreateTemp(s.dir, "body-")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

var errFilesFull = errors.New("too many request bodies are being held")

// write appends p to a file of ours, within the bound. What it wrote counts as
// used until the caller takes it off.
func (s *nameless) write(file *os.File, p []byte) (n int, err error) {
	if !reserve(&s.used, int64(len(p)), s.most) {
		return 0, errFilesFull
	}
	n, err = file.Write(p)
	s.used.Add(int64(n - len(p)))
	return n, err
}

// reserve adds n to used unless that exceeds most.
func reserve(used *atomic.Int64, n, most int64) bool {
	if used.Add(n) <= most {
		return true
	}
	used.Add(-n)
	return false
}
