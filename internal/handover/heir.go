package handover

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Wait waits for the successor's end in its place: it passes signals on. It
// returns the successor's exit code, and is for a process that somebody waits
// for: a shell, a container.
//
// A successor that has given way itself need not wait, too: when it ends, the
// next one becomes our child, and is waited for.
func (s *Successor) Wait(signals <-chan os.Signal) int {
	s.channel.conn.Close()
	debug.FreeOSMemory() // this may last for months
	process, ended := s.cmd.Process, s.ended
	state := func() *os.ProcessState { return s.cmd.ProcessState }
	for {
		select {
		case sig := <-signals:
			process.Signal(sig)
			continue
		case <-ended:
		}
		next := heir()
		if next == nil {
			return codeOf(state())
		}
		done := make(chan struct{})
		var last *os.ProcessState
		go func() {
			last, _ = next.Wait()
			close(done)
		}()
		process, ended, state = next, done, func() *os.ProcessState { return last }
	}
}

// Signal passes a signal on to the successor.
func (s *Successor) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// codeOf is a process's exit code as a shell has it.
func codeOf(state *os.ProcessState) int {
	if state == nil {
		return 1 // somebody else has waited for it
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// adoptHeirs makes us the parent of a successor's successor when the one
// between has ended.
func adoptHeirs() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// heir is a child of ours that a successor of ours has started as its own; nil
// where there is none.
func heir() *os.Process {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		dir := filepath.Dir(path)
		pid, err := strconv.Atoi(filepath.Base(dir))
		state, parent := stateOf(path)
		if err != nil || parent != os.Getpid() {
			continue
		}
		environ, _ := os.ReadFile(dir + "/environ") // as it was started; nothing of one that has just ended
		if state != "Z" && !bytes.Contains(environ, []byte(variable+"=")) {
			continue
		}
		if process, err := os.FindProcess(pid); err == nil {
			return process
		}
	}
	return nil
}

// stateOf reads state and parent of a line of /proc/PID/stat (proc(5)).
func stateOf(path string) (state string, parent int) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}
