"""The app that the faults happen in. Each POST that runs is noted by its id."""
import os
import re
import signal
import sys
import threading
import time

from flask import Flask, Response, request

app = Flask(__name__)
lock = threading.Lock()
leaked = []

starts = os.environ.get("FAULT_STARTS")
if starts:  # a directory: each start leaves a file there
    n = len(os.listdir(starts))
    open(os.path.join(starts, str(n)), "w").close()
    if n in [int(word) for word in os.environ.get("FAULT_BAD_STARTS", "").split()]:
        raise SystemExit("the database is not there yet")
    if n > 0:
        time.sleep(float(os.environ.get("FAULT_IMPORT", "0")))


@app.route("/")
def index():
    time.sleep(0.001)
    return "hello"


@app.route("/post", methods=["POST"])
def post():
    fd = os.open(os.environ["FAULT_RAN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, request.get_data() + b"\n")
    os.close(fd)
    time.sleep(0.001)
    return "done"


@app.route("/spin")
def spin():
    end = time.time() + float(request.args["s"])
    while time.time() < end:
        pass
    return "spun"


@app.route("/regex")
def regex():
    re.match(r"(a|aa)+$", "a" * int(request.args["n"]) + "b")  # holds the lock
    return "matched"


@app.route("/sleep")
def sleep():
    time.sleep(float(request.args["s"]))
    return "slept"


@app.route("/deadlock")
def deadlock():
    if request.args.get("now"):
        lock.acquire()
        lock.acquire()
    return "free"


@app.route("/leak")
def leak():
    leaked.append(bytearray(os.urandom(1024) * 1024 * int(request.args["mb"])))
    return "leaked"


@app.route("/events")
def events():
    def stream():
        while True:
            yield "data: x\n\n"
            time.sleep(2)

    return Response(stream(), mimetype="text/event-stream")


@app.route("/upload", methods=["PUT"])
def upload():
    return str(len(request.get_data()))


@app.route("/large")
def large():
    return b"x" * (20 << 20)


def brood():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        os._exit(0)


if __name__ == "__main__":
    if os.environ.get("FAULT_BROOD"):
        brood()
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(0))  # ends the accept loop
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("FAULT_PORT", "5000")),
        threaded=not os.environ.get("FAULT_UNTHREADED"),
    )
