package state

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestAuditIsKeptAndBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, AuditFile)
	write := func(line string, times int) {
		t.Helper()
		a, err := OpenAudit(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for range times {
			if _, err := a.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("first\n", 1)
	write("second\n", 1)
	if got, _ := os.ReadFile(path); string(got) != "first\nsecond\n" {
		t.Errorf("got %q", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), 1<<20)
	write(string(line), 9)
	for name, want := range map[string]int64{path: 1 << 20, path + ".1": 4 << 20} {
		if info, err := os.Stat(name); err != nil || info.Size() != want {
			t.Errorf("%s: %v, %v; want %d bytes", name, info, err, want)
		}
	}
}

// TestAuditGoesOn: no line is lost because a full file can't be put aside, and it
// is put aside as soon as it can.
func TestAuditGoesOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, AuditFile)
	if err := os.MkdirAll(filepath.Join(path+".1", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	a, err := OpenAudit(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Write(bytes.Repeat([]byte("x"), maxAudit)); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Write([]byte("kept\n")); n != 5 || err == nil {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if got, _ := os.ReadFile(path); len(got) != maxAudit+5 {
		t.Errorf("the file has %d bytes, want %d", len(got), maxAudit+5)
	}
	if err := os.RemoveAll(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("next\n")); err != nil {
		t.Error(err)
	}
	// Somebody may have taken the file away.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(bytes.Repeat([]byte("y"), maxAudit)); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); len(got) != maxAudit {
		t.Errorf("the new file has %d bytes", len(got))
	}
}

func TestAuditThatCannotBeWritten(t *testing.T) {
	if _, err := OpenAudit(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}
