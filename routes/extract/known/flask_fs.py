# flask-fs (flask_fs/__init__.py, flask_fs/views.py).
from flask import Blueprint


def get_file(fs, filename):
    pass


class Storage:
    pass


def init_app(app, *storages):
    bp = Blueprint("fs", __name__)
    bp.add_url_rule("/<string:fs>/<path:filename>", "get_file", get_file)
    app.register_blueprint(bp, url_prefix=app.config.get("FS_PREFIX"))
