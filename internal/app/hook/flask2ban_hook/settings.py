"""What flask2ban told this process.

The settings come as "name=value" lines in a file without a name whose
descriptor stands in the environment: so the secret header names appear in no
environment block that a child or /proc could show.
"""
import os

VARIABLE = "FLASK2BAN_HOOK"

descriptor = -1  # of the settings themselves
directory = ""  # where sitecustomize.py lies
listener = -1
listener_inode = -1
pipe = -1
request_header = ""  # as a WSGI environ key
response_header = ""
proxy_fix = False
debugger = False
inspect = False
own_port = False  # the app keeps the port that it names
count = 0  # after how many requests to say so; 0 is never
unbound = False  # nobody has opened that yet; listener leads to flask2ban
stacks_signal = 0  # makes a process write the stacks of its threads
remove = ()  # environment variables that are ours, as NAME=value
pid = 0  # the process that the hook was started in


def read(where):
    """Fills this module; False where this process isn't to be hooked."""
    number = os.environ.get(VARIABLE, "")
    if not number.isdigit():
        return False
    values = dict(
        line.split("=", 1)
        for line in os.pread(int(number), 65536, 0)
        .rstrip(b"\0")  # what follows is the board's
        .decode("ascii")
        .splitlines()
    )
    # A wrapper may have closed our descriptors and opened its own.
    if os.fstat(int(values["listener"])).st_ino != int(values["listener_inode"]):
        return False
    if os.fstat(int(values["pipe"])).st_ino != int(values["pipe_inode"]):
        return False
    _fill(values, int(number), where)
    return True


def _fill(values, number, where):
    known = globals()
    known.update(
        descriptor=number,
        directory=where,
        listener=int(values["listener"]),
        listener_inode=int(values["listener_inode"]),
        pipe=int(values["pipe"]),
        request_header="HTTP_" + values["request_header"].upper().replace("-", "_"),
        response_header=values["response_header"],
        proxy_fix=values["proxy_fix"] == "1",
        debugger=values["debugger"] == "1",
        inspect=values["inspect"] == "1",
        own_port=values["own_port"] == "1",
        unbound=values["unbound"] == "1",
        count=int(values["count"]),
        stacks_signal=int(values["stacks_signal"]),
        remove=tuple(values["remove"].split()),
        pid=os.getpid(),
    )


def keep(inode):
    """Notes, for successors of this process too, that listener is the app's
    listening socket now."""
    known = globals()
    known.update(listener_inode=inode, unbound=False)
    end = len(os.pread(descriptor, 65536, 0).rstrip(b"\0"))  # the board follows
    os.pwrite(descriptor, b"listener_inode=%d\nunbound=0\n" % inode, end)


def descriptors():
    """The descriptors that are ours, not the app's."""
    return (descriptor, listener, pipe)
