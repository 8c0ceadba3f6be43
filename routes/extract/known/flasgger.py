# flasgger (flasgger/base.py).
from flask import Blueprint
from flask.views import MethodView


class View(MethodView):
    def get(self):
        pass


class Swagger:
    DEFAULT_CONFIG = {
        "specs": [{"endpoint": "apispec_1", "route": "/apispec_1.json"}],
        "static_url_path": "/flasgger_static",
        "swagger_ui": True,
        "specs_route": "/apidocs/",
    }

    def __init__(self, app=None, config=None, template=None, template_file=None, sanitizer=None,
                 validation_function=None, validation_error_handler=None, parse=False, decorators=None, merge=False,
                 **kwargs):
        self.given = config
        self.config = config or self.DEFAULT_CONFIG.copy()
        if config and merge:
            self.config = dict(self.DEFAULT_CONFIG, **config)
        if app is not None:
            self.init_app(app)

    def init_app(self, app, decorators=None):
        if self.given is None:
            self.config.update(app.config.get("SWAGGER", {}))
        c = self.config
        docs = Blueprint(c.get("endpoint", "flasgger"), __name__, url_prefix=c.get("url_prefix", None),
                         static_folder="static", static_url_path=c.get("static_url_path", None))
        if c.get("swagger_ui", True):
            docs.add_url_rule(c.get("specs_route", "/apidocs/"), "apidocs", view_func=View.as_view("apidocs"))
            docs.add_url_rule("/apidocs/index.html", "<lambda>", view_func=lambda: None)
            docs.add_url_rule(c.get("oauth_redirect", "/oauth2-redirect.html"), "oauth_redirect",
                              view_func=View.as_view("oauth_redirect"))
        for spec in c.get("specs", []):
            docs.add_url_rule(spec["route"], spec["endpoint"], view_func=View.as_view(spec["endpoint"]))
        app.register_blueprint(docs)
