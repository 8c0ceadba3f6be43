"""Two views: one that needs a processor, one that waits as for a database."""
import hashlib
import os
import time

from flask import Flask

app = Flask(__name__)


@app.route("/cpu")
def cpu():
    """About 10 ms of pure Python, which holds the interpreter's lock."""
    digest = b""
    for n in range(12000):
        digest = hashlib.md5(digest + b"%d" % n).digest()
    return digest.hex()


@app.route("/io")
def io():
    time.sleep(0.05)
    return "waited"


if __name__ == "__main__":
    app.run(port=int(os.environ.get("APP_PORT", 5000)))
