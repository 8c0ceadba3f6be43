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

func TestAuditThatCannotBeWritten(t *testing.T) {
	if _, err := OpenAudit(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}
