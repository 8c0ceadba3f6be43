package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

func TestLinesPassOnAndAreKept(t *testing.T) {
	var to strings.Builder
	l := newLines(&to)
	for n := range 5 {
		fmt.Fprintf(l, "line %d\n", n)
	}
	if got := strings.Count(to.String(), "\n"); got != 5 {
		t.Errorf("%d lines were passed on, want 5", got)
	}
	for n, want := range map[int]string{0: "", 2: "line 3\nline 4\n", 5: to.String(), 100: to.String()} {
		var shown strings.Builder
		if err := l.show(t.Context(), &shown, n, false); err != nil || shown.String() != want {
			t.Errorf("the last %d: got %q, %v; want %q", n, shown.String(), err, want)
		}
	}
}

// TestLinesAreBounded: an app that talks all the time takes no more memory, and the end of
// what it said is right.
func TestLinesAreBounded(t *testing.T) {
	l := newLines(io.Discard)
	for n := range 3*keptLines + 7 {
		fmt.Fprintf(l, "line %d\n", n)
	}
	if len(l.kept) != keptLines {
		t.Errorf("%d lines are kept, want %d", len(l.kept), keptLines)
	}
	var shown strings.Builder
	if err := l.show(t.Context(), &shown, 2, false); err != nil || shown.String() != "line 6005\nline 6006\n" {
		t.Errorf("got %q, %v", shown.String(), err)
	}
	shown.Reset()
	if err := l.show(t.Context(), &shown, 1_000_000, false); err != nil || strings.Count(shown.String(), "\n") != keptLines {
		t.Errorf("%d lines, %v", strings.Count(shown.String(), "\n"), err)
	}
}

// TestLinesKeepACopy: internal/app uses its buffer again.
func TestLinesKeepACopy(t *testing.T) {
	l := newLines(io.Discard)
	buffer := []byte("first\n")
	l.Write(buffer)
	copy(buffer, "xxxxx\n")
	var shown strings.Builder
	if l.show(t.Context(), &shown, 1, false); shown.String() != "first\n" {
		t.Errorf("got %q", shown.String())
	}
}

// TestLinesAreFollowed until the reader leaves.
func TestLinesAreFollowed(t *testing.T) {
	l := newLines(io.Discard)
	io.WriteString(l, "before\n")
	ctx, leave := context.WithCancel(t.Context())
	var shown testbed.Log
	ended := make(chan error, 1)
	go func() { ended <- l.show(ctx, &shown, 1, true) }()
	want := "before\n"
	for n := range 3 {
		if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) { return shown.String() == want, nil }); err != nil {
			t.Fatalf("%v: got %q, want %q", err, shown.String(), want)
		}
		line := fmt.Sprintf("line %d\n", n)
		io.WriteString(l, line)
		want += line
	}
	leave()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestReaderThatFails ends its own reading, not the app's output.
func TestReaderThatFails(t *testing.T) {
	l := newLines(io.Discard)
	io.WriteString(l, "line\n")
	if err := l.show(t.Context(), failing{}, 1, true); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if _, err := io.WriteString(l, "another\n"); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
