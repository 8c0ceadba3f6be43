"""Makes the entry app's bind() a dup2 of our listening socket.

The port that the app names is never opened. An app may bind other ports: a
metrics server, an admin app in a thread, a lock. Those are left alone; which
bind is the entry app's is decided here.
"""
import _thread
import os
import sys
import time

from . import drain, pipe, served, settings, urlmap

BACKLOG = 4096
SETTLED = 2.0  # seconds after which a lone app in a thread is the entry app
IMPORTING = 60.0  # seconds to wait for a main thread that still imports
AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM = 2, 10, 1, 1  # Linux

entry = None  # the application that the command line named, where it did
# As it is before gevent replaces it by the greenlet's.
_thread_ident = _thread.get_ident
_main_thread = _thread_ident()
_taken = {}  # descriptor -> Flask app or None
_claim = None  # the lock file, open while this process has the socket


def patch_socket(module):
    _patch_class(module.socket)


def patch_gevent(module):
    _patch_class(module.socket)


def _patch_class(cls):
    original_bind, original_listen = cls.bind, cls.listen

    def bind(self, address):
        if _is_for_us(self, sys._getframe(1)):
            if settings.unbound:
                return original_bind(self, address)
            if self.family == AF_UNIX:
                original_bind(self, address)  # servers chmod and unlink it
            return _take(self.fileno())
        return original_bind(self, address)

    def listen(self, *backlog):
        if settings.unbound and self.fileno() in _pending:
            original_listen(self, BACKLOG)
            _guarded(_give, self.fileno())
        if not is_ours(self.fileno()):
            result = original_listen(self, *backlog)
            _guarded(_tell_other, self)
            return result
        result = original_listen(self, BACKLOG)
        _guarded(_announce_listening, self.fileno())
        return result

    cls.bind, cls.listen = bind, listen


def _guarded(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        pipe.problem(function.__name__, error)
        return None


def is_ours(fd):
    """Whether fd is our listening socket."""
    try:
        return os.fstat(fd).st_ino == settings.listener_inode
    except (OSError, TypeError, ValueError):
        return False


# The decision


class _Bind(object):
    """One bind() that may be the entry app's."""

    def __init__(self, server, flask):
        self.server = server
        self.flask = flask


_pending = {}  # descriptor -> _Bind, between the decision and listen()
_others = set()  # descriptors that other Flask apps are bound with


def _is_for_us(sock, frame):
    try:
        if sock.type & 0xF != SOCK_STREAM:
            return False
        if sock.family not in (AF_INET, AF_INET6, AF_UNIX):
            return False
        if settings.own_port and (sock.family == AF_UNIX or _is_taken()):
            return False  # the first port is the one that is kept
        return bool(_guarded(_decide, sock.fileno(), frame))
    except Exception:
        return False


def _decide(fd, frame):
    server = served.calling(frame)
    if server is None:
        return False
    flask = served.look_inside(server.application).flask if server.application else None
    if flask is None and not _is_opaque_entry(server):
        return False
    if not _is_entry(flask):
        if flask is not None:
            _others.add(fd)
        return False
    if settings.inspect and flask is not None:
        urlmap.announce(server.application)
        os._exit(0)
    if not _claimed():
        return False
    _pending[fd] = _Bind(server, flask)
    return True


def _is_opaque_entry(server):
    """A server whose application isn't there yet, in the main thread."""
    if _thread_ident() != _main_thread or _is_taken():
        return False
    if server.application is None:
        return served.SERVERS.get(server.package, False)
    return type(server.application).__name__ == "DispatchingApp"  # flask run < 2.2


def _is_entry(flask):
    """Whether flask is the app that the program is about. The one that has our
    socket may bind again: waitress listens on each of a name's addresses."""
    taken = _is_taken()
    if taken:
        return flask is not None and any(flask is value for value in _taken.values())
    known = _known_entry()
    if flask is None or known is flask:
        return True
    if known is not None:
        return False
    if _thread_ident() == _main_thread:
        return True
    return _wait_for_main(flask)


def _known_entry():
    if entry is not None:
        return served.look_inside(entry).flask
    return served.named_by_main()


def _wait_for_main(flask):
    """A thread serves an app and nothing says yet which one is the entry app.
    The main thread gets the time to say it; a program whose main thread does
    something else (a bot, a queue) has this one only."""
    begin = time.time()
    while time.time() - begin < IMPORTING:
        if _is_taken():
            return _is_entry(flask)
        known = served.named_by_main()
        if known is not None:
            return known is flask
        if time.time() - begin > SETTLED and not _main_imports():
            return True
        time.sleep(0.02)
    return True


def _main_imports():
    frame = sys._current_frames().get(_main_thread)
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


# Taking the socket


def _is_taken():
    """Whether this process has a descriptor of our socket open. A server may
    have closed it again: a check for a free port, a restart in the process."""
    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":
        return True  # the reloader's parent has bound it for us
    for fd in list(_taken):
        if not is_ours(fd):
            del _taken[fd]
    return bool(_taken)


def _claimed():
    """Whether this process is the one to have the socket: a shell wrapper may
    start several Pythons. The lock ends with the process."""
    global _claim
    if _claim is not None and _claim[0] == os.getpid():
        return True
    import fcntl

    path = os.path.join(settings.directory, "sitecustomize.py")
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return False
    _claim = (os.getpid(), fd)
    return True


def _take(fd):
    os.dup2(settings.listener, fd, os.get_inheritable(fd))
    _note_taken(fd)


def _note_taken(fd):
    bind = _pending.pop(fd)
    _taken[fd] = bind.flask
    _taken_binds[fd] = bind
    server = bind.server
    _tell_bound(server.package, server.tls, 1, server.threads)
    _guarded(drain.install, server.package)


def _tell_other(sock):
    """Names the port of another app, which must not be taken for the entry
    app where that is looked for."""
    if sock.fileno() in _others:
        _others.discard(sock.fileno())
        pipe.send({"t": "other", "port": sock.getsockname()[1]})


def _give(fd):
    """Shows flask2ban the socket that the app has opened itself, on the port
    that it names: the next instance gets it, and nobody is refused meanwhile."""
    _send_descriptor(fd)
    os.dup2(fd, settings.listener, False)
    settings.keep(os.fstat(fd).st_ino)
    if fd in _pending:
        _note_taken(fd)


def _send_descriptor(fd):
    import _socket
    import array

    channel = _socket.socket(fileno=os.dup(settings.listener))
    try:
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [fd]))
        channel.sendmsg([b"."], [rights])
    finally:
        channel.close()


