# pluggy: calling a hook calls it in every plugin that was registered.


class _Marker:
    def __init__(self, project_name=None):
        self.project_name = project_name

    def __call__(self, f=None, **kwargs):
        if f is None:
            return lambda g: g
        return f


HookspecMarker = _Marker
HookimplMarker = _Marker


class _Hooks:
    def __init__(self, manager):
        self._manager = manager

    def __getattr__(self, name):
        def call(**kwargs):
            return self._manager._call(name, kwargs)
        return call


class PluginManager:
    def __init__(self, project_name=None, implprefix=None):
        self._plugins = []
        self.hook = _Hooks(self)

    def register(self, plugin, name=None):
        self._plugins.append(plugin)

    def add_hookspecs(self, module):
        pass

    def load_setuptools_entrypoints(self, *args, **kwargs):
        pass

    def get_plugins(self):
        return self._plugins

    def _call(self, name, kwargs):
        results = []
        for plugin in self._plugins:
            f = getattr(plugin, name, None)
            if f is not None:
                results.append(f(**kwargs))
        return results
