package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that we started.
type process struct {
	cmd   *exec.Cmd
	name  string
	ended chan struct{}
	log   lockedBuffer
}

// startProcess starts a program in a process group of its own, so that Ctrl-C
// reaches it through us only.
func startProcess(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, name: name, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is told by alive's callers
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// failure says why the program ended, nil while it runs.
func (p *process) failure() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, p.log.tail())
	default:
		return nil
	}
}

// stopTime is what a program has for an orderly end.
const stopTime = 5 * time.Second

// stop ends the program and all that it started: TERM first, then KILL to
// those of its tree that are left, each by its id.
func (p *process) stop() {
	tree := treeOf(p.pid())
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
	}
	for _, id := range tree {
		if now, err := readStat(id.pid); err == nil && now.start == id.start {
			_ = syscall.Kill(id.pid, syscall.SIGKILL)
		}
	}
	<-p.ended
}

// stat is what /proc/PID/stat says of a process (proc(5)).
type stat struct {
	pid, parent int
	start       uint64        // ticks after boot: tells a reused pid
	cpu         time.Duration // user and system, of all threads, children not counted
	rss         int64         // bytes
}

// tick is a clock tick of /proc: USER_HZ is 100 on every Linux that Go has.
const tick = 10 * time.Millisecond

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(pid, data)
}

// parseStat reads a line of /proc/PID/stat. The program's name, in
// parentheses, may hold spaces and parentheses itself.
func parseStat(pid int, line []byte) (stat, error) {
	end := bytes.LastIndexByte(line, ')')
	fields := strings.Fields(string(line[end+1:]))
	if end < 0 || len(fields) < 22 {
		return stat{}, fmt.Errorf("/proc/%d/stat: cannot read %q", pid, line)
	}
	var n [22]int64
	for _, i := range []int{1, 11, 12, 19, 21} {
		v, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		n[i] = v
	}
	return stat{
		pid: pid, parent: int(n[1]), start: uint64(n[19]),
		cpu: time.Duration(n[11]+n[12]) * tick,
		rss: n[21] * int64(os.Getpagesize()),
	}, nil
}

// treeOf is a process with its descendants, as they are now.
func treeOf(root int) []stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]stat{}
	var tree []stat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if err != nil {
			continue // it ended meanwhile
		}
		if pid == root {
			tree = append(tree, s)
		}
		children[s.parent] = append(children[s.parent], s)
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree
}

// runs says whether a process runs this program.
func runs(pid int, program string) bool {
	path, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && strings.TrimSuffix(path, " (deleted)") == program
}

// lockedBuffer keeps the end of a program's output.
type lockedBuffer struct {
	mu   sync.Mutex
	data []byte
}

const maxOutput = 16 << 10

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	if len(b.data) > maxOutput {
		b.data = append(b.data[:0], b.data[len(b.data)-maxOutput:]...)
	}
	return len(p), nil
}

func (b *lockedBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}

// poll asks again and again until ok, an error, or the time is up.
func poll(ctx context.Context, limit time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("not ready in time")
		case <-ticker.C:
		}
	}
}
