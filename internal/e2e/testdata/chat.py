# A chat by Flask-SocketIO, as its documentation has it: rooms and
# acknowledgements.
import os

mode = os.environ.get("CHAT_MODE", "threading")
if mode == "gevent":
    from gevent import monkey

    monkey.patch_all()
elif mode == "eventlet":
    import eventlet

    eventlet.monkey_patch()

from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "for tests only"
socketio = SocketIO(app, async_mode=mode)


@app.route("/")
def index():
    return "chat\n"


@socketio.on("join")
def join(room):
    join_room(room)
    return room, request.remote_addr, os.getpid()


@socketio.on("say")
def say(room, text):
    emit("said", text, to=room)
    return len(text)


if __name__ == "__main__":
    more = {"allow_unsafe_werkzeug": True} if mode == "threading" else {}
    socketio.run(app, port=5000, **more)
