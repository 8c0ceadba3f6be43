"""Tells flask2ban things, one JSON object a line.

A line is at most PIPE_BUF bytes, so lines of several processes never mix. The
pipe does not block: where flask2ban does not read, the app goes on.
"""
import os
import select
import sys

from . import board, settings

LIMIT = 4096  # PIPE_BUF on Linux
PATIENCE = 1.0  # seconds that a full pipe may hold a request up

_select = select.select  # before gevent replaces it
_write = os.write
_closed = False


def write(line):
    """Writes one line of bytes whole, or gives up on the pipe."""
    global _closed
    if _closed or settings.pipe < 0 or len(line) > LIMIT:
        return False
    try:
        _write(settings.pipe, line)
        return True
    except BlockingIOError:
        return _write_later(line)
    except OSError:  # flask2ban is gone, or someone closed the descriptor
        _closed = True
        return False


def _write_later(line):
    try:
        if _select([], [settings.pipe], [], PATIENCE)[1]:
            _write(settings.pipe, line)
            return True
    except (OSError, ValueError):
        pass
    return False


def encode(message):
    import json

    message["pid"] = os.getpid()
    text = json.dumps(message, separators=(",", ":"), default=repr)
    return text.encode("ascii") + b"\n"


def send(message):
    """Writes a dict; False where it was too long or nobody reads."""
    return write(encode(message))


def hello(has_board):
    """Says that the hook runs here; no JSON module is needed for that."""
    line = b'{"t":"hook","pid":%d,"python":"%d.%d.%d","board":%s}\n'
    board = b"true" if has_board else b"false"
    write(line % ((os.getpid(),) + sys.version_info[:3] + (board,)))


def begun(request_id):
    """Says that the app begins to read a request. It has been written when
    this returns, so it outlives the process."""
    line = '{"t":"req","pid":%d,"id":"%s"}\n' % (os.getpid(), request_id)
    if not write(line.encode("ascii", "replace")):
        board.lose()


def problem(where, error):
    """Says what of the hook did not work here."""
    send({"t": "problem", "where": where, "error": repr(error)[:500]})
