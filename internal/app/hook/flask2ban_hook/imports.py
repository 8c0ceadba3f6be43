"""Calls back as soon as the app has imported a module.

Only the loader's exec_module of the one module is replaced, for the one call:
tools that look at module.__loader__ find what they always find.
"""
import sys

_patches = {}  # module name -> function of the module, each used once
_again = {}  # the same, for modules that are imported more than once


def when_imported(name, patch, again=False):
    """Calls patch(module) when name is imported, or now where it is. again is
    for a module that somebody imports anew, for a copy without patches of his
    own (eventlet.patcher.original)."""
    module = sys.modules.get(name)
    if again:
        _again[name] = patch
    if module is None:
        _patches[name] = patch
    else:
        _apply(patch, module)


def install():
    sys.meta_path.insert(0, _Finder())


def _apply(patch, module):
    try:
        patch(module)
    except Exception as error:
        from . import pipe

        pipe.problem(patch.__name__, error)


class _Finder(object):
    """Finds nothing itself: it asks the other finders and marks the answer."""

    def find_spec(self, name, path=None, target=None):
        patch = _patches.pop(name, None) or _again.get(name)
        if patch is None:
            return None
        spec = self._ask_others(name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            _mark(spec.loader, patch)
        return spec

    def _ask_others(self, name, path, target):
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                return spec
        return None


def _mark(loader, patch):
    original = loader.exec_module

    def exec_module(module):
        try:
            del loader.exec_module
        except AttributeError:
            pass
        original(module)
        _apply(patch, module)

    try:
        loader.exec_module = exec_module
    except AttributeError:
        pass  # a builtin loader; none of our modules has one
