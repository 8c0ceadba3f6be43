"""Keeps the hook where it belongs: this process and its successors.

The app's children must not inherit anything of ours. Two are no real children:
the reloader's, which is the app itself, and what exec puts in our place (poetry
run, a wrapper script).
"""
import os

from . import settings

# What the servers take a socket from where no hook runs (supervision.md).
_SERVERS = ("WERKZEUG_SERVER_FD", "UVICORN_FD", "GUNICORN_FD")
_COMPANIONS = {"WERKZEUG_SERVER_FD": "WERKZEUG_RUN_MAIN", "GUNICORN_FD": "GUNICORN_PID"}


def forget_variables():
    """Takes what flask2ban set out of os.environ, and out of the children's
    descriptors. A variable with another value is the app's own: the reloader
    sets WERKZEUG_SERVER_FD for its child."""
    os.environ.pop(settings.VARIABLE, None)
    for entry in settings.remove:
        name, _, value = entry.partition("=")
        if os.environ.get(name) == value:
            del os.environ[name]
    for name in _SERVERS:
        if os.environ.get(name) == str(settings.listener):
            del os.environ[name]
            os.environ.pop(_COMPANIONS.get(name, ""), None)
    _inherit(False)


def _inherit(yes):
    for fd in settings.descriptors():
        try:
            os.set_inheritable(fd, yes)
        except OSError:
            pass


def with_hook(environment):
    """A copy of environment in which Python starts with the hook."""
    environment = dict(environment)
    rest = environment.get("PYTHONPATH")
    paths = [settings.directory] + ([rest] if rest else [])
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment[settings.VARIABLE] = str(settings.descriptor)
    for entry in settings.remove:
        name, _, value = entry.partition("=")
        environment.setdefault(name, value)
    return environment


def patch_reloader(module):
    """Gives Werkzeug's reloader child the hook. ReloaderLoop runs it with
    subprocess.call in every version since 0.11."""
    module.subprocess = _Subprocess(module.subprocess)


class _Subprocess(object):
    """The subprocess module as the reloader sees it."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        return getattr(self._module, name)

    def call(self, *args, **kwargs):
        kwargs["env"] = with_hook(kwargs.get("env") or os.environ)
        _inherit(True)
        try:
            return self._module.call(*args, **kwargs)
        finally:
            _inherit(False)


def keep_over_exec():
    """Keeps the hook where this very process becomes another program."""
    os.execve = _over_exec(os.execve)
    execve = os.execve

    def execv(path, argv):
        return execve(path, argv, os.environ)

    os.execv = execv


def _over_exec(original):
    def execve(path, argv, env):
        if os.getpid() != settings.pid:
            return original(path, argv, env)  # a forked child: not us
        _inherit(True)
        try:
            return original(path, argv, with_hook(env))
        finally:
            _inherit(False)  # only where exec failed

    return execve
