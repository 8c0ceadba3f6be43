package state

import (
	"os"
	"path/filepath"
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
	for text, want := range map[string]string{
		`{"mode": `:                               `unexpected end of JSON input`,
		`{"mode": "obsreve"}`:                     `mode "obsreve": want enforce or observe`,
		`{"rules": {"login": ""}}`:                `mode "" of rule "login": want enforce or observe`,
		`{"ignore": [{"client": "192.0.2.1/x"}]}`: `ignored client "192.0.2.1/x": want an address or a network`,
		`{"ignore": [{}]}`:                        `ignored client "": want an address or a network`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadOverrides(dir)
		if want := path + ": " + want + "; remove the file to go on without what was changed at run time"; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
		if got.Mode != "" || got.Rules != nil || got.Ignore != nil {
			t.Errorf("%s: half of it is in force: %+v", text, got)
		}
	}
}

func TestOverridesThatCannotBeWritten(t *testing.T) {
	if err := (Overrides{}).Write(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("written into a directory that isn't there")
	}
}
