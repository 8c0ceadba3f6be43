"""Finds what a server serves: which Flask app is inside a WSGI application,
and which application the caller of bind() is a server for."""
import sys

# Packages whose frames mean "a WSGI server is being set up". True: the
# package serves nothing but what the command line named, also where the
# application can't be seen yet.
SERVERS = {
    "werkzeug": False,
    "wsgiref": False,
    "waitress": False,
    "gevent": False,
    "cheroot": False,
    "cherrypy": False,
    "paste": False,
    "bjoern": False,
    "flask_socketio": False,
    "eventlet": True,
    "tornado": True,
    "uvicorn": True,
    "hypercorn": True,
    "granian": True,
}
# How such frames, and middlewares, name the application.
NAMES = (
    "application",
    "app",
    "wsgi_app",
    "wsgi_application",
    "request_callback",
    "loaded_app",
    "flask_app",
)
FRAMES = 40
OBJECTS = 300  # looked at, at most, inside one application


def is_flask(value):
    """Whether value is a Flask app, without importing Flask."""
    return any(
        base.__name__ == "Flask" and base.__module__.startswith("flask.")
        for base in type(value).__mro__
    )


class Found(object):
    """A Flask app inside a WSGI application."""

    def __init__(self, flask=None, prefix=""):
        self.flask = flask
        self.prefix = prefix  # the mount it lies under
        self.mounts = set()  # prefixes where something else answers


def look_inside(application):
    """The first Flask app in application, breadth first, or a Found of None."""
    found = Found()
    queue, seen = [(application, "")], set()
    while queue and len(seen) < OBJECTS:
        value, prefix = queue.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if found.flask is None and is_flask(value):
            found.flask, found.prefix = value, prefix
        found.mounts.update(prefix + path for path in _mounts(value))
        queue.extend(_within(value, prefix))
    found.mounts.discard(found.prefix)
    found.mounts.discard("")
    return found


def _mounts(value):
    """The prefixes that value answers by something else than the app: those of
    DispatcherMiddleware, engineio's WSGIApp and SharedDataMiddleware."""
    mounts = getattr(value, "mounts", None)
    paths = list(mounts) if isinstance(mounts, dict) else []
    engine = getattr(value, "engineio_path", None)
    if isinstance(engine, str):
        paths.append("/" + engine.strip("/"))
    for name in ("exports", "static_files"):
        files = getattr(value, name, None)
        if isinstance(files, (dict, list)) and not is_flask(value):
            paths.extend(f if isinstance(f, str) else f[0] for f in files)
    return [path.rstrip("/") for path in paths if isinstance(path, str)]


def _within(value, prefix):
    """What value may hand a request on to, each with its prefix."""
    held = list(_referenced(value))
    owner = getattr(value, "__self__", None)
    if owner is not None:
        held.append(owner)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        known = [attributes[name] for name in NAMES if name in attributes]
        if is_flask(value):
            held.extend(known)  # app.wsgi_app, where a middleware sits
        else:
            held.extend(known + list(attributes.values()))
    for inner in held:
        if callable(inner) and not isinstance(inner, type):
            yield inner, prefix
    mounts = getattr(value, "mounts", None)
    if isinstance(mounts, dict):
        for path, inner in mounts.items():
            yield inner, prefix + path.rstrip("/")


def _referenced(function):
    """What a plain function reaches: its closure, its default arguments'
    place in a partial, and the globals that it names."""
    code = getattr(function, "__code__", None)
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            pass  # not yet filled
    if code is not None:
        known = getattr(function, "__globals__", {})
        for name in code.co_names:
            value = known.get(name)
            if value is not None and (is_flask(value) or hasattr(value, "wsgi_app")):
                yield value
    inner = getattr(function, "func", None)  # functools.partial
    if inner is not None:
        yield inner


class Server(object):
    """Who calls bind()."""

    def __init__(self, package):
        self.package = package
        self.application = None  # None where it can't be seen
        self.tls = False
        self.threads = 0  # requests at one time; 0 where that isn't bounded


def calling(frame):
    """The Server that frame belongs to; None where no WSGI server is at work.

    The innermost application decides: prometheus_client's server may be
    started by a function that has the Flask app in a variable.
    """
    server = None
    for _ in range(FRAMES):
        if frame is None:
            break
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in SERVERS or _is_own_server(frame):
            server = server or Server(package)
            server.tls = server.tls or _has_tls(frame)
            server.threads = server.threads or _threads(frame)
            if server.application is None:
                server.application = _application(frame)
        frame = frame.f_back
    return server


def _is_own_server(frame):
    """Whether a server class of the app's own is at work in frame."""
    owner = frame.f_locals.get("self")
    if owner is None or is_flask(owner):
        return False
    names = {base.__name__ for base in type(owner).__mro__}
    return bool(names & {"BaseServer", "BaseWSGIServer", "WSGIServer"}) and any(
        callable(getattr(owner, name, None)) for name in NAMES
    )


def _application(frame):
    for name in NAMES:
        value = frame.f_locals.get(name)
        if callable(value):
            return value
    owner = frame.f_locals.get("self")
    for name in NAMES:
        value = getattr(owner, name, None)
        if callable(value) and not is_flask(owner):
            return value
    return None


def _has_tls(frame):
    owner = frame.f_locals.get("self")
    return frame.f_locals.get("ssl_context") is not None or bool(
        getattr(owner, "ssl_enabled", False)
    )


def _threads(frame):
    """waitress has its number among its adjustments; Werkzeug's and wsgiref's
    servers are single-threaded unless socketserver's mixin makes them not."""
    adjustments = frame.f_locals.get("adj")
    if adjustments is not None:
        return int(getattr(adjustments, "threads", 0) or 0)
    bases = type(frame.f_locals.get("self")).__mro__
    names = {base.__name__ for base in bases if base.__module__ == "socketserver"}
    if "BaseServer" in names and not names & {"ThreadingMixIn", "ForkingMixIn"}:
        return 1
    return 0


def main_globals():
    return vars(sys.modules.get("__main__", sys))


def named_by_main():
    """The Flask app that the program calls app or application, as flask run
    looks for it; None where it has none, or not yet."""
    known = main_globals()
    for name in ("app", "application"):
        found = look_inside(known[name]).flask if callable(known.get(name)) else None
        if found is not None:
            return found
    return None


def only_one():
    """The only Flask app of the process, where there is exactly one."""
    import gc

    apps = [value for value in gc.get_objects() if is_flask(value)]
    return apps[0] if len(apps) == 1 else None
