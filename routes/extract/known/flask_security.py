# flask-security and flask-security-too: which of its views exist is decided by
# SECURITY_... settings, so all are allowed.
from flask import Blueprint

VIEWS = ("login", "logout", "register", "verify", "verify-link", "reset", "reset/<token>", "change", "change-email",
         "change-email/<token>", "change-username", "confirm", "confirm/<token>", "login/<token>", "tf-setup",
         "tf-setup/<token>", "tf-validate", "tf-rescue", "tf-select", "us-signin", "us-signin/send-code", "us-setup",
         "us-setup/<token>", "us-verify", "us-verify/send-code", "us-verify-link", "wan-register",
         "wan-register/<token>", "wan-signin", "wan-signin/<token>", "wan-delete", "wan-verify", "wan-verify/<token>",
         "mf-recovery-codes", "mf-recovery", "recover-username", "login/oauthstart/<name>", "login/oauthresponse/<name>")

NAMES = {"reset": "forgot_password", "reset/<token>": "reset_password", "change": "change_password",
         "confirm": "send_confirmation", "confirm/<token>": "confirm_email", "login/<token>": "token_login"}


def view():
    pass


class Security:
    def __init__(self, app=None, datastore=None, register_blueprint=True, **kwargs):
        if app is not None:
            self.init_app(app, datastore, register_blueprint)

    def init_app(self, app, datastore=None, register_blueprint=True, **kwargs):
        if register_blueprint is False:
            return
        config = app.config
        bp = Blueprint(config.get("SECURITY_BLUEPRINT_NAME", "security"), __name__,
                       url_prefix=config.get("SECURITY_URL_PREFIX"), subdomain=config.get("SECURITY_SUBDOMAIN"),
                       static_folder="static", static_url_path="/fs-static")
        for name in VIEWS:
            key = name.split("/")[0].replace("-", "_").upper()
            path = config.get("SECURITY_" + key + "_URL", "/" + name.split("/")[0])
            tail = name[len(name.split("/")[0]):]
            bp.add_url_rule(path + tail, NAMES.get(name, name), view, methods=["GET", "POST"])
        app.register_blueprint(bp)
