package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// GuardArg as a program's first argument means that [Guard] is wanted.
const GuardArg = "flask2ban-guard"

// The guard's descriptors, in the order of exec.Cmd.ExtraFiles from 3 on.
const (
	guardListener = 3 + iota
	guardPipe
	guardSettings
	guardStdout
	guardStderr
	guardStatus
)

// orphanGrace is what processes get, between SIGTERM and SIGKILL, that the app
// has left behind, or that have lost us.
const orphanGrace = 500 * time.Millisecond

// killPause is between two rounds of SIGKILL, for what has just forked.
const killPause = 10 * time.Millisecond

// guardOrder is what the guard is to run; the first line of its input. The
// environment stands here, not in a command line that everyone can read.
type guardOrder struct {
	Path    string              `json:"path"`
	Argv    []string            `json:"argv"`
	Env     []string            `json:"env"`
	Dir     string              `json:"dir"`
	As      *syscall.Credential `json:"as"`
	Cleanup string              `json:"cleanup"`
	Umask   string              `json:"umask,omitempty"`
	NoFile  int                 `json:"nofile,omitempty"`
	NoAdmin bool                `json:"noadmin,omitempty"`

	own   []string // variables that the hook takes out again, with their values
	named namedPort
}

// guardReport is one line of the guard's answer: the app's process, or why
// there is none, or how it ended.
type guardReport struct {
	PID   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
	// Ended is set in the last report, Status is then wait(2)'s and Left
	// counts the processes that the app left behind.
	Ended  bool   `json:"ended,omitempty"`
	Status uint32 `json:"status,omitempty"`
	Left   int    `json:"left,omitempty"`
}

// Guard is the process between us and the app. It starts the app, is a
// subreaper for whatever the app starts (PR_SET_CHILD_SUBREAPER: also for what
// called setsid or forked twice), and ends all of it when the app ends, when
// told, or when we die, which it sees as the end of its input. If the guard
// itself dies, the kernel kills the app (PR_SET_PDEATHSIG), and we the rest.
//
// A program whose first argument is [GuardArg] must call Guard at once and
// exit with its result.
func Guard(args []string) int {
	// The kernel sends the death signal when the thread ends that started
	// the app (golang/go#27505); and only Guard ends this one.
	runtime.LockOSThread()
	// A terminal's ^C and systemd's SIGTERM to the whole group are our
	// business. Notify, not Ignore: the app would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	g := &guard{status: os.NewFile(guardStatus, "status"), input: bufio.NewReader(os.Stdin)}
	if err := g.run(); err != nil {
		g.report(guardReport{Error: err.Error()})
		return 1
	}
	return 0
}

// guard is the state of the guard process.
type guard struct {
	status *os.File
	input  *bufio.Reader
	order  guardOrder
	pid    int
	once   sync.Once
}

