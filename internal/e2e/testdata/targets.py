# Says what Flask's routing made of a request, whatever it made of it.
from flask import Flask, request

app = Flask(__name__)


@app.after_request
def tell(response):
    error = request.routing_exception
    response.headers["X-Routing"] = type(error).__name__ if error else request.url_rule.rule.encode().hex()
    return response


@app.route("/")
@app.route("/about")
@app.route("/a/b")
@app.route("/tree/")
@app.route("/tree/leaf/")
@app.route("/semi;colon")
@app.route("/two words")
@app.route("/über")
@app.route("/per%cent")
@app.route("/plus+plus")
def fixed():
    return "fixed\n"


@app.route("/search/<q>")
@app.route("/user/<name>/")
@app.route("/page/<int:n>")
@app.route("/minus/<int(signed=True):n>")
@app.route("/float/<float:x>")
@app.route("/uuid/<uuid:u>")
@app.route("/kind/<any(cat, dog):k>")
@app.route("/file/<path:p>")
@app.route("/v/<string(length=2):lang>")
@app.route("/pair/<a>-<b>")
@app.route("/<name>.txt")
def valued(**values):
    return "valued\n"


if __name__ == "__main__":
    app.run(port=5000)
