"""The catalog, with the reviews of its items nested below it."""
from flask import Blueprint

from . import reviews
from .items import ItemView

bp = Blueprint("catalog", __name__)
bp.register_blueprint(reviews.bp, url_prefix="/<int:item_id>/reviews")


@bp.route("/")
def index():
    return {"items": [1, 2, 3]}


bp.add_url_rule("/<int:item_id>", view_func=ItemView.as_view("item"))
