package state

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestCreateLeavesTheParentOpen: below it are other services' directories, of
// other users, whatever root's umask is.
func TestCreateLeavesTheParentOpen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's parent is for others, too")
	}
	defer syscall.Umask(syscall.Umask(0o077))
	parent := filepath.Join(t.TempDir(), "flask2ban")
	for _, name := range []string{"a", "b"} {
		if err := Create(filepath.Join(parent, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]fs.FileMode{parent: 0o755, filepath.Join(parent, "a"): 0o700, filepath.Join(parent, "b"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// TestCreateSaysWhoCloses: a parent that root has closed, as earlier versions did.
func TestCreateSaysWhoCloses(t *testing.T) {
	parent := t.TempDir()
	os.Chmod(parent, 0o700)
	want := fmt.Sprintf(" (%s is closed to user %d: sudo chmod 755 %s)", parent, os.Geteuid(), parent)
	if got := openHint(parent, &fs.PathError{Op: "mkdir", Path: parent + "/a", Err: syscall.EACCES}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := openHint(parent, syscall.ENOSPC); got != "" {
		t.Errorf("of a full disk: %q", got)
	}
	os.Chmod(parent, 0o755)
	if got := openHint(parent, syscall.EACCES); got != "" {
		t.Errorf("of an open one: %q", got)
	}
}
