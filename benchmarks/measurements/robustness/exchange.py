"""One request on a connection of its own, from any address of this machine; ends when it is told to."""

from __future__ import annotations

import re
import socket
import time
from threading import Event
from typing import NamedTuple

from benchmarks.host.server_process import HOST

ATTACKER, HONEST = "127.0.0.3", "127.0.0.2"  # addresses of the loopback network, to connect from
NO_ANSWER = 0
TICK_S = 0.25  # between two looks at the event
_HEAD = re.compile(rb"HTTP/1\.[01] (?P<status>\d{3}) [^\r]*(?P<headers>.*?)\r\n\r\n", re.DOTALL)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """A status, NO_ANSWER if there was none; what `Retry-After` said; the body."""

    status: int
    retry_after_s: int | None = None
    body: bytes = b""


def exchange(port: int, request: bytes, *, source: str, timeout_s: float = 60.0, stop: Event | None = None) -> Answer:
    """Send a request that asks to close, and read until the end; given up after `timeout_s`, or when `stop` is set."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s, source_address=(source, 0)) as connection:
            connection.settimeout(TICK_S)
            _send(connection, request, deadline, stop)
            return _parse(_read(connection, deadline, stop))
    except OSError:
        return Answer(NO_ANSWER)


def _send(connection: socket.socket, request: bytes, deadline: float, stop: Event | None) -> None:
    left = memoryview(request)
    while left and not _over(deadline, stop):
        try:
            left = left[connection.send(left) :]
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):  # refused: there may be an answer all the same
            return


def _read(connection: socket.socket, deadline: float, stop: Event | None) -> bytes:
    answer = bytearray()
    while not _over(deadline, stop):
        try:
            part = connection.recv(65536)
        except TimeoutError:
            continue
        except ConnectionResetError:
            break
        if not part:
            break
        answer += part
    return bytes(answer)


def _over(deadline: float, stop: Event | None) -> bool:
    return time.monotonic() > deadline or (stop is not None and stop.is_set())


def _parse(answer: bytes) -> Answer:
    head = _HEAD.match(answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))
    if head is None:
        return Answer(NO_ANSWER)
    said = _RETRY_AFTER.search(head["headers"])
    return Answer(int(head["status"]), int(said[1]) if said else None, answer[head.end() :])
