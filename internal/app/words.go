package app

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// drainPatience is how long the question whether a request was begun may wait
// for what the hook has written before.
const drainPatience = 100 * time.Millisecond

// words is the reading end of the hook's pipe. It knows whether all that was
// written has been read: an app that has just died may have said something.
type words struct {
	pipe    *os.File
	waiting atomic.Bool // in a read, with every whole line dispatched
	ended   atomic.Bool
}

var _ io.Reader = (*words)(nil)

// Read is called by readPipe only when it has no whole line left.
func (w *words) Read(p []byte) (int, error) {
	w.waiting.Store(true)
	n, err := w.pipe.Read(p)
	w.waiting.Store(false)
	return n, err
}

func (w *words) read(to listener) {
	defer w.ended.Store(true)
	readPipe(w, to)
}

// drained says, within drainPatience, whether all words have been heard.
func (w *words) drained() bool {
	for end := time.Now().Add(drainPatience); ; time.Sleep(time.Millisecond) {
		if w.ended.Load() || w.empty() && w.waiting.Load() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (w *words) empty() bool {
	raw, err := w.pipe.SyscallConn()
	if err != nil {
		return true // closed
	}
	left := 0
	err = raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return err != nil || left == 0
}
