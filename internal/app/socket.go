package app

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// backlog is how many connections wait in the kernel while the app restarts.
// Linux cuts it to net.core.somaxconn.
const backlog = 4096

// socket is the listening socket that the app gets. It is ours for the whole
// life, so connections wait while there is no instance.
type socket struct {
	fd    int
	addr  netip.AddrPort
	inode uint64
}

// openSocket listens on a free port of 127.0.0.1. It doesn't block: gevent
// hangs in accept otherwise.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the app's socket: %w", os.NewSyscallError("socket", err))
	}
	s := &socket{fd: fd}
	if err := s.listen(); err != nil {
		s.close()
		return nil, fmt.Errorf("open the app's socket: %w", err)
	}
	return s, nil
}

func (s *socket) listen() error {
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.fd, backlog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	in4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return fmt.Errorf("getsockname: unexpected %T", name)
	}
	s.addr = netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))
	s.inode, err = inodeOf(s.fd)
	return err
}

func inodeOf(fd int) (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return stat.Ino, nil
}

// repair undoes what the last instance may have done to the socket that it
// shared: a smaller backlog, blocking mode.
func (s *socket) repair() error {
	if err := unix.SetNonblock(s.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	return os.NewSyscallError("listen", unix.Listen(s.fd, backlog))
}

// queued is how many connections wait to be accepted. For a listening socket
// Linux reports them as tcpi_unacked (net/ipv4/tcp.c, tcp_get_info).
func (s *socket) queued() (int, error) {
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt", err)
	}
	return int(info.Unacked), nil
}

// file is a copy of the descriptor for a child process. The caller closes it.
func (s *socket) file() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

func (s *socket) close() { unix.Close(s.fd) }
