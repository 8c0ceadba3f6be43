"""Pages as people have them: good pictures beside broken ones."""
from flask import Flask, Response

app = Flask(__name__)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'


@app.route("/")
def index():
    broken = ["/avatar/%d" % n for n in range(6)]  # a route that is long gone
    good = ["/thumb/%d" % n for n in range(150)]
    return "".join("<img src=%s>" % src for src in broken + good)


@app.route("/thumb/<int:n>")
def thumb(n):
    return Response(SVG, mimetype="image/svg+xml")


if __name__ == "__main__":
    app.run()
