"""Lets running requests finish when the app is asked to end.

gunicorn and uvicorn do that themselves. A server that leaves SIGTERM to the
kernel (Werkzeug's, waitress, gevent.pywsgi) would die in the middle of them; so
here it stops to accept, and dies when its connections are idle. New connections
wait in our socket, for the next instance. A second SIGTERM ends it at once.
"""
import _thread
import os
import select
import struct
import time

from . import settings

LOOK = 0.05  # seconds between two looks; two calm ones in a row are the end
RECENT = 1000  # ms; a connection that was used since then is not idle
ONE_REQUEST = ("werkzeug", "wsgiref")  # their connections end with the answer

# As they are before gevent replaces them.
_sleep, _start_thread = time.sleep, _thread.start_new_thread
_epoll = getattr(select, "epoll", None)
_thread_ident = _thread.get_ident
_main_thread = _thread_ident()
_working = set()  # one object for each call of the app that runs
_installed = None  # (process, server package)
_ports = set()  # that our socket has


def begin():
    work = object()
    _working.add(work)
    return work


def end(work):
    _working.discard(work)


def install(package):
    """Takes SIGTERM over where nobody has. Only the main thread can."""
    global _installed
    import signal

    if _thread_ident() != _main_thread:
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    _installed = (os.getpid(), package)
    signal.signal(signal.SIGTERM, _on_term)


def _on_term(number, frame):
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    process, package = _installed
    try:
        if os.getpid() != process:  # a forked child: not the server
            raise OSError("not ours")
        _stop_accepting()
        _start_thread(_finish, (package,))
    except Exception:
        os.kill(os.getpid(), signal.SIGTERM)


def _finish(package):
    import signal

    calm = 0
    while calm < 2:
        _sleep(LOOK)
        try:
            calm = 0 if _busy(package) else calm + 1
        except Exception:
            break
    os.kill(os.getpid(), signal.SIGTERM)


def _descriptors():
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _stop_accepting():
    """Puts a socket to which nobody connects in the place of ours, whatever
    loop the server waits in. Ours stays open for the next instance."""
    import _socket

    silent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    silent.setblocking(False)
    silent.bind(b"")  # the kernel finds a name
    silent.listen(1)
    for fd in _descriptors():
        try:
            if os.fstat(fd).st_ino != settings.listener_inode:
                continue
            _ports.add(_port(fd))
            _forget_in_epoll(fd)
            os.dup2(silent.fileno(), fd, os.get_inheritable(fd))
        except OSError:
            pass  # closed meanwhile


def _port(fd):
    import _socket

    listening = _socket.socket(fileno=os.dup(fd))
    try:
        return listening.getsockname()[1]
    finally:
        listening.close()


def _forget_in_epoll(fd):
    """epoll watches the socket, not the descriptor: it would go on."""
    for other in _descriptors():
        try:
            if os.readlink("/proc/self/fd/%d" % other) != "anon_inode:[eventpoll]":
                continue
            poll = _epoll.fromfd(os.dup(other))
        except (OSError, AttributeError):
            continue
        try:
            poll.unregister(fd)
        except OSError:
            pass
        finally:
            poll.close()


def _busy(package):
    return bool(_working) or any(
        _is_busy(fd, package in ONE_REQUEST) for fd in _descriptors()
    )


def _is_busy(fd, one_request):
    """Whether fd is a connection with a request in it."""
    import _socket

    try:
        if not os.readlink("/proc/self/fd/%d" % fd).startswith("socket:"):
            return False
        conn = _socket.socket(fileno=os.dup(fd))
    except OSError:
        return False
    try:
        if conn.family not in (_socket.AF_INET, _socket.AF_INET6):
            return False
        if conn.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            return False
        if conn.getsockname()[1] not in _ports:
            return False
        return _has_request(conn, one_request)
    except OSError:
        return False  # not connected
    finally:
        conn.close()


def _has_request(conn, one_request):
    import _socket
    import fcntl
    import termios

    conn.getpeername()
    unread = bytearray(4)
    fcntl.ioctl(conn.fileno(), termios.FIONREAD, unread)
    unsent = bytearray(4)
    fcntl.ioctl(conn.fileno(), termios.TIOCOUTQ, unsent)
    if any(unread) or any(unsent):
        return True
    # struct tcp_info of linux/tcp.h: tcpi_last_data_sent at 44,
    # tcpi_last_data_recv at 52 (ms ago), tcpi_bytes_received at 128.
    info = conn.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, 136)
    sent, received = struct.unpack_from("=I4xI", info, 44)
    if len(info) >= 136 and struct.unpack_from("=Q", info, 128)[0] == 0:
        return False  # a browser's, for later
    return one_request or min(sent, received) < RECENT
