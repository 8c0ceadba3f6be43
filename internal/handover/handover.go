// Package handover lets a process give way to a new one, of another version
// maybe, without a moment in which nobody listens.
//
// The old process starts the new one with its listening sockets. The new one
// gets ready and says so; the old one lets go of what only one can have (files
// with locks); the new one takes that, serves and says so; only then the old one
// ends, when its requests are done. Whatever fails before, the old one goes on.
//
// github.com/cloudflare/tableflip hands sockets over, too, but knows one step
// only: its child is ready while the parent still has its locks, or has to wait
// until the parent has ended, which an open stream makes long.
package handover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flask2ban/flask2ban/internal/children"
)

// variable names the channel's descriptor and then the sockets after it.
const variable = "FLASK2BAN_HANDOVER"

// message is one line on the channel.
type message struct {
	Ready   bool            `json:"ready,omitempty"`   // the new one
	Go      bool            `json:"go,omitempty"`      // the old one has let go
	Serving bool            `json:"serving,omitempty"` // the new one
	Known   bool            `json:"known,omitempty"`   // the service manager knows the new one
	Error   string          `json:"error,omitempty"`   // the new one can't
	Record  json.RawMessage `json:"record,omitempty"`  // of the old one, afterwards
}

// channel sends and receives messages.
type channel struct {
	conn net.Conn
	in   *bufio.Scanner
	mu   sync.Mutex
}

func newChannel(f *os.File) (*channel, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	c := &channel{conn: conn, in: bufio.NewScanner(conn)}
	c.in.Buffer(nil, 16<<20)
	return c, nil
}

func (c *channel) send(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.conn.Write(append(line, '\n'))
	return err
}

// receive waits for a message until ctx ends.
func (c *channel) receive(ctx context.Context) (m message, err error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if !c.in.Scan() {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		if c.in.Err() != nil {
			return m, c.in.Err()
		}
		return m, io.EOF
	}
	return m, json.Unmarshal(c.in.Bytes(), &m)
}

// Sockets are listening sockets by a name that old and new agree on. Fill it
// with [Copy].
type Sockets map[string]*os.File

// Copy is a copy of a socket for another process. The caller closes it.
//
// The File method of package net won't do: to start a process with such a file
// makes the socket blocking, in this process too, where an Accept then waits in
// the kernel. It would not see Close, and lose a connection to nobody.
func Copy(l net.Listener) (*os.File, error) {
	s, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%s is no socket to hand over", l.Addr())
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// Close closes what nobody has taken.
func (s Sockets) Close() {
	for _, f := range s {
		f.Close()
	}
}

// Successor is the new process as the old one sees it.
type Successor struct {
	channel *channel
	cmd     *exec.Cmd
	ended   chan struct{}
}

// Start starts the program again, as it was called, with sockets, and returns
// when it is ready to take over. An error says why it is not; then it is gone,
// and nothing has changed.
//
// As a sibling it is not our child but our parent's, who is then told of it:
// a service manager lets only a child of its own end in order. One that was
// somebody else's when it became the main process gets SIGKILL from systemd
// at once, without SIGTERM, where the unit has KillMode=mixed.
func Start(ctx context.Context, sockets Sockets, sibling bool) (*Successor, error) {
	exe, err := program()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "handover")
	defer theirs.Close() // twice is harmless
	c, err := newChannel(os.NewFile(uintptr(pair[0]), "handover"))
	if err != nil {
		return nil, err
	}
	s := &Successor{channel: c, ended: make(chan struct{})}
	if err := adoptHeirs(); err != nil {
		return nil, err
	}
	s.cmd = command(exe, theirs, sockets)
	wait := children.Wait
	if sibling {
		wait = siblings(s.cmd)
	}
	if err := children.Start(s.cmd); err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("start %s: %w", exe, err)
	}
	theirs.Close() // or we would not see the successor's end
	go func() {
		wait(s.cmd)
		close(s.ended)
	}()
	return s, s.await(ctx, func(m message) bool { return m.Ready })
}

