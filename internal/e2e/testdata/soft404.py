# A 404 handler that answers 200, as single-page apps do.
from flask import Flask

app = Flask(__name__)


@app.route("/")
def index():
    return "<script src=/app.js></script>\n"


@app.route("/item/<int:number>")
def item(number):
    return f"item {number}\n"


@app.errorhandler(404)
def missing(error):
    return "<!doctype html><title>My app</title><p>Nothing here\n", 200


if __name__ == "__main__":
    app.run(port=5000)
