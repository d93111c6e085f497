"""A reverse proxy that writes a `Host` of its own, as nginx does by default, and the headers that a test gives."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Queue
from urllib.parse import urlsplit


@contextmanager
def rewriting(upstream: str, **headers: str) -> Iterator[str]:
    """Where it listens. `headers` replace those of each request; `$host` in one is the `Host` that the client sent."""
    proxy = _Proxy(upstream, {name.replace("_", "-"): value for name, value in headers.items()})
    started: Queue[tuple[int, Callable[[], object]]] = Queue()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.listen(started)), daemon=True)
    thread.start()
    port, stop = started.get(timeout=10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join(10)


class _Proxy:
    def __init__(self, upstream: str, headers: Mapping[str, str]) -> None:
        self._upstream = urlsplit(upstream)
        self._headers = {"host": self._upstream.netloc} | dict(headers)

    async def listen(self, started: Queue[tuple[int, Callable[[], object]]]) -> None:
        """Serve until the function that is put into `started` is called."""
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        started.put((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(stopped.set)))
        await stopped.wait()
        server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, or one websocket, of one connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            out_reader, out_writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
            out_writer.write(self._rewritten(head).encode("latin-1"))
            await asyncio.gather(_pipe(reader, out_writer), _pipe(out_reader, writer), return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):  # nobody asks, or nobody answers
            pass
        finally:
            writer.close()

    def _rewritten(self, head: str) -> str:
        first, *lines = head.rstrip("\r\n").split("\r\n")
        given = dict(line.split(": ", 1) for line in lines)
        host = next(value for name, value in given.items() if name.lower() == "host")
        new = {name: value.replace("$host", host) for name, value in self._headers.items()}
        if not re.search(r"^upgrade:", head, re.IGNORECASE | re.MULTILINE):
            new["connection"] = "close"
        kept = [line for line in lines if line.split(":")[0].lower() not in new]
        return "\r\n".join([first, *kept, *(f"{name}: {value}" for name, value in new.items()), "", ""])


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
