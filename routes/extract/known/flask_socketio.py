# flask-socketio: answers below its own path before Flask is asked.
from __flask2ban__ import open_below


class SocketIO:
    def __init__(self, app=None, **kwargs):
        self.path = "/" + (kwargs.get("path") or kwargs.get("resource") or "socket.io").strip("/")
        if app is not None:
            self.init_app(app, **kwargs)

    def init_app(self, app, **kwargs):
        if app is not None:
            path = kwargs.get("path") or kwargs.get("resource")
            open_below(app, "/" + path.strip("/") if path else self.path, "Socket.IO answers here, beside Flask")
