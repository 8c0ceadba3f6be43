# The routes that sockets.py serves, as a Flask app would have them.
from flask import Flask

app = Flask(__name__)


@app.route("/ws/<name>", websocket=True)
def ws(name):
    return ""


@app.route("/plain")
def plain():
    return "plain\n"
