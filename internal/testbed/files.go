package testbed

import (
	"os"
	"path/filepath"
)

// PublicDir makes a temporary directory that every user can read, with files by
// their path in it. Its name is short enough for a socket's. The caller removes it,
// also where there is an error.
func PublicDir(files map[string]string) (dir string, err error) {
	dir, err = os.MkdirTemp("", "public-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return dir, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return dir, err
		}
	}
	return dir, nil
}
