"""The app of `make bench-overload`: a view that waits 50 ms, as for a database."""
import time

from flask import Flask

app = Flask(__name__)


@app.route("/")
def index():
    time.sleep(0.05)
    return "Hello, world!\n"
