# connexion: its OpenAPI file is the table (connexion/apps/flask_app.py,
# apis/flask_api.py).
from flask import Blueprint, Flask
from __flask2ban__ import open_below, openapi


class FlaskApp:
    def __init__(self, import_name, port=None, specification_dir="", host=None, server=None, arguments=None,
                 auth_all_paths=False, debug=None, resolver=None, options=None, skip_error_handlers=False,
                 server_args=None, **kwargs):
        self.app = Flask(import_name, **(server_args or {}))
        self.specification_dir = specification_dir
        self.options = options

    def add_api(self, specification, base_path=None, arguments=None, auth_all_paths=None, validate_responses=False,
                strict_validation=False, resolver=None, resolver_error=None, pythonic_params=False, options=None,
                **kwargs):
        prefix, rules = openapi(specification, self.specification_dir)
        if base_path is not None:
            prefix = base_path
        bp = Blueprint(prefix.strip("/") or "/", __name__, url_prefix=prefix)
        for rule, method, endpoint in rules:
            bp.add_url_rule(rule, endpoint, self.operation, methods=[method])
        for name in ("swagger", "openapi"):
            bp.add_url_rule("/" + name + ".json", "openapi_json", self.operation)
            bp.add_url_rule("/" + name + ".yaml", "openapi_yaml", self.operation)
        bp.add_url_rule("/ui/", "ui_home", self.operation)
        bp.add_url_rule("/ui/<path:filename>", "ui_static", self.operation)
        self.app.register_blueprint(bp)

    def add_url_rule(self, rule, endpoint=None, view_func=None, **options):
        self.app.add_url_rule(rule, endpoint, view_func, **options)

    def route(self, rule, **options):
        return self.app.route(rule, **options)

    def operation(self):
        pass


App = FlaskApp
FlaskApi = FlaskApp
