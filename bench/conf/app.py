"""The Flask app of the benchmarks. Its routes are also those of the static
upstream (upstream.conf), so that flask2ban knows them in front of either."""
from flask import Flask, request

app = Flask(__name__)


@app.route("/")
def index():
    return "Hello, world!\n"


@app.route("/user/<username>")
def getuser(username):
    return f"Hello, {username}!\n"


@app.route("/big")
def big():
    return b"x" * (1 << 20)


@app.route("/upload", methods=["POST"])
def upload():
    return f"{len(request.get_data())}\n"


if __name__ == "__main__":
    app.run()
