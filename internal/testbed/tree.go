package testbed

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Stat is what /proc/PID/stat says of a process (proc(5)).
type Stat struct {
	PID, Parent int
	// Start is in ticks after boot; it tells a process from another one that
	// got the same id later.
	Start uint64
	// CPU is user and system time of all threads, without its children.
	CPU time.Duration
	// RSS is in bytes.
	RSS int64
	// State is one letter: R, S, T, Z ...
	State byte
}

// tick is a clock tick of /proc: USER_HZ is 100 on every Linux that Go has.
const tick = 10 * time.Millisecond

// ReadStat looks a process up. Its error says that there is none.
func ReadStat(pid int) (Stat, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Stat{}, err
	}
	return parseStat(pid, data)
}

// parseStat reads a line of /proc/PID/stat. The program's name, in
// parentheses, may hold spaces and parentheses itself.
func parseStat(pid int, line []byte) (Stat, error) {
	end := bytes.LastIndexByte(line, ')')
	fields := strings.Fields(string(line[end+1:]))
	if end < 0 || len(fields) < 22 {
		return Stat{}, fmt.Errorf("/proc/%d/stat: cannot read %q", pid, line)
	}
	var n [22]int64
	for _, i := range []int{1, 11, 12, 19, 21} {
		v, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return Stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		n[i] = v
	}
	return Stat{
		PID: pid, Parent: int(n[1]), Start: uint64(n[19]), State: fields[0][0],
		CPU: time.Duration(n[11]+n[12]) * tick,
		RSS: n[21] * int64(os.Getpagesize()),
	}, nil
}

// TreeOf is a process with its descendants, as they are now; empty where there
// is no such process.
func TreeOf(root int) []Stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]Stat{}
	var tree []Stat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := ReadStat(pid)
		if err != nil {
			continue // it ended meanwhile
		}
		if pid == root {
			tree = append(tree, s)
		}
		children[s.Parent] = append(children[s.Parent], s)
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].PID]...)
	}
	return tree
}

// Alive says that a process runs: zombies, whom nobody has waited for, don't.
func Alive(pid int) bool {
	s, err := ReadStat(pid)
	return err == nil && s.State != 'Z'
}

// alive are those of a list that still run.
func alive(list []Stat) []Stat {
	var left []Stat
	for _, s := range list {
		if now, err := ReadStat(s.PID); err == nil && now.Start == s.Start && now.State != 'Z' {
			left = append(left, now)
		}
	}
	return left
}

// Runs says whether a process runs this program, a path.
func Runs(pid int, program string) bool {
	path, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && strings.TrimSuffix(path, " (deleted)") == program
}

// WithVariable are the processes that have an entry NAME=VALUE in the
// environment that they were started with.
func WithVariable(entry string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is sound
	var pids []int
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(append([]byte{0}, data...), []byte("\x00"+entry+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
