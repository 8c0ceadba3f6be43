# flask-restx's documentation pages: an app may change the blueprint's url_prefix
# (flask_restx/apidoc.py).
from flask import Blueprint

apidoc = Blueprint("restx_doc", __name__, static_folder="static", static_url_path="/swaggerui")
