# APIFlask (apiflask/app.py, scaffold.py).
from flask import Blueprint, Flask
from flask.views import MethodView


def _view(rule, endpoint, view_func):
    if isinstance(view_func, type):
        endpoint = endpoint or view_func.__name__
        view_func = view_func.as_view(endpoint)
    return endpoint, view_func


class APIBlueprint(Blueprint):
    def __init__(self, name, import_name, tag=None, enable_openapi=True, **kwargs):
        super().__init__(name, import_name, **kwargs)

    def add_url_rule(self, rule, endpoint=None, view_func=None, provide_automatic_options=None, **options):
        endpoint, view_func = _view(rule, endpoint, view_func)
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)


class APIFlask(Flask):
    def __init__(self, import_name, title="APIFlask", version="0.1.0", spec_path="/openapi.json", docs_path="/docs",
                 docs_oauth2_redirect_path="/docs/oauth2-redirect", docs_ui="swagger-ui",
                 openapi_blueprint_url_prefix=None, json_errors=True, enable_openapi=True, spec_plugins=None,
                 redoc_path="/redoc", **kwargs):
        super().__init__(import_name, **kwargs)
        if not enable_openapi:
            return
        docs = Blueprint("openapi", __name__, url_prefix=openapi_blueprint_url_prefix)
        for path, name in ((spec_path, "spec"), (docs_path, "docs"), (redoc_path, "redoc"),
                           (docs_oauth2_redirect_path, "swagger_ui_oauth_redirect")):
            if path:
                docs.add_url_rule(path, name, view_func=self.page)
        self.register_blueprint(docs)

    def add_url_rule(self, rule, endpoint=None, view_func=None, provide_automatic_options=None, **options):
        endpoint, view_func = _view(rule, endpoint, view_func)
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)

    def page(self):
        pass
