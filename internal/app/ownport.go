package app

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// openChannel makes the way by which an instance shows us the socket that it
// has opened on its own port (hook/flask2ban_hook/binding.py, _give). The app's
// end goes where the listener would.
func openChannel() (ours *net.UnixConn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(pair[1]), "port")
	near := os.NewFile(uintptr(pair[0]), "port")
	defer near.Close() // FileConn has a copy
	conn, err := net.FileConn(near)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}

// receive takes the socket that comes through the channel. It returns when one
// has come or the instance has ended.
func (s *socket) receive(from *net.UnixConn) error {
	defer from.Close()
	space := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := from.ReadMsgUnix(make([]byte, 1), space)
	if err != nil || n == 0 {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(space[:n])
	if err != nil || len(messages) == 0 {
		return err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return err
	}
	unix.CloseOnExec(fds[0])
	return s.keep(fds[0])
}

// Socket is a copy of the app's listening socket, for a process that takes over.
// The caller closes it.
func (a *App) Socket() (*os.File, error) {
	if !a.socket.bound() {
		return nil, errors.New("there is no socket of the app's to hand over: it does not serve yet, or listens by itself")
	}
	return a.socket.file()
}
