# flask-smorest, and flask-rest-api before it (flask_smorest/blueprint.py,
# spec/__init__.py).
from flask import Blueprint as FlaskBlueprint
from flask.views import MethodView


def _slash(path):
    return path if path.startswith("/") else "/" + path


class Blueprint(FlaskBlueprint):
    def __init__(self, *args, **kwargs):
        self.description = kwargs.pop("description", "")
        super().__init__(*args, **kwargs)

    def add_url_rule(self, rule, endpoint=None, view_func=None, provide_automatic_options=None, *, parameters=None,
                     tags=None, **options):
        if endpoint is None:
            endpoint = view_func.__name__
        if isinstance(view_func, type):
            view_func = view_func.as_view(endpoint)
        super().add_url_rule(rule, endpoint, view_func, **options)

    def route(self, rule, *, parameters=None, tags=None, **options):
        def decorator(func):
            endpoint = options.pop("endpoint", None)
            self.add_url_rule(rule, endpoint, func, **options)
            return func
        return decorator


class Api:
    def __init__(self, app=None, *, spec_kwargs=None, config_prefix=""):
        self._app = None
        self.config_prefix = config_prefix
        if config_prefix and not config_prefix.endswith("_"):
            self.config_prefix = config_prefix + "_"
        if app is not None:
            self.init_app(app)

    def init_app(self, app, *, spec_kwargs=None):
        self._app = app
        prefix = self._get("OPENAPI_URL_PREFIX")
        if prefix is not None:
            self._register_docs(app, prefix)

    def _get(self, key, default=None):
        return self._app.config.get(self.config_prefix + key, default)

    def _register_docs(self, app, prefix):
        name = "api-docs"
        if self.config_prefix:
            name = self.config_prefix.lower().replace("_", "-") + name
        docs = FlaskBlueprint(name, __name__, url_prefix=_slash(prefix))
        docs.add_url_rule(_slash(self._get("OPENAPI_JSON_PATH", "openapi.json")), endpoint="openapi_json",
                          view_func=self.spec)
        for key in ("REDOC", "SWAGGER_UI", "RAPIDOC"):
            path = self._get("OPENAPI_" + key + "_PATH")
            if path is not None:
                docs.add_url_rule(_slash(path), endpoint="openapi_" + key.lower(), view_func=self.spec)
        app.register_blueprint(docs)

    def spec(self):
        pass

    def register_blueprint(self, blp, *, parameters=None, **options):
        self._app.register_blueprint(blp, **options)
