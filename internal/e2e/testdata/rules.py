# An app whose routes give rules something to do.
import threading

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


let_go = threading.Event()


@app.route("/slow")
def slow():
    if request.args.get("hold"):
        let_go.wait()
    return "slow\n"


@app.route("/let-go")
def end_of_hold():
    let_go.set()
    return "held no longer\n"


@app.route("/search")
def search():
    return "found\n"


@app.route("/old-admin")
def old_admin():
    return "never seen\n"
