"""A keep-alive HTTP/1.1 connection with little CPU cost: ready bytes out, a status and an unread body in."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import NamedTuple

import httptools

BROKEN = 0  # the status of a request without an answer: refused, cut, or silent for too long


class Reply(NamedTuple):
    """An answer; `retry_after` is whether it says when to come again.

    `sent_s` and `came_s` are the moments (of `time.perf_counter`) when the request went and when all of the answer was
    there: what comes after is the generator's own work.
    """

    status: int
    body: bytes
    retry_after: bool
    sent_s: float
    came_s: float


def broken(sent_s: float | None = None) -> Reply:
    """No answer, as is known now."""
    now_s = time.perf_counter()
    return Reply(BROKEN, b"", False, now_s if sent_s is None else sent_s, now_s)


class Connection(asyncio.Protocol):
    """Asks one request at a time. A connection that ends under a request answers it with the status BROKEN."""

    def __init__(self) -> None:
        """Connected by asyncio."""
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._sent_s = 0.0
        self._begin()

    @property
    def usable(self) -> bool:
        """Whether another request can be asked on it."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Reply:
        """Send the bytes of one request and wait for the whole answer."""
        if self._transport is None:
            return broken()
        self._waiting = asyncio.get_running_loop().create_future()
        self._sent_s = time.perf_counter()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is connected."""
        self._transport = transport  # type: ignore[assignment]  # TCP connections have this kind of transport

    def data_received(self, data: bytes) -> None:
        """asyncio: feed the parser, which calls the methods named on_…"""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """asyncio: it has ended."""
        self._transport = None
        self._answer(broken(self._sent_s))

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002 - httptools' signature
        """httptools: one header."""
        if name.lower() == b"retry-after":
            self._retry_after = True

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools: the answer is whole."""
        came_s = time.perf_counter()
        status = self._parser.get_status_code()
        reply = Reply(status, b"".join(self._body), self._retry_after, self._sent_s, came_s)
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._begin()
        self._answer(reply)

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._retry_after = False

    def _answer(self, reply: Reply) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(reply)
        self._waiting = None


class Connections:
    """Kept connections to one port of this machine; whoever needs one takes it and gives it back."""

    def __init__(self, host: str, port: int, *, most: int, patience_s: float, source: str | None = None) -> None:
        """`most` are open at once; past that, one is waited for, as an answer is: for `patience_s` in all.

        They come from the address `source`, if it is given.
        """
        self._host, self._port = host, port
        self._source = None if source is None else (source, 0)
        self._free = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + patience_s
        self._over = False
        # One timer for all: one for each request would take a good part of what the generator takes.
        self._timer = loop.call_at(self._deadline, self.close)

    async def ask(self, request: bytes) -> Reply:
        """Ask on a connection that is idle, or on a new one; BROKEN where nobody accepts or answers in time."""
        async with self._free:
            try:
                connection = await self._take()
            except OSError:  # which TimeoutError is, too
                return broken()
            try:
                reply = await connection.ask(request)
            except asyncio.CancelledError:
                connection.close()
                self._all.discard(connection)
                raise
            if connection.usable:
                self._idle.append(connection)
            else:
                self._all.discard(connection)
            return reply

    async def prepare(self, count: int) -> None:
        """Open `count` connections beforehand; those that nobody accepts are tried again when they are needed."""
        with suppress(OSError):
            self._idle += [await self._connect() for _ in range(count)]

    def close(self) -> None:
        """End all, those under a request too; what is asked from now on is BROKEN."""
        self._over = True
        self._timer.cancel()
        for connection in list(self._all):
            connection.close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._all.discard(connection)
        return await self._connect()

    async def _connect(self) -> Connection:
        if self._over:
            raise TimeoutError
        loop = asyncio.get_running_loop()
        async with asyncio.timeout_at(self._deadline):
            _, connection = await loop.create_connection(Connection, self._host, self._port, local_addr=self._source)
        if self._over:
            connection.close()
            raise TimeoutError
        self._all.add(connection)
        return connection
