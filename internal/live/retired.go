package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// Grace is how long a route that a new version of the app lacks is not held
// against anyone: bookmarks and cached scripts still ask for it.
const Grace = 7 * 24 * time.Hour

// History remembers in a file which routes the app had, and when last. It is
// safe for concurrent use, and Retired never waits for the file.
type History struct {
	path  string
	write sync.Mutex // one writer of the file
	mu    sync.Mutex // guards seen
	seen  map[string]pastRoute
}

// pastRoute is one route as the file holds it.
type pastRoute struct {
	routes.Route
	Last time.Time `json:"last"`
}

// maxHistory bounds the file's routes.
const maxHistory = 10000

// OpenHistory reads the file at path. A missing file is an empty history; one
// that can't be read is moved aside to path+".corrupt" and told of in the
// error, beside a usable empty history.
func OpenHistory(path string) (*History, error) {
	h := &History{path: path, seen: map[string]pastRoute{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	var past []pastRoute
	if err == nil {
		err = json.Unmarshal(b, &past)
	}
	if err != nil {
		aside := path + ".corrupt"
		return h, errors.Join(
			fmt.Errorf("read %s: %w; moved to %s, old routes get no grace this time", path, err, aside),
			os.Rename(path, aside))
	}
	for _, p := range past {
		h.seen[routeKey(p.Route)] = p
	}
	return h, nil
}

// Retired are the routes that the app had within grace before now and that
// project lacks. The table leaves out those that match too much.
func (h *History) Retired(project *routes.Project, now time.Time, grace time.Duration) []routes.Route {
	have := make(map[string]bool, len(project.Routes))
	for _, r := range project.Routes {
		have[routeKey(r)] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var retired []routes.Route
	for key, p := range h.seen {
		if !have[key] && now.Sub(p.Last) < grace {
			retired = append(retired, p.Route)
		}
	}
	return retired
}

// Note remembers that the app has project's routes now, forgets those last
// seen longer than grace ago, and writes the file.
func (h *History) Note(project *routes.Project, now time.Time, grace time.Duration) error {
	h.write.Lock()
	defer h.write.Unlock()
	b, err := json.Marshal(h.note(project, now, grace))
	if err != nil {
		return err
	}
	return writeFile(h.path, b)
}

// note is Note in memory; it returns what to write.
func (h *History) note(project *routes.Project, now time.Time, grace time.Duration) []pastRoute {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, p := range h.seen {
		if now.Sub(p.Last) >= grace {
			delete(h.seen, key)
		}
	}
	for _, r := range project.Routes {
		key := routeKey(r)
		if _, known := h.seen[key]; known || len(h.seen) < maxHistory {
			h.seen[key] = pastRoute{Route: r, Last: now.UTC()}
		}
	}
	past := make([]pastRoute, 0, len(h.seen))
	for _, p := range h.seen {
		past = append(past, p)
	}
	return past
}

func routeKey(r routes.Route) string {
	return r.Host + "\x00" + r.Subdomain + "\x00" + r.Rule
}

// writeFile replaces a file whole or not at all.
func writeFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}
