package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

func TestKillsIn(t *testing.T) {
	for _, tt := range []struct {
		name, events string
		want         int
		wrong        bool
	}{
		{"v2", "low 0\nhigh 0\nmax 31\noom 4\noom_kill 3\noom_group_kill 1\n", 3, false},
		{"v1", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 1, false},
		{"v1 before Linux 4.13", "oom_kill_disable 0\nunder_oom 0\n", 0, true},
		{"no number", "oom_kill many\n", 0, true},
		{"nothing", "", 0, true},
	} {
		got, err := killsIn(tt.events)
		if got != tt.want || (err != nil) != tt.wrong {
			t.Errorf("%s: got %d, %v; want %d", tt.name, got, err, tt.want)
		}
	}
}

// TestNoMemoryGroup: a machine without control groups, with others only, and one that
// has no rights for them, says that the fault is not to be had; and nothing is left.
func TestNoMemoryGroup(t *testing.T) {
	empty, plain := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, "cgroup.subtree_control"), []byte("cpu memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "cgroup.subtree_control"), []byte("cpu pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]string{"nothing there": empty, "another controller": other, "a directory that is no cgroup": plain} {
		h := hierarchies[0]
		h.root = root
		if _, err := newMemoryGroup([]hierarchy{h}, 64<<20); !errors.Is(err, errUnavailable) {
			t.Errorf("%s: got %v", name, err)
		}
		if left, err := filepath.Glob(filepath.Join(root, "flask2ban-*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

// TestTheKernelKills has the kernel kill a process that takes more than its group may.
func TestTheKernelKills(t *testing.T) {
	g, err := newMemoryGroup(hierarchies, 32<<20)
	if errors.Is(err, errUnavailable) {
		t.Skip(err) // says why
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", "input(); x = b'x' * (200 << 20); print('took it')")
	tell, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := testbed.Start("eater", cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(0)
	if err := g.add(p.PID()); err != nil {
		t.Fatal(err)
	}
	if n, err := g.kills(); n != 0 || err != nil {
		t.Errorf("%d kills before: %v", n, err)
	}
	if _, err := tell.Write([]byte("eat\n")); err != nil {
		t.Fatal(err)
	}
	<-p.Done
	if n, err := g.kills(); n != 1 || err != nil {
		t.Errorf("%d kills, %v; it ended as %s: %s", n, err, p.Cmd.ProcessState, p.Log.Tail())
	}
	g.close(t.Context())
	if _, err := os.Stat(g.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", g.dir, err)
	}
}
