package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// memoryGroup is a control group whose processes get so much memory and no
// more: what asks for more, the kernel kills.
type memoryGroup struct {
	dir    string
	events string
}

// hierarchy is a mounted cgroup file system that can bound memory.
type hierarchy struct {
	root string
	// has is a file of its root that lists, or is, the memory controller.
	has, controller string
	// limit and swap take the bound; events tells of kills.
	limit, swap, events string
}

// hierarchies are where cgroup v2 and v1 are mounted (cgroups(7)).
var hierarchies = []hierarchy{
	{"/sys/fs/cgroup", "cgroup.subtree_control", "memory", "memory.max", "memory.swap.max", "memory.events"},
	{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control"},
}

// newMemoryGroup makes a group with a limit in bytes. Its error is errUnavailable
// where the machine, or our rights, have none.
func newMemoryGroup(among []hierarchy, limit int) (*memoryGroup, error) {
	err := errors.New("no control groups for memory are mounted")
	for _, h := range among {
		has, missing := os.ReadFile(filepath.Join(h.root, h.has))
		if missing != nil || !strings.Contains(string(has), h.controller) {
			continue
		}
		var g *memoryGroup
		if g, err = h.group(limit); err == nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("the kernel's OOM killer for one process is %w: %v", errUnavailable, err)
}

func (h hierarchy) group(limit int) (*memoryGroup, error) {
	dir, err := os.MkdirTemp(h.root, "flask2ban-faults-")
	if err != nil {
		return nil, err
	}
	g := &memoryGroup{dir: dir, events: h.events}
	if err := g.write(h.limit, limit); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	// v2 bounds swap beside memory, v1 both together; neither has the file where
	// swap isn't accounted.
	swap := limit
	if h.controller != "" {
		swap = 0
	}
	if err := g.write(h.swap, swap); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return g, nil
}

// write sets a value of the group. Its files are the kernel's: none is made.
func (g *memoryGroup) write(name string, value int) error {
	f, err := os.OpenFile(filepath.Join(g.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(value))
	return errors.Join(err, f.Close())
}

// add puts a process into the group; its memory until now stays another's.
func (g *memoryGroup) add(pid int) error { return g.write("cgroup.procs", pid) }

// kills counts the processes that the kernel has killed in the group.
func (g *memoryGroup) kills() (int, error) {
	data, err := os.ReadFile(filepath.Join(g.dir, g.events))
	if err != nil {
		return 0, err
	}
	return killsIn(string(data))
}

// killsIn reads the line "oom_kill 1" among "oom 3" and others.
func killsIn(events string) (int, error) {
	for line := range strings.Lines(events) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return strconv.Atoi(text)
		}
	}
	return 0, fmt.Errorf("no oom_kill in %q", events)
}

// close removes the group as soon as nothing runs in it.
func (g *memoryGroup) close(ctx context.Context) {
	_ = testbed.Poll(context.WithoutCancel(ctx), 10*time.Second, func() (bool, error) {
		return os.Remove(g.dir) == nil, nil // it is busy until its processes are gone
	})
}
