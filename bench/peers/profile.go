package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// profiles are what flask2ban's processes measure of themselves. The zero value
// has them measure nothing.
type profiles struct {
	dir string // where each process writes its own; temporary
	to  string // the file to make of them
}

// newProfiles has processes measure themselves for a file; an empty name is the
// zero value.
func newProfiles(to string) (profiles, error) {
	if to == "" {
		return profiles{}, nil
	}
	dir, err := os.MkdirTemp("", "flask2ban-profiles-")
	return profiles{dir, to}, err
}

// tags are what the go command needs to build a flask2ban that can.
func (p profiles) tags() []string {
	if p.to == "" {
		return nil
	}
	return []string{"-tags", "cpuprofile"}
}

// env is the environment of a process that is to measure itself; nil is ours.
func (p profiles) env() []string {
	if p.to == "" {
		return nil
	}
	return append(os.Environ(), "CPUPROFILE_DIR="+p.dir)
}

// merge makes one profile of all, once the processes have ended.
func (p profiles) merge(ctx context.Context) error {
	if p.to == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "*.prof"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no process left a profile in %s; a -flask2ban of your own must be built with -tags cpuprofile", p.dir)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto", "-output", p.to}, files...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("merge the profiles: %w\n%s", err, text)
	}
	return nil
}
