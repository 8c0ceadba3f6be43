"""A small shop, with all that the status page has to show."""
import os
import time

from flask import Flask, abort, request

app = Flask(__name__)


@app.route("/")
def index():
    return "<h1>Shop</h1>"


@app.route("/product/<int:number>")
def product(number):
    time.sleep(0.002 * (number % 9))
    return f"product {number}"


@app.route("/search")
def search():
    time.sleep(0.03)
    return "found nothing"


@app.route("/cart", methods=["GET", "POST"])
def cart():
    return "empty"


@app.route("/checkout", methods=["POST"])
def checkout():
    return "thanks"


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        abort(401)
    return "<form method=post><input name=user></form>"


@app.route("/report/<name>")
def report(name):
    raise ValueError(f"no report {name!r} for {request.headers.get('User-Agent')!r} from {request.referrer!r}")


@app.route("/legacy/<path:page>")
def legacy(page):
    abort(404)


app.add_url_rule(os.environ.get("SHOP_PREFIX", "/plugins") + "/status", "status", lambda: "ok")

if __name__ == "__main__":
    app.run(threaded=True)