// siblings has a command start as a child of our parent's (CLONE_PARENT of
// clone(2)), and returns what waits for its end: only a parent may wait(2).
// Before Linux 5.4 it does not wait.
func siblings(cmd *exec.Cmd) (wait func(*exec.Cmd) error) {
	pidfd := -1
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_PARENT
	cmd.SysProcAttr.PidFD = &pidfd
	return func(*exec.Cmd) error {
		if pidfd < 0 {
			return errors.ErrUnsupported
		}
		defer unix.Close(pidfd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
}

// program is the file that we were started from; where an installation has put
// another in its place, that one.
func program() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(exe, " (deleted)"), nil
}

// notForSuccessor are variables that are about one process.
var notForSuccessor = []string{variable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"}

func command(exe string, channel *os.File, sockets Sockets) *exec.Cmd {
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{channel}
	var names []string
	for name, f := range sockets {
		names = append(names, name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(notForSuccessor, name)
	})
	list, _ := json.Marshal(names) // strings can be marshalled
	cmd.Env = append(cmd.Env, variable+"=3 "+string(list))
	// A terminal's ^C is for the process that was started there, which
	// passes it on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// await returns nil when the message comes. Else it ends the successor.
func (s *Successor) await(ctx context.Context, wanted func(message) bool) error {
	m, err := s.channel.receive(ctx)
	switch {
	case err == nil && m.Error != "":
		err = errors.New(m.Error)
	case err == nil && wanted(m):
		return nil
	case errors.Is(err, io.EOF):
		err = errors.New("it ended before it was ready")
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("it was not ready in time")
	case err == nil:
		err = errors.New("it said something else than that it is ready")
	}
	s.channel.conn.Close()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(killAfter):
		s.cmd.Process.Kill()
		<-s.ended
	}
	return err
}

// killAfter is what a successor gets to end that did not get ready.
const killAfter = 10 * time.Second

// PID is the successor's process.
func (s *Successor) PID() int { return s.cmd.Process.Pid }

// Go says that what only one can have is free, and returns when the successor
// serves, or why it does not.
func (s *Successor) Go(ctx context.Context) error {
	if err := s.channel.send(message{Go: true}); err != nil {
		return err
	}
	return s.await(ctx, func(m message) bool { return m.Serving })
}

// Known says that the service manager knows the successor, and hears it now.
func (s *Successor) Known() error { return s.channel.send(message{Known: true}) }

// Send tells the successor something that we have learned since.
func (s *Successor) Send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.channel.send(message{Record: data})
}

// Predecessor is the old process as the new one sees it.
type Predecessor struct {
	channel *channel
	sockets Sockets
	known   chan struct{} // closed when the service manager knows us
}

// FromPredecessor returns what a predecessor has left; nil where there is none.
func FromPredecessor() (*Predecessor, error) {
	text := os.Getenv(variable)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(variable)
	number, list, _ := strings.Cut(text, " ")
	fd, err := strconv.Atoi(number)
	var names []string
	if err == nil {
		err = json.Unmarshal([]byte(list), &names)
	}
	if err == nil && fd < 3 {
		err = fmt.Errorf("%d is no descriptor that can be handed over", fd)
	}
	if err != nil {
		return nil, fmt.Errorf("$%s: %w", variable, err)
	}
	p := &Predecessor{sockets: Sockets{}, known: make(chan struct{})}
	for i, name := range names {
		unix.CloseOnExec(fd + 1 + i)
		p.sockets[name] = os.NewFile(uintptr(fd+1+i), name)
	}
	unix.CloseOnExec(fd)
	p.channel, err = newChannel(os.NewFile(uintptr(fd), "handover"))
	return p, err
}

// Socket takes a socket that was handed over; nil where there is none of that
// name, or no predecessor.
func (p *Predecessor) Socket(name string) *os.File {
	if p == nil {
		return nil
	}
	f := p.sockets[name]
	delete(p.sockets, name)
	return f
}

// Names are those of the sockets that were handed over and not yet taken.
func (p *Predecessor) Names() []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.sockets))
}

// Ready says that we can take over, and returns when the old process has let go
// of what only one can have.
func (p *Predecessor) Ready(ctx context.Context) error {
	if err := p.channel.send(message{Ready: true}); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	m, err := p.channel.receive(ctx)
	if err == nil && !m.Go {
		err = errors.New("it said something else")
	}
	if err != nil {
		return fmt.Errorf("take over: the old process does not give way: %w", err)
	}
	return nil
}

// Serving says that we serve; the old process may end.
func (p *Predecessor) Serving() error {
	p.sockets.Close()
	return p.channel.send(message{Serving: true})
}

// Fail says why we can't take over.
func (p *Predecessor) Fail(err error) { p.channel.send(message{Error: err.Error()}) }

// Heard calls each with what the old process has still to say, until it ends.
// It returns patience after ctx has ended, at the latest.
func (p *Predecessor) Heard(ctx context.Context, patience time.Duration, each func(json.RawMessage)) {
	hearing, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, end) })()
	defer p.channel.conn.Close()
	known := sync.OnceFunc(func() { close(p.known) })
	defer known()
	for {
		m, err := p.channel.receive(hearing)
		if err != nil {
			return
		}
		if m.Known {
			known()
		}
		if m.Record != nil {
			each(m.Record)
		}
	}
}

// knownAfter is when a service manager knows us for sure. A predecessor of an
// earlier version does not say so.
const knownAfter = 5 * time.Second

// AwaitKnown waits until the service manager hears us, and not only our
// predecessor, who [Predecessor.Heard] must be heard meanwhile; not at all
// where there was none.
func (p *Predecessor) AwaitKnown(ctx context.Context) {
	if p == nil {
		return
	}
	select {
	case <-p.known:
	case <-ctx.Done():
	case <-time.After(knownAfter):
	}
}
