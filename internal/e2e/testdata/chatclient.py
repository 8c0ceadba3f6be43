# COUNT clients of chat.py at URL, from address SOURCE: they join a room, talk in
# it, kill the app where told to, and talk again. TRANSPORT is what they
# must have ended up with. Any failure is an exception, and the exit code.
import os
import signal
import socket
import sys
import threading
import time

url, source, transport, count, crash = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "crash"


class Bound(socket.socket):
    def connect(self, address):
        if self.family == socket.AF_INET:
            self.bind((source, 0))
        return super().connect(address)


socket.socket = Bound

import socketio  # noqa: E402, after the patch

PATIENCE = 120  # seconds


def wait(what, ok):
    deadline = time.monotonic() + PATIENCE
    while not ok():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


class Client:
    def __init__(self):
        self.io = socketio.Client(reconnection_delay=0.2, reconnection_delay_max=1)
        self.heard, self.connects = [], 0
        self.io.on("said", self.heard.append)
        self.io.on("connect", self.connected)
        self.io.connect(url, wait_timeout=PATIENCE)
        self.join()

    def connected(self):
        self.connects += 1

    def join(self):
        room, address, self.app = self.call("join", source)
        assert (room, address) == (source, source), (room, address)
        wait(f"transport {self.io.transport()}", lambda: self.io.transport() == transport)

    def call(self, event, *args):
        return self.io.call(event, args if len(args) > 1 else args[0], timeout=PATIENCE)


def talk(clients, text):
    """Each says something, and everyone in the room hears all of it."""
    want = sorted(f"{text} {n}" for n in range(len(clients)))
    for c in clients:
        c.heard.clear()
    for n, c in enumerate(clients):
        assert c.call("say", source, f"{text} {n}") == len(f"{text} {n}")
    for c in clients:
        wait(f"heard {c.heard} of {want}", lambda: sorted(c.heard) == want)


clients = []
threads = [threading.Thread(target=lambda: clients.append(Client())) for _ in range(count)]
for t in threads:
    t.start()
for t in threads:
    t.join()
assert len(clients) == count, "not all clients came in"
talk(clients, "first")
talk(clients, "x" * 70_000)
if crash:
    before = [c.connects for c in clients]
    os.kill(clients[0].app, signal.SIGKILL)
    for c, n in zip(clients, before):
        wait("connected again", lambda: c.connects > n and c.io.connected)
    for c in clients:
        c.join()
    talk(clients, "after the crash")
for c in clients:
    c.io.disconnect()
print("all went well")
