from flask import Blueprint, abort

bp = Blueprint("account", __name__, url_prefix="/account")


@bp.route("/<username>")
def profile(username):
    if username != "alice":
        abort(404)  # a missing record: never evidence
    return {"user": username}


@bp.post("/login")
def login():
    abort(401)