func (g *guard) run() error {
	line, err := g.input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	if err := json.Unmarshal(line, &g.order); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	defer g.cleanUp()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	// What flask2ban itself was started with is not the app's business. An
	// error means a kernel before 5.11: then those stay open, as always.
	unix.CloseRange(guardStatus+1, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	if err := g.start(); err != nil {
		return err
	}
	g.report(guardReport{PID: g.pid})
	go g.obey()
	g.reap()
	return nil
}

func (g *guard) cleanUp() { removeHook(g.order.Cleanup) }

// start executes the app as the leader of a process group, without a terminal
// whose input it could write (ioctl_tty(2), TIOCSTI), but not of a session:
// Linux gives each session its own share of the processor (sched(7), autogroup).
// In one of its own the app would be interrupted for each packet that reaches
// us, which cost a small view a third of its throughput.
func (g *guard) start() error {
	leaveTerminal()
	for fd, blocks := range map[int]bool{guardListener: false, guardPipe: false, guardStdout: true, guardStderr: true} {
		if err := unix.SetNonblock(fd, !blocks); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	if err := g.limit(); err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	g.pid, err = syscall.ForkExec(g.order.Path, g.order.Argv, &syscall.ProcAttr{
		Dir:   g.order.Dir,
		Env:   g.environment(),
		Files: appFiles(null.Fd()),
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: g.order.As},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", g.order.Path, err)
	}
	for fd := guardListener; fd < guardStatus; fd++ {
		unix.Close(fd) // else we would keep the app's output open
	}
	return nil
}

// leaveTerminal gives up the terminal that we were started from, if any.
func leaveTerminal() {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0); err == nil {
		unix.IoctlSetInt(int(tty.Fd()), unix.TIOCNOTTY, 0)
		tty.Close()
	}
}

// limit sets what the app inherits from us.
func (g *guard) limit() error {
	if g.order.Umask != "" {
		mask, err := strconv.ParseUint(g.order.Umask, 8, 9)
		if err != nil {
			return fmt.Errorf("umask %s: %w", g.order.Umask, err)
		}
		unix.Umask(int(mask))
	}
	if g.order.NoAdmin { // an error means a kernel before 4.3, which hands nothing on
		unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_NET_ADMIN, 0, 0)
	}
	if g.order.NoFile == 0 {
		return nil
	}
	most := uint64(g.order.NoFile)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("limit open files to %d: %w", most, err)
	}
	return nil
}

func (g *guard) environment() []string {
	env := g.order.Env
	for i, entry := range env {
		if entry == gunicornPID {
			env[i] = "GUNICORN_PID=" + strconv.Itoa(os.Getpid())
		}
	}
	return env
}

// appFiles arranges the descriptors as the app gets them.
func appFiles(null uintptr) []uintptr {
	files := make([]uintptr, pipeFD+1)
	for i := range files {
		files[i] = ^uintptr(0)
	}
	files[0], files[1], files[2] = null, guardStdout, guardStderr
	files[settingsFD], files[listenerFD], files[pipeFD] = guardSettings, guardListener, guardPipe
	return files
}

func (g *guard) report(r guardReport) {
	line, err := json.Marshal(r)
	if err == nil {
		g.status.Write(append(line, '\n'))
	}
}

// obey reads orders: "signal N" goes to the app's process group, "kill" and
// the end of input end everything.
func (g *guard) obey() {
	for {
		line, err := g.input.ReadString('\n')
		if err != nil {
			g.endAll(orphanGrace)
			return
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "signal":
			if n, err := strconv.Atoi(rest); err == nil {
				syscall.Kill(-g.pid, syscall.Signal(n))
			}
		case "kill":
			go g.endAll(0)
		}
	}
}

// reap waits for every process below us until none is left. When the app's
// first process has ended, the others are ended too.
func (g *guard) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return // ECHILD: nothing is left
		}
		if pid == g.pid {
			g.report(guardReport{PID: pid, Ended: true, Status: uint32(status), Left: left()})
			go g.endAll(orphanGrace)
		}
	}
}

// left counts the processes that are left. The kernel knows whether there are
// any; how many, a look into /proc tells about.
func left() int {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil && err != syscall.EINTR {
			return 0
		}
		if err == nil && pid == 0 {
			return max(1, len(descendants(processes(), os.Getpid())))
		}
	}
}

// endAll ends all that is below us, however it hides: SIGTERM, then after
// grace SIGKILL. The guard ends when nothing is left (reap), so nothing here
// has to notice that: /proc is no snapshot, and what one look does not find
// the next one does.
func (g *guard) endAll(grace time.Duration) {
	if grace > 0 {
		g.once.Do(func() {
			signalAll(syscall.SIGTERM)
			time.Sleep(grace)
		})
	}
	for {
		signalAll(syscall.SIGKILL)
		time.Sleep(killPause)
	}
}

// signalAll signals every process below us. A stopped one is woken: it would
// not see SIGTERM.
func signalAll(sig syscall.Signal) {
	for _, pid := range descendants(processes(), os.Getpid()) {
		syscall.Kill(pid, sig)
		syscall.Kill(pid, syscall.SIGCONT)
	}
}
