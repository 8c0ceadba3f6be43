package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOverridesOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	if got, err := ReadOverrides(dir); err != nil || !cmp.Equal(got, Overrides{}) {
		t.Errorf("of a new directory: %+v, %v", got, err)
	}
	want := Overrides{
		Mode: "observe", Rules: map[string]string{"slow": "enforce"},
		Ignore: []Ignored{{Client: "192.0.2.0/24", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}},
	}
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := ReadOverrides(dir)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestBrokenOverridesAreAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "overrides.json")
	if err := os.WriteFile(path, []byte(`{"mode": `), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadOverrides(dir)
	if want := path + ": unexpected end of JSON input; remove the file to go on without"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOverridesThatCannotBeWritten(t *testing.T) {
	if err := (Overrides{}).Write(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("written into a directory that isn't there")
	}
}
