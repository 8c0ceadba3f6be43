"""Starts flask2ban's hook in the app's process.

Python imports this module by itself, before the app, because flask2ban puts
its directory in front of PYTHONPATH. It leaves no trace: the directory and the
variables are gone before the app begins, and a sitecustomize that was there
already takes this one's place.
"""
import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _without_us(paths):
    return [path for path in paths if os.path.abspath(path or os.curdir) != _HERE]


def _leave_path():
    """Takes our directory off sys.path and PYTHONPATH."""
    sys.path[:] = _without_us(sys.path)
    rest = os.environ.pop("PYTHONPATH", "")
    rest = os.pathsep.join(_without_us(rest.split(os.pathsep))) if rest else ""
    if rest:
        os.environ["PYTHONPATH"] = rest


def _chain():
    """Runs the sitecustomize that Python would have found without us."""
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    ours, sys.modules["sitecustomize"] = sys.modules.get("sitecustomize"), module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules["sitecustomize"] = ours  # the import system expects one
        raise


try:
    import flask2ban_hook

    flask2ban_hook.start(_HERE)
except Exception:  # the app matters more than what we would learn of it
    if os.environ.get("FLASK2BAN_HOOK_DEBUG"):
        import traceback

        traceback.print_exc()
finally:
    _leave_path()
    _chain()
