package state_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flask2ban/flask2ban/internal/state"
)

// answer accepts connections until the listener closes and greets each.
func answer(t *testing.T, l net.Listener, greeting string) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, greeting)
			conn.Close()
		}
	}()
}

func greeting(t *testing.T, dir string) string {
	t.Helper()
	conn, err := state.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func listen(t *testing.T, dir string) net.Listener {
	t.Helper()
	l, err := state.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestListenIsPrivateAndCleansUp(t *testing.T) {
	dir := t.TempDir()
	l := listen(t, dir)
	answer(t, l, "hello")
	if got := greeting(t, dir); got != "hello" {
		t.Errorf("got %q", got)
	}
	if got := mode(t, state.Socket(dir)); got != 0o600 {
		t.Errorf("mode is %o, want 600", got)
	}
	l.Close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestListenRefusesALiveSocket(t *testing.T) {
	dir := t.TempDir()
	answer(t, listen(t, dir), "first")
	_, err := state.Listen(t.Context(), dir)
	want := "another process already runs with state directory " + dir + ": stop it first, or give this one its own with --state DIR"
	if message(err) != want || !errors.Is(err, state.ErrRunning) {
		t.Errorf("got %q, want %q", message(err), want)
	}
	if got := greeting(t, dir); got != "first" {
		t.Errorf("the first daemon no longer answers: %q", got)
	}
}

func TestListenReplacesTheSocketOfTheDead(t *testing.T) {
	dir := t.TempDir()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: state.Socket(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after kill -9
	dead.Close()
	answer(t, listen(t, dir), "second")
	if got := greeting(t, dir); got != "second" {
		t.Errorf("got %q", got)
	}
}

func TestCloseLeavesASuccessorsSocket(t *testing.T) {
	dir := t.TempDir()
	old := listen(t, dir)
	os.Remove(state.Socket(dir))
	answer(t, listen(t, dir), "successor")
	old.Close()
	if got := greeting(t, dir); got != "successor" {
		t.Errorf("got %q", got)
	}
}

func TestOnlyOneOfManyStartersListens(t *testing.T) {
	dir := t.TempDir()
	const starters = 8
	won := make(chan net.Listener, starters)
	for range starters {
		go func() {
			l, err := state.Listen(context.Background(), dir)
			if err != nil && !errors.Is(err, state.ErrRunning) {
				t.Error(err)
			}
			won <- l
		}()
	}
	listeners := 0
	for range starters {
		if l := <-won; l != nil {
			listeners++
			defer l.Close()
		}
	}
	if listeners != 1 {
		t.Errorf("%d listen, want 1", listeners)
	}
}

func TestLongPathsWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200))
	if err := state.Create(dir); err != nil {
		t.Fatal(err)
	}
	l := listen(t, dir)
	answer(t, l, "far")
	if got := greeting(t, dir); got != "far" {
		t.Errorf("got %q", got)
	}
	l.Close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFindListsThoseThatAnswer(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"b", "a", "dead", "empty"} {
		if err := state.Create(filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(base, "note.txt"), "not a directory")
	write(t, state.Socket(filepath.Join(base, "dead")), "not a socket")
	answer(t, listen(t, filepath.Join(base, "b")), "")
	answer(t, listen(t, filepath.Join(base, "a")), "")
	got, err := state.Find(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(base, "a") + " " + filepath.Join(base, "b"); strings.Join(got, " ") != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, err := state.Find(t.Context(), filepath.Join(base, "none")); got != nil || err != nil {
		t.Errorf("no base: got %v, %v", got, err)
	}
	if _, err := state.Find(t.Context(), filepath.Join(base, "note.txt")); err == nil {
		t.Error("a base that cannot be read is no error")
	}
}
