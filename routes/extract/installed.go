package extract

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// packagesDir says that a directory holds installed packages and nothing else.
func packagesDir(dir string) bool {
	base := filepath.Base(dir)
	return base == "site-packages" || base == "dist-packages"
}

// installed knows which modules beside a project's own were put there by pip
// (--target, a bundle for a cloud's functions): they are extensions.
type installed struct {
	own   string // the entry's top-level module
	mu    sync.Mutex
	names map[string]map[string]bool // by directory
}

// has says that pip put the module called name into dir, other than with the
// distribution of the entry.
func (i *installed) has(dir, name string) bool { return i.in(dir)[name] }

func (i *installed) in(dir string) map[string]bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	names, ok := i.names[dir]
	if !ok {
		names = map[string]bool{}
		for _, d := range recordsIn(dir) {
			if d[i.own] {
				continue
			}
			for name := range d {
				names[name] = true
			}
		}
		if i.names == nil {
			i.names = map[string]map[string]bool{}
		}
		i.names[dir] = names
	}
	return names
}

// recordsIn lists the top-level modules of each distribution that dir holds, as
// its RECORD names them (packaging.python.org, "Recording installed projects").
func recordsIn(dir string) []map[string]bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []map[string]bool
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".dist-info") {
			continue
		}
		src, err := os.ReadFile(filepath.Join(dir, e.Name(), "RECORD"))
		if err != nil {
			continue
		}
		names := map[string]bool{}
		for line := range strings.Lines(string(src)) {
			file, _, _ := strings.Cut(line, ",")
			top, _, _ := strings.Cut(file, "/")
			if top = strings.TrimSuffix(top, ".py"); isIdentifier(top) {
				names[top] = true
			}
		}
		out = append(out, names)
	}
	return out
}
