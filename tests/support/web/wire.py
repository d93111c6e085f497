"""Requests byte by byte: what ordinary HTTP clients do not let a test do."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.contenders.appliance import Appliance
from benchmarks.host.server_process import HOST

PATIENCE_S = 60


class Answer(NamedTuple):
    """One response: its status, its headers in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(server: Appliance, source: str = HOST) -> socket.socket:
    """A connection to the appliance, from another loopback address if one is given."""
    return socket.create_connection((HOST, server.port), timeout=PATIENCE_S, source_address=(source, 0))


def request(path: str, body: bytes = b"", *headers: str, method: str = "POST", version: str = "1.1") -> bytes:
    """A request with its length; a photo unless the headers say otherwise."""
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *headers]
    if not any(line.lower().startswith("content-type:") for line in headers) and body:
        lines.append("Content-Type: image/jpeg")
    if not any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in headers) and body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(parts: Iterable[bytes]) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def form(photo: bytes) -> tuple[bytes, str]:
    """A multipart form with one photo, and its Content-Type header."""
    head = (
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    return head + photo + b"\r\n--edge--\r\n", "Content-Type: multipart/form-data; boundary=edge"


class Reader:
    """Reads responses from a connection, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""

    def answer(self) -> Answer:
        """The next response. Raises EOFError if the connection ends before it is whole, OSError if it is reset."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = self._take(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    def ends(self) -> bool:
        """Whether the server closes the connection in order, with nothing further to read."""
        return not self._rest and self._sock.recv(65536) == b""

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            self._fill()
        head, _, self._rest = self._rest.partition(end)
        return head

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._fill()
        body, self._rest = self._rest[:size], self._rest[size:]
        return body

    def _fill(self) -> None:
        received = self._sock.recv(65536)
        if not received:
            raise EOFError(f"the connection ended after {self._rest[:100]!r}")
        self._rest += received
