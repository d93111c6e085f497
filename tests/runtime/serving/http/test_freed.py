"""Closed connections are freed by reference counts: they leave nothing to the garbage collector."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.serving.http import Protocol
from runtime.serving.settings import Settings
from runtime.serving.uvicorn_server import Server
from tests.support.waiting import wait_until

CONNECTIONS = 12
OPENINGS = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost:",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two requests": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2,
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
    "no request": b"\x16\x03\x01 is TLS\r\n\r\n",
    "an offer to upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
}


async def app(scope: dict[str, object], receive: object, send: object) -> None:
    """Say 204 to a whole request."""
    if scope["type"] == "lifespan":
        return
    while (message := await receive())["type"] == "http.request" and message["more_body"]:  # type: ignore[operator]
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body"})  # type: ignore[operator]


@contextmanager
def serving() -> Iterator[tuple[Server, int]]:
    """A server in a thread of this process, and its port."""
    server = Server(app, Settings(threads=1, workers=1), None, grace_s=1, ws="none")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield server, listening.getsockname()[1]
        finally:
            server.handle_exit(15, None)
            thread.join(60)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing but reference counts frees memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "resets"])
def test_a_closed_connection_waits_for_no_garbage_collection(opening: str, *, reads: bool) -> None:
    with serving() as (server, port):
        for _ in range(CONNECTIONS):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(OPENINGS[opening])
                if reads:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
        wait_until(lambda: not server.server_state.connections, "the end of all connections", every_s=0.01)
        wait_until(lambda: not _alive(), "all connections to be freed", every_s=0.01)


def _alive() -> int:
    return sum(isinstance(each, Protocol) for each in gc.get_objects())
