# flask-uploads and flask-reuploaded: what is uploaded is served below /_uploads.
from flask import Blueprint


def configure_uploads(app, upload_sets=None):
    uploads = Blueprint("_uploads", __name__, url_prefix="/_uploads")
    uploads.add_url_rule("/<setname>/<path:filename>", "uploaded_file", uploaded_file)
    app.register_blueprint(uploads)


def uploaded_file(setname, filename):
    pass


def patch_request_class(app, size=None):
    pass
