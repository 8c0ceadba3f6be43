package replay

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// tail reads a file that grows, as tail -F does: when it was renamed and made
// anew it reads the old one to its end and goes on with the new one, and when
// it was cut off it begins again. Read returns io.EOF when ctx ends.
type tail struct {
	ctx  context.Context // the end of following is the reader's end
	path string
	file *os.File
	at   int64
	read *atomic.Int64
	// gone says that path names another file. This one is read once more after
	// a pause, and waited set: a server goes on to write to it until all of its
	// processes have opened the new one.
	gone, waited bool
}

// tailEvery is how often a file that has ended is looked at.
const tailEvery = 200 * time.Millisecond

func openTail(ctx context.Context, path string, read *atomic.Int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &tail{ctx: ctx, path: path, file: f, read: read}, nil
}

func (t *tail) Close() error { return t.file.Close() }

func (t *tail) Read(p []byte) (int, error) {
	for {
		n, err := t.file.Read(p)
		if n > 0 {
			t.at += int64(n)
			t.read.Add(int64(n))
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if t.waited {
			if err := t.reopen(); err != nil {
				return 0, err
			}
			continue
		}
		if !t.pause() {
			return 0, io.EOF
		}
		if t.waited = t.gone; t.gone {
			continue
		}
		if err := t.look(); err != nil {
			return 0, err
		}
	}
}

// pause waits a little; false where ctx ended.
func (t *tail) pause() bool {
	timer := time.NewTimer(tailEvery)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// look finds out whether the file is still the one at path. One that is not
// there now will come again: logrotate renames before the server makes it.
func (t *tail) look() error {
	mine, err := t.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(t.path)
	switch {
	case err != nil:
		return nil
	case !os.SameFile(mine, named):
		t.gone = true
	case mine.Size() < t.at:
		t.at = 0
		_, err = t.file.Seek(0, io.SeekStart)
		return err
	}
	return nil
}

func (t *tail) reopen() error {
	f, err := os.Open(t.path)
	if errors.Is(err, os.ErrNotExist) {
		t.gone, t.waited = false, false // between two renames: look again
		return nil
	}
	if err != nil {
		return err
	}
	err = t.file.Close()
	t.file, t.gone, t.waited, t.at = f, false, false, 0
	return err
}
