# A real WebSocket server (python3-websockets) for what Flask doesn't do itself.
# It echoes messages; "close CODE REASON" closes, "burst N" sends N messages,
# "last" says with which code the last client closed.
import asyncio
import http
import resource
import sys

import websockets

last = "none"


async def serve(ws):
    global last
    try:
        async for message in ws:
            if isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await ws.close(int(code), reason)
            elif message == "last":
                await ws.send(last)
            elif message == "parts":
                await ws.send(iter(["one ", "two ", "three"]))
            elif message == "ping":
                await (await ws.ping(b"from the server"))
                await ws.send("pong came")
            else:
                await ws.send(message)
    except websockets.ConnectionClosed:
        pass
    if ws.path == "/ws/closer":
        last = f"{ws.close_code} {ws.close_reason}"


async def plain(path, headers):
    # Without an upgrade it is a web server.
    if headers.get("Upgrade", "").lower() != "websocket" or path.startswith("/plain"):
        return http.HTTPStatus.OK, [("Content-Type", "text/plain")], b"plain\n"


async def main():
    # No pings of its own, no bound but the messages' size.
    async with websockets.serve(serve, "127.0.0.1", int(sys.argv[1]), process_request=plain, ping_interval=None,
                                max_size=64 << 20, compression=None, backlog=4096):
        await asyncio.Future()


# As many connections as may be.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
asyncio.run(main())
