# flask-swagger-ui (flask_swagger_ui/__init__.py).
from flask import Blueprint


def show(path=None):
    pass


def get_swaggerui_blueprint(base_url, api_url, config=None, oauth_config=None, blueprint_name="swagger_ui"):
    bp = Blueprint(blueprint_name, __name__, static_folder="dist", url_prefix=base_url)
    bp.add_url_rule("/", "show", show)
    bp.add_url_rule("/<path:path>", "show", show)
    bp.add_url_rule("/dist/<path:path>", "show", show)
    return bp
