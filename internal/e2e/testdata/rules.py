# An app whose routes give rules something to do.
import time

from flask import Flask, request

app = Flask(__name__)


@app.route("/")
def index():
    return "index\n"


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST" and request.args.get("password") != "secret":
        return "wrong\n", 401
    return "login\n"


@app.route("/api/items/<int:item>")
def api(item):
    return f"item {item}\n"


@app.route("/slow")
def slow():
    time.sleep(float(request.args.get("t", 1)))
    return "slow\n"


@app.route("/search")
def search():
    return "found\n"


@app.route("/old-admin")
def old_admin():
    return "never seen\n"
