"""flask2ban's hook: what runs inside the app's process.

It hands our listening socket to the app's server (binding), reports the app's
url_map (urlmap), tells what Flask's routing made of each request (witness), and
keeps all of this away from the app's children. Nothing here may break an app:
whatever fails is left out.

Must run on every Python from 3.7, before gevent patches anything: so no module
that gevent wants to be first at (socket, ssl, threading) is imported early.
"""
import os
import sys

from . import binding, board, children, imports, pipe, settings, witness


def start(directory):
    """Installs everything, or nothing where our descriptors are gone."""
    try:
        known = settings.read(directory)
    finally:
        os.environ.pop(settings.VARIABLE, None)
    if not known:
        return
    children.forget_variables()
    _guarded(board.open_board)
    _guarded(_write_stacks_when_asked)
    pipe.hello(board.is_open())
    for name, patch in _PATCHES:
        imports.when_imported(name, patch, again=name == "socket")
    children.keep_over_exec()
    imports.install()


def _guarded(function):
    try:
        function()
    except Exception as error:
        pipe.problem(function.__name__, error)


def _write_stacks_when_asked():
    """faulthandler's handler is in C: it works where a thread holds the
    interpreter's lock, and gunicorn leaves this signal alone."""
    import faulthandler

    faulthandler.register(settings.stacks_signal, file=2, all_threads=True)


# Each module that we change, and how, as soon as the app imports it.
_PATCHES = (
    ("socket", binding.patch_socket),
    ("gevent._socket3", binding.patch_gevent),
    ("gunicorn.sock", binding.patch_gunicorn_sockets),
    ("gunicorn.workers.base", binding.patch_gunicorn_worker),
    ("werkzeug.serving", binding.patch_werkzeug),
    ("werkzeug._reloader", children.patch_reloader),
    ("werkzeug.debug", witness.patch_debugger),
    ("werkzeug.routing", witness.patch_map),
    ("flask.app", witness.patch_flask),
)


def serve_entry(application):
    """Says which application the command line named; the runner calls it."""
    binding.entry = application


sys.modules.setdefault("flask2ban_hook", sys.modules[__name__])
