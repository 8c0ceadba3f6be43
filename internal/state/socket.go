package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketName = "admin.sock"
	// maxSocketPath is sun_path of unix(7) without its terminating zero.
	maxSocketPath = 107
	dialTimeout   = 2 * time.Second
)

// Socket is the path of the daemon's Unix socket in dir.
func Socket(dir string) string { return filepath.Join(dir, socketName) }

// ErrRunning is the error of [Listen] where another process answers already.
var ErrRunning = errors.New("another process already runs with state directory")

// Dial connects to the daemon whose state directory is dir.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := reachable(dir, socketName)
	if err != nil {
		return nil, err
	}
	defer done()
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "unix", path)
}

// Listen opens the daemon's socket in dir with mode 0600. The socket of a dead
// process is replaced; a live one is [ErrRunning]. Close removes the socket
// unless another process has replaced it meanwhile.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	unlock, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	defer unlock()
	if conn, err := Dial(ctx, dir); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%w %s: stop it first, or give this one its own with --state DIR", ErrRunning, dir)
	}
	l, err := bind(dir)
	if err != nil {
		return nil, fmt.Errorf("open admin socket in %s: %w", dir, err)
	}
	return l, nil
}

// bind makes the socket under another name, so that it is 0600 before anyone
// can connect, and replaces a stale one by renaming over it.
func bind(dir string) (net.Listener, error) {
	tmp := fmt.Sprintf(".sock-%d", os.Getpid())
	path, done, err := reachable(dir, tmp)
	if err != nil {
		return nil, err
	}
	defer done()
	full := filepath.Join(dir, tmp)
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ul.SetUnlinkOnClose(false)
	l := &listener{UnixListener: ul, path: Socket(dir)}
	if err := l.place(full); err != nil {
		ul.Close()
		os.Remove(full)
		return nil, err
	}
	return l, nil
}

// listener removes its socket when closed.
type listener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
}

func (l *listener) place(tmp string) (err error) {
	if err := os.Chmod(tmp, 0o600); err != nil {
		return err
	}
	if l.info, err = os.Lstat(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, l.path)
}

func (l *listener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// lock keeps two starting daemons from both taking the other's socket for a
// stale one. The kernel frees it when its holder dies.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(d.Fd()), unix.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return func() { d.Close() }, nil
}

// reachable returns a path of name in dir that fits into a socket address: a
// long one goes through /proc/self/fd. done ends its validity.
func reachable(dir, name string) (path string, done func(), err error) {
	path = filepath.Join(dir, name)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name), func() { d.Close() }, nil
}
