# APIFairy (apifairy/core.py).
from flask import Blueprint


def show():
    pass


class APIFairy:
    def __init__(self, app=None):
        if app is not None:
            self.init_app(app)

    def init_app(self, app):
        bp = Blueprint("apifairy", __name__)
        spec = app.config.get("APIFAIRY_APISPEC_PATH", "/apispec.json")
        if spec:
            bp.add_url_rule(spec, "json", show)
        ui = app.config.get("APIFAIRY_UI_PATH", "/docs")
        if ui:
            bp.add_url_rule(ui, "docs", show)
        app.register_blueprint(bp)
