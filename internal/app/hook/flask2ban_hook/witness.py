"""Says, for each request that flask2ban forwarded, what Flask's own routing
made of it, and lets the app see the client as if nothing stood between."""
import itertools
import traceback

from . import board, drain, pipe, settings, urlmap

KEY = "flask2ban"  # in the WSGI environ, for Flask's request to find _Seen
UNROUTED, FOUND, NOT_FOUND, NOT_ALLOWED, REDIRECT = "U", "F", "N", "M", "R"
ROUTINGS = {404: NOT_FOUND, 405: NOT_ALLOWED, 308: REDIRECT, 301: REDIRECT}
CACHE = 10000  # answers kept ready

_requests = itertools.count(1)
_answers = {}  # (routing, rule, endpoint) -> header value


class _Seen(object):
    """One forwarded request. Its repr says nothing: apps print environ."""

    __slots__ = ("id", "request", "error", "revoked")

    def __init__(self, request_id):
        self.id = request_id
        self.request = None  # Flask's, set when its context is made
        self.error = None
        self.revoked = False  # flask2ban sends it again, so it must not run

    def __repr__(self):
        return "<flask2ban>"

    def testimony(self):
        """The value of the witness header."""
        request = self.request
        if request is None:
            return UNROUTED
        routing, rule = _routing(request), request.url_rule
        if rule is None:
            value = routing
        else:
            value = _answer(routing, rule.rule, str(rule.endpoint))
        if self.error is not None:
            parts = value.split(" ")
            value = " ".join((parts + ["", ""])[:3] + [_quote(_type(self.error))])
        return value


def _routing(request):
    """Flask's verdict. The exception is kept on the request, so login walls
    and error handlers that answer something else change nothing."""
    error = request.routing_exception
    if error is None:
        return FOUND if request.url_rule is not None else UNROUTED
    if hasattr(error, "new_url"):  # werkzeug.routing.RequestRedirect
        return REDIRECT
    return ROUTINGS.get(getattr(error, "code", None), UNROUTED)


def _answer(*parts):
    value = _answers.get(parts)
    if value is None:
        value = " ".join(_quote(part) for part in parts)
        if len(_answers) < CACHE:
            _answers[parts] = value
    return value


def _quote(text):
    from urllib.parse import quote

    return quote(text, safe="/<>:_.,()='\"")


def patch_flask(module):
    """The one patch of Flask.__call__, and what it needs to see inside."""
    flask = module.Flask
    original = flask.__call__

    def __call__(self, environ, start_response):
        secret = environ.pop(settings.request_header, None)
        if "headers_raw" in environ:
            _forget_raw(environ)
        if settings.count and next(_requests) % settings.count == 0:
            pipe.send({"t": "count", "count": settings.count})
        work = drain.begin()
        try:
            if secret is None:
                return original(self, environ, start_response)
            return _serve(original, self, environ, start_response, secret)
        finally:
            drain.end(work)

    flask.__call__ = __call__
    urlmap.patched_call = __call__
    _patch_request_context(flask)
    _watch_exceptions(flask)


def _forget_raw(environ):
    """eventlet's server tells the headers a second time, as they came."""
    environ["headers_raw"] = tuple(
        pair
        for pair in environ["headers_raw"]
        if "HTTP_" + pair[0].upper().replace("-", "_") != settings.request_header
    )


PROBE = "probe"  # the id by which flask2ban asks whether anybody answers


def _serve(original, app, environ, start_response, secret):
    if secret.startswith(PROBE + " "):
        return _refuse("204 No Content", start_response)
    seen = _begin(app, environ, secret)
    if seen.revoked:
        return _refuse("503 Service Unavailable", start_response)

    def start(status, headers, *rest):
        try:
            headers = list(headers)
            headers.append((settings.response_header, seen.testimony()))
        except Exception as error:
            pipe.problem("testimony", error)
        return start_response(status, headers, *rest)

    try:
        return original(app, environ, start)
    except Exception as error:
        report(error, seen)
        raise


def _refuse(status, start_response):
    """Answers without the app."""
    start_response(status, [(settings.response_header, UNROUTED)])
    return [b""]


