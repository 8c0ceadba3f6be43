from flask import Blueprint, request

bp = Blueprint("reviews", __name__)


@bp.route("/", methods=["GET", "POST"])
def index(item_id):
    if request.method == "POST":
        return {"item": item_id, "review": "thanks"}, 201
    return {"item": item_id, "reviews": []}