def _tell_bound(server, tls, processes, threads):
    """threads are those of each process; 0 means not bounded, or not known."""
    pipe.send(
        {
            "t": "bound",
            "server": server,
            "tls": tls,
            "processes": processes,
            "threads": threads,
        }
    )


_taken_binds = {}  # descriptor -> _Bind


def _announce_listening(fd):
    """Reports the app of servers that begin to accept right after listen().
    Werkzeug's reloader listens in a process that never serves."""
    bind = _taken_binds.get(fd)
    if bind is None or bind.server.package == "werkzeug":
        return
    if bind.flask is not None:
        urlmap.announce(bind.server.application)
    elif served.only_one() is not None:
        urlmap.announce(served.only_one(), True)


# Servers that need more than bind()


def patch_gunicorn_sockets(module):
    """Gives gunicorn's arbiter our socket in place of whatever -b says."""
    original = module.create_sockets

    def create_sockets(conf, log, fds=None):
        if fds or not _guarded(_claimed):
            return original(conf, log, fds)
        if settings.unbound:
            listeners = original(conf, log, fds)
            _guarded(_give_first, listeners, conf)
            return listeners
        fd = os.dup(settings.listener)
        _taken[settings.listener] = None  # fd is closed by gunicorn
        tls = bool(getattr(conf, "is_ssl", False))
        _tell_bound("gunicorn", tls, conf.workers, _gunicorn_threads(conf))
        return original(_WithoutAddress(conf), log, [fd])

    module.create_sockets = create_sockets


def _give_first(listeners, conf):
    """Keeps the first of gunicorn's sockets that has a port."""
    for listener in listeners:
        sock = getattr(listener, "sock", None)
        if sock is not None and sock.family in (AF_INET, AF_INET6):
            _taken[settings.listener] = None
            _give(sock.fileno())
            tls = bool(getattr(conf, "is_ssl", False))
            _tell_bound("gunicorn", tls, conf.workers, _gunicorn_threads(conf))
            return


def _gunicorn_threads(conf):
    kind = str(getattr(conf, "worker_class_str", "sync"))
    # "threads" is what sync becomes where there is more than one.
    if kind.split(".")[-1] in ("sync", "gthread", "threads", "SyncWorker", "ThreadWorker"):
        return conf.threads
    return int(getattr(conf, "worker_connections", 0))


class _WithoutAddress(object):
    """gunicorn's settings with no address of their own: fd:// ones would be
    opened besides."""

    address = ()

    def __init__(self, conf):
        self._conf = conf

    def __getattr__(self, name):
        return getattr(self._conf, name)


def patch_gunicorn_worker(module):
    """Reports the app as soon as a worker has loaded it."""
    original = module.Worker.load_wsgi

    def load_wsgi(self):
        original(self)
        _guarded(urlmap.announce, self.wsgi)

    module.Worker.load_wsgi = load_wsgi


def patch_werkzeug(module):
    """Reports the app where Werkzeug's server begins to serve, which under the
    reloader is in the child."""
    original = module.BaseWSGIServer.serve_forever

    def serve_forever(self, *args, **kwargs):
        if is_ours(self.socket.fileno()):
            _guarded(urlmap.announce, self.app)
            _guarded(drain.install, "werkzeug")
        return original(self, *args, **kwargs)

    module.BaseWSGIServer.serve_forever = serve_forever
