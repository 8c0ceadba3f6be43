# What HTTP has beside plain answers, by Flask's own means.
import gzip
import io
import os
import time

from flask import Flask, Response, request, send_file

app = Flask(__name__)
TEXT = bytes(range(256)) * 40


@app.route("/file")
def file():
    return send_file(io.BytesIO(TEXT), mimetype="application/octet-stream", etag="of-the-file", conditional=True, download_name="x")


@app.route("/gzip")
def compressed():
    return Response(gzip.compress(TEXT, mtime=0), headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})


@app.route("/refuse/<int:status>", methods=["POST"])
def refuse(status):
    return f"refused, {request.content_length}\n", status, {"Connection": "close"}


@app.route("/take", methods=["POST"])
def take():
    return f"{len(request.get_data())}\n"


@app.route("/events")
def events():
    # Each event waits until the client has told that it has the one before.
    def wait():
        for n in range(5):
            yield f"data: {n}\n\n"
            while not os.path.exists(os.path.join(os.environ["ACKS"], str(n))):
                time.sleep(0.01)

    return Response(wait(), mimetype="text/event-stream")


@app.route("/chunks")
def chunks():
    def wait():
        for n in range(5):
            yield f"chunk {n}\n"
            while not os.path.exists(os.path.join(os.environ["ACKS"], str(n))):
                time.sleep(0.01)

    return Response(wait(), mimetype="text/plain")


if __name__ == "__main__":
    app.run(port=5000, threaded=True)
