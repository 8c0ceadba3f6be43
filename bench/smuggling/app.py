# What a Flask app makes of a request: method, path, length and body, one line
# for each request in the file named by RECORD.
import os

from flask import Flask, request

app = Flask(__name__)


def record():
    body = request.stream.read()
    if request.headers.get("User-Agent", "").startswith("flask2ban ("):
        return "ok\n"  # a sidecar asks a few paths by itself
    with open(os.environ["RECORD"], "a") as f:
        f.write(f"{request.method} {request.path!r} {body.decode('latin-1')!r}\n")
    return "ok\n"


@app.route("/echo", methods=["GET", "POST"])
def echo():
    return record()


@app.route("/<path:rest>", methods=["GET", "POST"])
def rest(rest):
    return record()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), threaded=True)
