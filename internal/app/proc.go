package app

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// process is one line of the process table.
type process struct {
	pid, parent, group int // group is its process group's id
	state              byte
}

// processes reads the process table from /proc.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	list := make([]process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := processOf(pid); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// processOf reads one process; an error mostly means that it has ended.
func processOf(pid int) (process, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}
	p, ok := parseStat(pid, stat)
	if !ok {
		return process{}, fmt.Errorf("read /proc/%d/stat: not as proc(5) says", pid)
	}
	return p, nil
}

// parseStat reads a line of /proc/PID/stat (proc(5)). The command's name may
// have any characters, so what counts begins after the last parenthesis.
func parseStat(pid int, stat []byte) (process, bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 3 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	if err1 != nil || err2 != nil {
		return process{}, false
	}
	return process{pid: pid, parent: parent, group: group, state: fields[0][0]}, true
}

// descendants are the processes below root, zombies left out.
func descendants(list []process, root int) []int {
	below := []int{root}
	for i := 0; i < len(below); i++ {
		for _, p := range list {
			if p.parent == below[i] && !slices.Contains(below, p.pid) {
				below = append(below, p.pid)
			}
		}
	}
	alive := slices.DeleteFunc(below[1:], func(pid int) bool {
		i := slices.IndexFunc(list, func(p process) bool { return p.pid == pid })
		return i >= 0 && list[i].state == 'Z'
	})
	return alive
}
