# flask-openapi3 (flask_openapi3/openapi.py, blueprint.py, view.py).
from flask import Blueprint, Flask
from __flask2ban__ import open_below, view_methods


class APIBlueprint(Blueprint):
    def __init__(self, name, import_name, *, url_prefix=None, doc_ui=True, **kwargs):
        super().__init__(name, import_name, url_prefix=url_prefix, **kwargs)

    def register_api(self, api, **options):
        self.register_blueprint(api, **options)


class APIView:
    def __init__(self, url_prefix=None, **kwargs):
        self.url_prefix = url_prefix
        self.views = []

    def route(self, rule):
        def wrapper(cls):
            path = rule
            if self.url_prefix:
                path = self.url_prefix.rstrip("/") + "/" + rule.lstrip("/")
            self.views.append((path, cls))
            return cls
        return wrapper

    def register(self, app, url_prefix=None):
        for rule, cls in self.views:
            if url_prefix and self.url_prefix and url_prefix != self.url_prefix:
                rule = url_prefix + rule.removeprefix(self.url_prefix)
            elif url_prefix and not self.url_prefix:
                rule = url_prefix.rstrip("/") + "/" + rule.lstrip("/")
            for method in view_methods(cls):
                app.add_url_rule(rule, cls.__name__ + "." + method, getattr(cls, method), methods=[method.upper()])


class OpenAPI(Flask):
    def __init__(self, import_name, *, info=None, doc_ui=True, doc_prefix="/openapi", **kwargs):
        super().__init__(import_name, **kwargs)
        if doc_ui:
            open_below(self, doc_prefix, "flask-openapi3 serves its documentation here")

    def register_api(self, api, **options):
        self.register_blueprint(api, **options)

    def register_api_view(self, api_view, url_prefix=None, view_kwargs=None):
        api_view.register(self, url_prefix)
