# Notes each request that a view has begun, in the file $NOTES; $SERVER says
# what serves it. Views that hold wait for the file $NOTES.go.
import os
import time

from flask import Flask, Response, request

app = Flask(__name__)
NOTES = os.environ["NOTES"]


def note(line):
    with open(NOTES, "a") as f:
        f.write(line + "\n")


def hold():
    end = time.monotonic() + 120
    while not os.path.exists(NOTES + ".go") and time.monotonic() < end:
        time.sleep(0.02)


@app.before_request
def unknown():
    # Before Flask answers 404.
    if request.query_string == b"hold" and request.url_rule is None:
        note(request.path)
        hold()


@app.route("/")
def index():
    return str(os.getpid())


@app.route("/post/<name>", methods=["POST"])
def post(name):
    note(name)
    return "%s %d" % (name, len(request.get_data()))


@app.route("/hold/<name>", methods=["GET", "POST"])
def held(name):
    note(name)
    hold()
    return name


@app.route("/events")
def events():
    every = float(request.args.get("every", "0.1"))

    def forever():
        while True:
            yield "data: tick\n\n"
            time.sleep(every)

    return Response(forever(), mimetype="text/event-stream")


@app.route("/flood")
def flood():
    def chunks():
        while True:
            yield b"x" * 65536

    note("flood")
    return Response(chunks(), mimetype="application/octet-stream")


if __name__ == "__main__":
    server = os.environ["SERVER"]
    if server == "waitress":
        import waitress

        waitress.serve(app, listen="127.0.0.1:18770", threads=1)
    elif server == "tls":
        app.run(ssl_context="adhoc", port=18771, threaded=not os.environ.get("SINGLE"))
    else:
        app.run(port=18772)
