package main

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a configuration file must be left alone before it is read:
// editors write, rename and touch it in quick succession.
const settle = 250 * time.Millisecond

// reloadOnChange reloads when the configuration file has other content than
// before. Its folder is watched, not the file: editors put a new file in the
// old one's place, and Kubernetes turns a symbolic link around.
func (s *service) reloadOnChange(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(filepath.Dir(s.config.File))
	}
	if err != nil {
		s.log.Warn("the configuration file is not watched; reload it with SIGHUP or flask2ban reload", "file", s.config.File, "error", err)
		<-ctx.Done()
		return nil
	}
	seen := digest(s.config.File)
	calm := time.NewTimer(settle)
	defer calm.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			calm.Reset(settle)
		case err := <-watcher.Errors:
			s.log.Warn("watching the configuration file", "file", s.config.File, "error", err)
			calm.Reset(settle)
		case <-calm.C:
			seen = s.reloadIfChanged(ctx, seen)
		}
	}
}

// reloadIfChanged reloads where the file's content is another one, and returns
// its digest. A file that isn't there is about to come back, or was removed: the
// configuration stays as it is.
func (s *service) reloadIfChanged(ctx context.Context, seen [sha256.Size]byte) [sha256.Size]byte {
	now := digest(s.config.File)
	if now == seen || now == [sha256.Size]byte{} {
		return seen
	}
	if err := s.reload(ctx); err != nil {
		s.log.Error("the configuration file has changed", "file", s.config.File, "error", err)
	}
	return now
}

// digest tells one content of a file from another; zero where it can't be read.
func digest(file string) [sha256.Size]byte {
	content, err := os.ReadFile(file)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(content)
}
