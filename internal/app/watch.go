package app

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// watchPause ends a burst of changes: an editor's, a deployment's.
	watchPause = 500 * time.Millisecond
	// maxWatched bounds the directories that are watched.
	maxWatched = 2000
)

// unwatched are directories whose Python is not the app's own.
var unwatched = map[string]bool{
	"__pycache__": true, "node_modules": true, "site-packages": true, "venv": true, "env": true,
}

// watch replaces the app whenever Python files below its directory have
// changed, until ctx ends.
func (a *App) watch(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		a.log.Error("the app's source is not watched", "error", err)
		return
	}
	defer w.Close()
	home := a.target.Load().home
	a.watchBelow(w, home)
	a.log.Info("watching the app's source", "directory", home, "directories", len(w.WatchList()))
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	var changed string
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.Events:
			if e.Has(fsnotify.Create) && filepath.Ext(e.Name) == "" {
				a.watchBelow(w, e.Name)
			}
			if filepath.Ext(e.Name) == ".py" && !e.Has(fsnotify.Chmod) {
				changed = e.Name
				quiet.Reset(watchPause)
			}
		case err := <-w.Errors:
			a.log.Warn("watching the app's source", "error", err)
		case <-quiet.C:
			a.reload(ctx, "its source has changed: "+changed)
		}
	}
}

// watchBelow watches a directory and those below it.
func (a *App) watchBelow(w *fsnotify.Watcher, dir string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil
		case path != dir && (unwatched[d.Name()] || strings.HasPrefix(d.Name(), ".") || isVirtualEnv(path)):
			return filepath.SkipDir
		case len(w.WatchList()) >= maxWatched:
			a.log.Warn("the app has too many directories: some are not watched", "bound", maxWatched)
			return filepath.SkipAll
		}
		if err := w.Add(path); err != nil {
			a.log.Warn("a directory of the app is not watched", "directory", path, "error", err)
		}
		return nil
	})
}
