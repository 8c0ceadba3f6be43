import os

from flask import Flask

app = Flask(__name__)


@app.route("/<path:page>")
def any_page(page):
    if page.startswith("bad"):
        os.abort()
    return page


@app.route("/item/<name>")
def item(name):
    return any_page(name)


if __name__ == "__main__":
    app.run()
