package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// watching watches files until the test ends, and counts how often they were read.
func watching(t *testing.T, fails error, files ...string) (read *atomic.Int32, log *testbed.Log) {
	t.Helper()
	read, log = new(atomic.Int32), new(testbed.Log)
	s := &service{log: slog.New(slog.NewTextHandler(log, nil))}
	beginWatch(t, s.watched("configuration file", files, func(context.Context) error { read.Add(1); return fails }))
	return read, log
}

// beginWatch watches until the test ends.
func beginWatch(t *testing.T, w *watchedFiles) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.watch(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// settled returns when a change must have been noticed.
func settled(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(3 * settle):
	case <-t.Context().Done():
	}
}

// awaitReads waits until the files were read so often, and no more often.
func awaitReads(t *testing.T, read *atomic.Int32, want int32, why string) {
	t.Helper()
	if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) { return read.Load() >= want, nil }); err != nil {
		t.Fatalf("%s: read %d times, want %d", why, read.Load(), want)
	}
	if got := read.Load(); got != want {
		t.Errorf("%s: read %d times, want %d", why, got, want)
	}
}

// put replaces a file as editors do.
func put(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o644), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
}

// TestFilesAreReadWhenTheirContentChanges: once for all that an editor does at a time, not for a
// touch or a file that is gone, and again when it is back with something else.
func TestFilesAreReadWhenTheirContentChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put(t, cert, "one")
	put(t, key, "one")
	read, _ := watching(t, nil, cert, key)
	settled(t)
	awaitReads(t, read, 0, "nothing has changed")
	began := time.Now()
	put(t, cert, "two")
	put(t, key, "two")
	if took := time.Since(began); took > settle {
		t.Skipf("others take the machine: two files were written within %v, not within %v", took, settle)
	}
	awaitReads(t, read, 1, "both have changed at a time")
	put(t, cert, "two")
	if err := os.Chtimes(key, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	settled(t)
	awaitReads(t, read, 1, "the same content was written again")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	settled(t)
	awaitReads(t, read, 1, "one is gone")
	put(t, key, "three")
	awaitReads(t, read, 2, "it is back, and another")
	put(t, filepath.Join(dir, "other"), "x")
	settled(t)
	awaitReads(t, read, 2, "another file of the folder")
}

// TestChangedBeforeItIsWatched: what changes while the app starts is noticed, too.
func TestChangedBeforeItIsWatched(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	put(t, file, "one")
	var read atomic.Int32
	w := (&service{log: slog.New(slog.DiscardHandler)}).watched("configuration file", []string{file}, func(context.Context) error { read.Add(1); return nil })
	put(t, file, "two")
	beginWatch(t, w)
	awaitReads(t, &read, 1, "it has changed since it was read")
}

// TestTurnedLinks: certbot and Kubernetes put a link to another place.
func TestTurnedLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, version, "config.yaml"), version)
	}
	link, file := filepath.Join(dir, "..data"), filepath.Join(dir, "config.yaml")
	if err := errors.Join(os.Symlink("v1", link), os.Symlink("..data/config.yaml", file)); err != nil {
		t.Fatal(err)
	}
	read, _ := watching(t, nil, file)
	if err := errors.Join(os.Symlink("v2", link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	awaitReads(t, read, 1, "the link was turned")
}

// TestReadingFails: it is told, with the file, and tried again with the next content only.
func TestReadingFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	put(t, file, "one")
	read, log := watching(t, errors.New("line 3: unknown key"), file)
	put(t, file, "two")
	awaitReads(t, read, 1, "it has changed")
	if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) { return log.String() != "", nil }); err != nil {
		t.Fatal("nothing was told")
	}
	if said := log.String(); !strings.Contains(said, "unknown key") || !strings.Contains(said, file) {
		t.Errorf("told %q", said)
	}
	settled(t)
	awaitReads(t, read, 1, "it has not changed since")
}

// TestNobodyToWatch: a folder that isn't there is told of, and ends nothing.
func TestNobodyToWatch(t *testing.T) {
	t.Parallel()
	read, log := watching(t, nil, filepath.Join(t.TempDir(), "gone", "config.yaml"))
	if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) {
		return strings.Contains(log.String(), "is not watched; reload it with SIGHUP"), nil
	}); err != nil {
		t.Errorf("told %q", log.String())
	}
	awaitReads(t, read, 0, "nothing is there")
}
