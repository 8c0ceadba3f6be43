# What a proxy can spoil: streams, large bodies, slow answers, odd queries,
# what the app sees of its client.
import base64
import hashlib
import threading
import time

from flask import Flask, Response, jsonify, request, url_for

app = Flask(__name__)


went_on = threading.Event()


@app.route("/stream")
def stream():
    went_on.clear()

    def events():
        yield "data: 0\n\n"
        went_on.wait()  # until somebody who has seen the first asks for /stream/on
        yield "data: 1\n\n"

    return Response(events(), mimetype="text/event-stream")


@app.route("/stream/on")
def stream_on():
    went_on.set()
    return "on\n"


@app.route("/upload", methods=["POST"])
def upload():
    digest, size = hashlib.sha256(), 0
    while chunk := request.stream.read(65536):
        digest.update(chunk)
        size += len(chunk)
    return jsonify(size=size, sha256=digest.hexdigest())


@app.route("/download/<int:size>")
def download(size):
    def chunks():
        left = size
        while left > 0:
            n = min(left, 65536)
            yield b"x" * n
            left -= n

    return Response(chunks(), mimetype="application/octet-stream")


@app.route("/slow/<float:seconds>")
def slow(seconds):
    time.sleep(seconds)
    return "done\n"


@app.route("/seen/<path:rest>")
def seen(rest):
    return jsonify(
        rest=rest,
        query=request.query_string.decode("latin-1"),
        remote_addr=request.remote_addr,
        scheme=request.scheme,
        host=request.host,
        external=url_for("seen", rest="x", _external=True),
        headers={name.lower(): value for name, value in request.headers.items()},
        environ=sorted(name for name in request.environ if name.startswith("HTTP_") and "FLASK2BAN" in name),
    )


@app.route("/ws", websocket=True)
def ws():
    # The handshake of RFC 6455 4.2.2 by hand, then an echo of raw bytes: what
    # flask-sock does on Werkzeug's server.
    sock = request.environ["werkzeug.socket"]
    key = request.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    sock.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while data := sock.recv(4096):
        sock.sendall(data)
    return ""


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000, threaded=True)
