package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/flask2ban/flask2ban/internal/children"
)

// hookPipeSize lets the app announce some ten thousand requests while we do
// something else.
const hookPipeSize = 1 << 20

// child is a running guard with the app below it.
type child struct {
	pid     int
	guard   *exec.Cmd
	control *os.File // orders to the guard; its end means our death
	status  *bufio.Reader
	// pipe, stdout and stderr are what the app writes. They end when all of
	// the app's processes have ended.
	pipe, stdout, stderr *os.File
	statusFile           *os.File
	// port brings the socket that the app opens on its own port; nil where
	// there is one.
	port  *net.UnixConn
	board board
}

// spawner is what every start of the app has in common.
type spawner struct {
	self     string
	settings settings
}

// pipes are the pairs between us, the guard and the app.
type pipes struct {
	ours, theirs map[string]*os.File
}

// openPipes makes pipes; those named "control" are written by us, all others
// read.
func openPipes(names ...string) (pipes, error) {
	p := pipes{ours: map[string]*os.File{}, theirs: map[string]*os.File{}}
	for _, name := range names {
		r, w, err := os.Pipe()
		if err != nil {
			p.closeAll()
			return pipes{}, err
		}
		p.ours[name], p.theirs[name] = r, w
		if name == "control" {
			p.ours[name], p.theirs[name] = w, r
		}
	}
	return p, nil
}

func closeFiles(files map[string]*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (p pipes) closeAll() {
	closeFiles(p.ours)
	closeFiles(p.theirs)
}

// spawn starts the guard and with it the app.
func (s *spawner) spawn(order guardOrder, at *socket) (*child, error) {
	p, err := openPipes("control", "status", "pipe", "stdout", "stderr")
	if err != nil {
		return nil, fmt.Errorf("start the app: %w", err)
	}
	c, err := s.startGuard(order, at, p)
	closeFiles(p.theirs)
	if err != nil {
		closeFiles(p.ours)
		return nil, fmt.Errorf("start the app: %w", err)
	}
	if err := c.begin(order); err != nil {
		c.control.Close()
		children.Wait(c.guard)
		closeFiles(p.ours)
		if c.port != nil {
			c.port.Close()
		}
		return nil, fmt.Errorf("start the app: %w", err)
	}
	return c, nil
}

func (s *spawner) startGuard(order guardOrder, at *socket, p pipes) (c *child, err error) {
	listening, port, err := at.handOver()
	if err != nil {
		return nil, err
	}
	defer listening.Close()
	defer func() {
		if err != nil && port != nil {
			port.Close()
		}
	}()
	told, err := s.settingsFor(order, at, listening, p.theirs["pipe"])
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.self, GuardArg)
	cmd.Env = []string{} // the guard needs none, and shows none
	cmd.Stdin = p.theirs["control"]
	cmd.Stderr = p.theirs["stderr"] // a guard that panics says so there
	cmd.ExtraFiles = []*os.File{listening, p.theirs["pipe"], told, p.theirs["stdout"], p.theirs["stderr"], p.theirs["status"]}
	// In a group of its own, so that a terminal's ^C ends us first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := children.Start(cmd); err != nil {
		told.Close()
		return nil, fmt.Errorf("start the guard %s: %w", s.self, err)
	}
	return &child{
		board: board{file: told},
		guard: cmd, control: p.ours["control"], statusFile: p.ours["status"], status: bufio.NewReader(p.ours["status"]),
		pipe: p.ours["pipe"], stdout: p.ours["stdout"], stderr: p.ours["stderr"], port: port,
	}, nil
}

// handOver is what the app gets for a listener: the socket, or the end of a
// channel (port) by which it shows us its own.
func (s *socket) handOver() (theirs *os.File, port *net.UnixConn, err error) {
	if !s.bound() {
		port, theirs, err = openChannel()
		return theirs, port, err
	}
	if err := s.repair(); err != nil {
		return nil, nil, err
	}
	theirs, err = s.file()
	return theirs, nil, err
}

func (s *spawner) settingsFor(order guardOrder, at *socket, listener, pipe *os.File) (*os.File, error) {
	fd := int(pipe.Fd())
	// More than an unprivileged user may have: then the default must do.
	unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, hookPipeSize)
	told := s.settings
	told.unbound, told.remove = !at.bound(), order.own
	var err error
	if told.listenerInode, err = inodeOf(int(listener.Fd())); err != nil {
		return nil, err
	}
	if told.pipeInode, err = inodeOf(fd); err != nil {
		return nil, err
	}
	return newBoardFile(told.String())
}

// begin gives the order and takes the app's process id.
func (c *child) begin(order guardOrder) error {
	line, err := json.Marshal(order)
	if err != nil {
		return err
	}
	if _, err := c.control.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("order the guard: %w", err)
	}
	report, err := c.report()
	if err != nil {
		return err
	}
	if report.Error != "" {
		return errors.New(report.Error)
	}
	c.pid = report.PID
	return nil
}

func (c *child) report() (guardReport, error) {
	line, err := c.status.ReadBytes('\n')
	if err != nil {
		return guardReport{}, fmt.Errorf("the guard has ended: %w", err)
	}
	var report guardReport
	err = json.Unmarshal(line, &report)
	return report, err
}

// signal sends to the app's process group, through the guard, which knows
// whether the process id is still the app's.
func (c *child) signal(sig syscall.Signal) { fmt.Fprintf(c.control, "signal %d\n", sig) }

// kill ends all of the app's processes at once.
func (c *child) kill() { c.control.WriteString("kill\n") }

// exit is how the app's first process ended.
type exit struct {
	status syscall.WaitStatus
	// left counts processes that it left behind.
	left int
	// guardDied is set where the guard ended first.
	guardDied bool
}

// waitExit returns when the app's first process has ended.
func (c *child) waitExit() exit {
	report, err := c.report()
	if err != nil {
		return exit{guardDied: true, status: syscall.WaitStatus(syscall.SIGKILL)}
	}
	return exit{status: syscall.WaitStatus(report.Status), left: report.Left}
}

// waitGone returns when nothing of the app is left.
func (c *child) waitGone(e exit) {
	children.Wait(c.guard)
	if e.guardDied {
		killOrphans()
	}
	c.control.Close()
	c.statusFile.Close()
}

// code is the exit code as a shell gives it.
func (e exit) code() int {
	if e.status.Signaled() {
		return 128 + int(e.status.Signal())
	}
	return e.status.ExitStatus()
}

func (e exit) String() string {
	var text []string
	switch {
	case e.guardDied:
		text = append(text, "its guard process was killed")
	case e.status.Signaled():
		text = append(text, "signal: "+e.status.Signal().String())
	default:
		text = append(text, fmt.Sprintf("exit status %d", e.status.ExitStatus()))
	}
	if e.left > 0 {
		text = append(text, fmt.Sprintf("%d of its processes were left", e.left))
	}
	return strings.Join(text, "; ")
}