def _begin(app, environ, secret):
    """Reads the secret header: request id, client, scheme, host."""
    seen = _Seen("")
    try:
        seen.id, client, scheme, host = (secret.split(" ") + ["", "", ""])[:4]
        pipe.begun(seen.id)  # first, see board
        seen.revoked = board.is_revoked(seen.id)
        environ[KEY] = seen
        if settings.proxy_fix and client:
            dress(environ, client, scheme, host)
        if urlmap.announced is None:
            urlmap.announce(app, True)  # a server that we don't know began to serve
        elif urlmap.changed():
            urlmap.announce_again()
    except Exception as error:
        board.lose()
        pipe.problem("begin", error)
    return seen


def dress(environ, client, scheme, host):
    """Makes environ what it was had the client come straight to the app. An app
    with its own ProxyFix, for however many proxies, gets the same values."""
    environ["REMOTE_ADDR"] = environ["HTTP_X_FORWARDED_FOR"] = client
    environ.pop("REMOTE_PORT", None)
    environ.pop("REMOTE_HOST", None)
    if "HTTP_X_REAL_IP" in environ:
        environ["HTTP_X_REAL_IP"] = client
    environ["wsgi.url_scheme"] = environ["HTTP_X_FORWARDED_PROTO"] = scheme
    port = "443" if scheme == "https" else "80"
    if host:
        environ["HTTP_HOST"] = environ["HTTP_X_FORWARDED_HOST"] = host
        name, _, given = host.rpartition(":")
        if name and given.isdigit():
            host, port = name, given
        environ["SERVER_NAME"] = host
    environ["SERVER_PORT"] = environ["HTTP_X_FORWARDED_PORT"] = port


def _patch_request_context(flask):
    """Notes Flask's request object while it is made: middlewares may start the
    response after the request's context is gone, and the innermost of nested
    apps is made last."""
    original = flask.request_context

    def request_context(self, environ):
        context = original(self, environ)
        seen = environ.get(KEY)
        if seen is not None:
            seen.request = context.request
        return context

    flask.request_context = request_context


# Exceptions


def _watch_exceptions(flask):
    """Flask's signal covers extensions that handle errors their own way
    (flask-restful sends it too); without blinker, Flask < 2.3 has none."""
    from flask import signals

    if getattr(signals, "signals_available", True):
        signals.got_request_exception.connect(_on_signal, weak=False)
        return
    original = flask.handle_exception

    def handle_exception(self, e):
        _on_signal(self, e)
        return original(self, e)

    flask.handle_exception = handle_exception


def _on_signal(sender, exception=None, **extra):
    try:
        from flask import request

        report(exception, request.environ.get(KEY), request)
    except Exception as error:
        pipe.problem("exception", error)


def _type(error):
    cls = type(error)
    if cls.__module__ in ("builtins", "__main__"):
        return cls.__qualname__
    return "%s.%s" % (cls.__module__, cls.__qualname__)


def report(error, seen, request=None):
    """Tells of an unhandled exception, once for each request."""
    if seen is not None:
        if seen.error is error:
            return
        seen.error = error
        request = request or seen.request
    message = {"t": "exc", "id": seen.id if seen is not None else ""}
    try:
        message.update(_described(error))
        if request is not None:
            message.update(method=request.method, path=request.path[:300])
            message["rule"] = request.url_rule.rule if request.url_rule else ""
    except Exception as problem:
        message["message"] = repr(problem)[:200]
    _send_cut(message)


def _described(error):
    text = "".join(
        traceback.format_exception(type(error), error, error.__traceback__)
    )
    return {
        "type": _type(error)[:200],
        "message": str(error)[:1000],
        "traceback": text[-3000:],
    }


def _send_cut(message):
    """Halves the traceback, then the message, until they fit a line."""
    for name in ("traceback",) * 12 + ("message",) * 10:
        if len(pipe.encode(message)) <= pipe.LIMIT:
            break
        text = message.get(name, "")
        message[name] = text[-(len(text) // 2) :] if len(text) > 1 else ""
    pipe.send(message)


# Werkzeug


def patch_map(module):
    """Counts rules as they are added, so that a request needs one comparison
    to know that the url_map has changed."""
    original = module.Map.add

    def add(self, rulefactory):
        original(self, rulefactory)
        urlmap.changes += 1

    module.Map.add = add


def patch_debugger(module):
    """Keeps the interactive debugger off: it runs code for whoever asks, and
    shows source. Its place in the WSGI stack stays."""
    if settings.debugger:
        return
    cls = module.DebuggedApplication
    original = cls.__init__

    def __init__(self, app, *args, **kwargs):
        kwargs["pin_logging"] = False
        original(self, app, *args, **kwargs)

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)

    cls.__init__, cls.__call__ = __init__, __call__
