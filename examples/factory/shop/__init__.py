"""A small shop: an application factory, nested blueprints, a class-based view."""
from flask import Flask

from . import account, catalog


def create_app(config=None):
    app = Flask(__name__, static_url_path="/assets")
    app.config.update(config or {})

    app.register_blueprint(catalog.bp, url_prefix="/catalog")
    app.register_blueprint(account.bp)

    @app.get("/")
    def index():
        return '<link rel=stylesheet href="/assets/shop.css"><a href="/catalog/">Catalog</a>\n'

    return app
