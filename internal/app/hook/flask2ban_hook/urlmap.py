"""Reports the app's url_map: once where it begins to serve, and again when
rules were added."""
import sys

from . import pipe, served

REPORTS = 20  # of one process, at most
RULES = 20000

changes = 0  # counts what was ever added to any url_map
_reported_changes = -1
_reports = 0
announced = None  # the WSGI application reported last
patched_call = None  # our Flask.__call__
_behind = False  # whether something that we don't see called it


def changed():
    """Whether a rule was added since the last report; called per request."""
    return changes != _reported_changes and _reports < REPORTS


def announce(application, behind=False):
    """Reports the Flask app inside application. behind says that there may be
    more around it, before it in a request's way."""
    global _reported_changes, _reports, announced, _behind
    found = served.look_inside(application)
    if found.flask is None:
        return
    _reported_changes, announced, _behind = changes, application, behind
    _reports += 1
    message = _app(found)
    message["direct"] = not behind and _is_direct(application, found.flask)
    pipe.send(message)
    count = 0
    for rule in list(found.flask.url_map.iter_rules())[:RULES]:
        count += 1
        _send_rule(_rule(rule))
    pipe.send({"t": "serving", "rules": count, "mounts": sorted(found.mounts)})


def announce_again():
    if announced is not None:
        announce(announced, _behind)


def _is_direct(application, flask):
    """Whether nothing of the app's own runs before the hook sees a request, so
    that what the hook has not seen did not begin."""
    return application is flask and type(flask).__call__ is patched_call


def _version(name):
    """A package's version; importlib.metadata came with Python 3.8, and
    flask.__version__ goes away with Flask 3.2."""
    try:
        from importlib.metadata import version

        return version(name)
    except Exception:
        return str(getattr(sys.modules.get(name), "__version__", ""))


def _app(found):
    app = found.flask
    return {
        "t": "app",
        "python": "%d.%d.%d" % sys.version_info[:3],
        "flask": _version("flask"),
        "werkzeug": _version("werkzeug"),
        "options": {
            "strict_slashes": bool(app.url_map.strict_slashes),
            "merge_slashes": bool(getattr(app.url_map, "merge_slashes", False)),
            "host_matching": bool(app.url_map.host_matching),
            "subdomain_matching": bool(getattr(app, "subdomain_matching", True)),
            "server_name": app.config.get("SERVER_NAME"),
            "default_subdomain": app.url_map.default_subdomain or "",
            "redirect_defaults": bool(app.url_map.redirect_defaults),
            "script_name": found.prefix,
        },
    }


def _own(value, otherwise):
    return bool(otherwise if value is None else value)


def _rule(rule):
    url_map = rule.map
    redirect = rule.redirect_to
    return {
        "t": "rule",
        "rule": rule.rule,
        "methods": sorted(rule.methods) if rule.methods is not None else None,
        "endpoint": str(rule.endpoint),
        "subdomain": rule.subdomain or "",
        "host": rule.host,
        "strict_slashes": _own(rule.strict_slashes, url_map.strict_slashes),
        "merge_slashes": _own(
            getattr(rule, "merge_slashes", None),
            getattr(url_map, "merge_slashes", False),
        ),
        "defaults": dict(rule.defaults) if rule.defaults else None,
        "websocket": bool(getattr(rule, "websocket", False)),
        "build_only": bool(rule.build_only),
        "alias": bool(rule.alias),
        "redirect_to": "(callable)" if callable(redirect) else redirect,
        "converters": {
            name: _converter(converter)
            for name, converter in getattr(rule, "_converters", {}).items()
            if not type(converter).__module__.startswith("werkzeug.routing")
        },
    }


def _converter(converter):
    cls = type(converter)
    regex = str(getattr(converter, "regex", ""))
    return {
        "regex": regex,
        "weight": int(getattr(converter, "weight", 100)),
        "part_isolating": bool(getattr(converter, "part_isolating", "/" not in regex)),
        "class": "%s.%s" % (cls.__module__, cls.__qualname__),
    }


def _send_rule(rule):
    """A rule too long for a line goes without what makes it so."""
    for name in ("", "defaults", "converters"):
        if name:
            rule[name] = None
        if len(pipe.encode(rule)) <= pipe.LIMIT:
            return pipe.send(rule)
    return False
