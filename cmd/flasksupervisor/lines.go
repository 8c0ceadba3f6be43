package main

import (
	"context"
	"io"
	"sync"
)

// keptLines is how many lines of the app's output are kept for "logs"; a line
// has at most 16 KiB.
const keptLines = 2000

// lines is the end of the app's output. It passes everything on.
type lines struct {
	to io.Writer

	mu      sync.Mutex
	kept    [][]byte
	written int           // lines in all, of which kept are the last
	more    chan struct{} // closed with the next line
}

func newLines(to io.Writer) *lines { return &lines{to: to, more: make(chan struct{})} }

// Write takes one line, as internal/app writes them.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	if len(l.kept) >= keptLines {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, append([]byte(nil), line...))
	l.written++
	close(l.more)
	l.more = make(chan struct{})
	l.mu.Unlock()
	return l.to.Write(line)
}

// since are the lines after the first n, of those that are kept.
func (l *lines) since(n int) (lines [][]byte, written int, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	skip := max(0, n-(l.written-len(l.kept)))
	return append([][]byte(nil), l.kept[min(skip, len(l.kept)):]...), l.written, l.more
}

// show writes the last n lines, and where follow is set, what comes until ctx
// ends. A reader that is too slow misses lines.
func (l *lines) show(ctx context.Context, w io.Writer, n int, follow bool) error {
	_, written, _ := l.since(0)
	at := max(0, written-n)
	for {
		next, written, more := l.since(at)
		for _, line := range next {
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		at = written
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}
