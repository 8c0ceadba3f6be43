package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must be left alone before they are read: editors
// write, rename and touch them in quick succession.
const settle = 250 * time.Millisecond

// watchedFiles are files that are read again when they change.
type watchedFiles struct {
	what  string // for a person: "configuration file"
	files []string
	read  func(context.Context) error
	log   *slog.Logger
	// seen is the digest of what was read last.
	seen [sha256.Size]byte
}

// watched are files as they were read just now: what changes from here on is
// noticed, also before they are watched.
func (s *service) watched(what string, files []string, read func(context.Context) error) *watchedFiles {
	w := &watchedFiles{what: what, files: files, read: read, log: s.log}
	w.seen = w.digest()
	return w
}

func (s *service) configFile() *watchedFiles {
	return s.watched("configuration file", []string{s.config.File}, func(context.Context) error { _, err := s.reload(); return err })
}

// watch reads the files again when their content is another one than before.
// Their folders are watched, not they: editors put a new file in the old one's
// place, and certbot and Kubernetes turn symbolic links around.
func (w *watchedFiles) watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		for _, file := range w.files {
			if err == nil {
				err = watcher.Add(filepath.Dir(file))
			}
		}
	}
	if err != nil {
		w.log.Warn("the "+w.what+" is not watched; reload it with SIGHUP or flask2ban reload", "files", w.files, "error", err)
		<-ctx.Done()
		return nil
	}
	calm := time.NewTimer(settle)
	defer calm.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			calm.Reset(settle)
		case err := <-watcher.Errors:
			w.log.Warn("watching the "+w.what, "files", w.files, "error", err)
			calm.Reset(settle)
		case <-calm.C:
			w.readIfChanged(ctx)
		}
	}
}

// readIfChanged reads where the files' content is another one. A file that isn't
// there is about to come back, or was removed: what was read of it stays in force.
func (w *watchedFiles) readIfChanged(ctx context.Context) {
	now := w.digest()
	if now == w.seen || now == [sha256.Size]byte{} {
		return
	}
	if err := w.read(ctx); err != nil {
		w.log.Error("the "+w.what+" has changed", "files", w.files, "error", err)
	}
	w.seen = now
}

// digest tells one content of the files from another; zero where one can't be
// read.
func (w *watchedFiles) digest() [sha256.Size]byte {
	var all []byte
	for _, file := range w.files {
		content, err := os.ReadFile(file)
		if err != nil {
			return [sha256.Size]byte{}
		}
		sum := sha256.Sum256(content)
		all = append(all, sum[:]...)
	}
	return sha256.Sum256(all)
}
