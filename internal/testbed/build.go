package testbed

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds packages of the module at root, as "./cmd/...", into the directory
// out. It looks at each of the module's files: "go test" then knows that the test's
// result depends on them, and does not repeat one of other sources from its cache
// (go help test).
func Build(root, out string, packages ...string) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin"):
			return filepath.SkipDir
		case entry.Type().IsRegular():
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		return err
	}
	args := append([]string{"build", "-C", root, "-o", out + "/"}, packages...)
	if said, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, said)
	}
	return nil
}
