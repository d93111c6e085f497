#!/usr/bin/env bash
# Finding: a transport of uvloop hands out its socket (get_extra_info("socket")) like asyncio's, but once the transport
# is closed, asking that socket for an option raises ValueError, where asyncio's raises OSError (EBADF). Code that
# guards such a call with `except OSError` works on asyncio and fails on uvloop.
#
# Seen with Python 3.11, uvloop 0.23.0, Linux:
#   asyncio: OSError
#   uvloop: ValueError
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uvloop==0.23.0
cat >"$work/ask.py" <<'PYTHON'
import asyncio
import socket

import uvloop


async def ask_after_close():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    own = writer.transport.get_extra_info("socket")
    writer.close()
    await writer.wait_closed()
    try:
        own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except Exception as error:
        return type(error).__name__
    return "an answer"


for name, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
    print(f"{name}: {run(ask_after_close())}")
PYTHON
"$work/venv/bin/python" "$work/ask.py" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
asyncio: OSError
uvloop: ValueError
SEEN
