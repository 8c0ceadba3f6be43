package extract

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unreadable puts a file there that can't be read, by root neither: a process's memory
// at address 0 (proc(5)).
func unreadable(t *testing.T, name string) {
	t.Helper()
	if err := os.Symlink("/proc/self/mem", name); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadableModule: what is in it is not known, which is no complete table.
func TestUnreadableModule(t *testing.T) {
	dir := t.TempDir()
	source := "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef index(): return ''\nimport views\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	unreadable(t, filepath.Join(dir, "views.py"))
	e, err := resolveIn(dir, "app.py")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(t.Context(), e, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Complete || len(p.Unresolved) != 1 || p.Unresolved[0].File != "views.py" || p.Unresolved[0].Prefix != "/" ||
		p.Unresolved[0].Reason != "the module can't be read: input/output error" {
		t.Errorf("complete %v, unresolved %+v; want views.py, everywhere", p.Complete, p.Unresolved)
	}
	if len(p.Routes) != 2 {
		t.Errorf("routes %+v, want / and the static folder", p.Routes)
	}
}

// TestUnreadableEntry is said to be that.
func TestUnreadableEntry(t *testing.T) {
	dir := t.TempDir()
	unreadable(t, filepath.Join(dir, "app.py"))
	_, err := resolveIn(dir, "app.py")
	if err == nil || !errors.Is(err, ErrNoEntry) || !strings.Contains(err.Error(), "app.py: input/output error") {
		t.Errorf("got %v", err)
	}
}
