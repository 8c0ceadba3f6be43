# flask-themes and flask-themes2: static files of themes.
from flask import Blueprint


def static(themeid, filename):
    pass


class Themes:
    def __init__(self, app=None, *args, **kwargs):
        if app is not None:
            self.init_themes(app)

    def init_themes(self, app, loaders=None, app_identifier=None, manager_cls=None, theme_url_prefix="/_themes"):
        bp = Blueprint("_themes", __name__)
        bp.url_prefix = theme_url_prefix
        bp.add_url_rule("/<themeid>/<path:filename>", "static", static)
        app.register_blueprint(bp, url_prefix=theme_url_prefix)


def setup_themes(app, *args, **kwargs):
    Themes(app)
