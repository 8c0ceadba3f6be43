"""Serves "module:object" as flask run does: Werkzeug's server, threaded, no
reloader. flask2ban starts it by its path; its argument is the app."""
import ast
import importlib
import os
import sys

WRONG_NAME = 78  # EX_CONFIG of sysexits.h; flask2ban does not try again


def load(spec):
    """The WSGI application that spec names, by the conventions of FLASK_APP;
    anything callable besides, as gunicorn takes it."""
    from flask.cli import NoAppException, ScriptInfo

    try:
        return ScriptInfo(app_import_path=spec).load_app()
    except NoAppException as error:
        application = _plain_wsgi(spec)
        if application is not None:
            return application
        sys.stderr.write("flask2ban: %s\n" % error)
        # An import that fails inside the app may work the next time; a
        # wrong name will not.
        raise SystemExit(1 if str(error).startswith("While importing") else WRONG_NAME)


def _plain_wsgi(spec):
    """A WSGI callable that isn't a Flask app itself, but has one inside."""
    from flask2ban_hook import served

    module, _, expression = spec.partition(":")
    if not expression:
        return None
    try:
        value = _evaluate(importlib.import_module(module), expression)
    except (ImportError, AttributeError, ValueError, SyntaxError):
        return None
    return value if callable(value) and served.look_inside(value).flask else None


def _evaluate(module, expression):
    """name.name or name.name("literal", key="literal")."""
    tree = ast.parse(expression.strip(), mode="eval").body
    arguments, keywords = [], {}
    call = isinstance(tree, ast.Call)
    if call:
        arguments = [ast.literal_eval(value) for value in tree.args]
        keywords = {k.arg: ast.literal_eval(k.value) for k in tree.keywords}
        tree = tree.func
    names = []
    while isinstance(tree, ast.Attribute):
        names.insert(0, tree.attr)
        tree = tree.value
    if not isinstance(tree, ast.Name):
        raise ValueError(expression)
    value = getattr(module, tree.id)
    for name in names:
        value = getattr(value, name)
    return value(*arguments, **keywords) if call else value


def address():
    """Where flask run would listen, if the app has a port of its own."""
    from flask2ban_hook import settings

    if not settings.own_port:
        return "127.0.0.1", 0
    host = os.environ.get("FLASK_RUN_HOST") or "127.0.0.1"
    return host, int(os.environ.get("FLASK_RUN_PORT") or 5000)


def main():
    import flask2ban_hook

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.getcwd()] + [p for p in sys.path if os.path.abspath(p) != here]
    spec = sys.argv.pop(1)
    application = load(spec)
    flask2ban_hook.serve_entry(application)
    from werkzeug.serving import run_simple

    run_simple(*address(), application, threaded=True, use_reloader=False)


if __name__ == "__main__":
    main()
