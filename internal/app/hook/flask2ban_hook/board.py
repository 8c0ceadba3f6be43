"""Memory that flask2ban shares with the app's processes.

A request is announced on the pipe first, then looked up here: flask2ban writes
the id of a request here that it is going to send again, then looks what was
announced. So one of the two always knows, and no request runs twice.
"""
from . import settings

AT = 1 << 16  # after the settings
ROW = 32
SIZE = ROW * 2048
NONE = b"\0" * 8

_memory = None


def open_board():
    """Maps the memory; the map stays when an app closes all descriptors."""
    global _memory
    import mmap

    _memory = mmap.mmap(settings.descriptor, SIZE, offset=AT)


def is_open():
    return _memory is not None


def is_revoked(request_id):
    """Whether flask2ban has given this request up, and sends it again."""
    if _memory is None or _memory[0:8] == NONE:
        return False
    rows = int.from_bytes(_memory[0:8], "little")
    name = b"\n" + request_id.encode("ascii", "replace") + b"\n"
    return _memory.find(name, ROW, ROW * (rows + 1)) >= 0


def lose():
    """Says that a request began without being announced."""
    if _memory is not None:
        _memory[8:16] = b"\1" * 8
