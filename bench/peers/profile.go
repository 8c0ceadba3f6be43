package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// profiles is where flask2ban's processes write what they measured of
// themselves; empty where they measure nothing.
type profiles string

// env is what a process needs to write there.
func (p profiles) env() []string {
	if p == "" {
		return nil
	}
	return append(os.Environ(), "CPUPROFILE_DIR="+string(p))
}

// merge makes one profile of all, once the processes have ended.
func (p profiles) merge(ctx context.Context, to string) error {
	files, err := filepath.Glob(filepath.Join(string(p), "*.prof"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no process left a profile in %s; a -flask2ban of your own must be built with -tags cpuprofile", p)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto", "-output", to}, files...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("merge the profiles: %w\n%s", err, text)
	}
	return nil
}
