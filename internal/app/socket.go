package app

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// backlog is how many connections wait in the kernel while the app restarts.
// Linux cuts it to net.core.somaxconn.
const backlog = 4096

// socket is the listening socket that the app gets. It is ours for the whole
// life, so connections wait while there is no instance.
type socket struct {
	mu    sync.Mutex
	fd    int // -1 until the app has opened its own port
	addr  netip.AddrPort
	inode uint64
	open  chan struct{} // closed when there is a descriptor
	// shared says that clients come to this socket and no other: all
	// instances have it.
	shared bool
}

// socketFor is the socket that c asks for: one that is given, the app's own to
// come, or one of ours.
func socketFor(c Config) (*socket, error) {
	s := &socket{fd: -1, open: make(chan struct{}), shared: c.Listener != nil || c.OwnPort}
	switch {
	case c.Listener != nil:
		defer c.Listener.Close()
		fd, err := unix.FcntlInt(c.Listener.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err == nil {
			err = s.keep(fd)
		}
		if err != nil {
			return nil, fmt.Errorf("use the listening socket: %w", err)
		}
		return s, s.repair()
	case c.OwnPort:
		return s, nil
	}
	return s, s.openPrivate()
}

// openPrivate listens on a free port of 127.0.0.1. It doesn't block: gevent
// hangs in accept otherwise.
func (s *socket) openPrivate() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open the app's socket: %w", os.NewSyscallError("socket", err))
	}
	err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	if err == nil {
		return s.keep(fd)
	}
	unix.Close(fd)
	return fmt.Errorf("open the app's socket: %w", err)
}

// keep makes fd the socket, or closes it.
func (s *socket) keep(fd int) error {
	addr, err := addressOf(fd)
	inode, err2 := inodeOf(fd)
	if err := errors.Join(err, err2); err != nil {
		unix.Close(fd)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(fd) // another process of the app was first
		return nil
	}
	s.fd, s.addr, s.inode = fd, addr, inode
	close(s.open)
	return nil
}

func addressOf(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	switch in := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), uint16(in.Port)), nil
	}
	return netip.AddrPort{}, errors.New("it is no TCP socket")
}

// bound says whether there is a socket, which an app's own port is only once
// an instance has opened it.
func (s *socket) bound() bool {
	select {
	case <-s.open:
		return true
	default:
		return false
	}
}

// address is where the socket listens; zero before it is bound.
func (s *socket) address() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// dial is where we reach the socket on this machine.
func (s *socket) dial() string { return dialable(s.address()) }

// dialable is an address of a listening socket as we connect to it.
func dialable(addr netip.AddrPort) string {
	switch ip := addr.Addr(); {
	case ip == netip.IPv4Unspecified():
		addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	case ip == netip.IPv6Unspecified():
		addr = netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port())
	}
	return addr.String()
}

// id is the inode of the socket; 0 before it is bound.
func (s *socket) id() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inode
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

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
}
