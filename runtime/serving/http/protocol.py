"""HTTP/1.1 protocol: uvicorn's httptools protocol with bounded heads, half-close, lingering close, ignored upgrades."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.serving.http.connections import Connections
from runtime.serving.http.transport import CoalescingTransport
from runtime.serving.http.upgrade import head_without_offer, offers_websocket

MAX_HEAD_BYTES = 64 * 1024  # of a head, and of what frames a body without being a part of it: trailers, extensions
MAX_HEADERS = 256
MAX_PIPELINED = 16
MAX_LINGER_BYTES = 64 * 2**20
UNPACED_BYTES = 256 * 1024  # of a refused upload, dropped as fast as they come


class _TooManyHeaders(Exception):
    """Raised in a callback of the parser, which stops it."""


class Protocol(HttpToolsProtocol):
    """One connection. A refusal closes it in stages; a client that has closed its sending side is answered."""

    transport: CoalescingTransport  # type: ignore[assignment]

    def __init__(self, *, connections: Connections, **of_uvicorn: Any) -> None:
        """`connections` holds the limits of all of them."""
        super().__init__(**of_uvicorn)
        self._limits = connections
        self._framing_bytes = 0
        self._in_head = False
        self._in_body = False
        self._dropped_bytes = 0
        self._refused = False
        self._next_waits = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: wrap the transport of a new connection."""
        super().connection_made(CoalescingTransport(transport, self.loop, self._begin_to_linger))  # type: ignore[arg-type]
        self._limits.opened(self, self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is closed."""
        self._limits.closed(self)
        super().connection_lost(exc)
        self._break_cycles()

    def data_received(self, data: bytes) -> None:
        """asyncio: parse what has arrived, or drop it if the connection is being closed."""
        if self._refused or self.transport.lingering:
            self._drop(len(data))
            return
        if len(data) <= MAX_HEAD_BYTES - self._framing_bytes:
            self._framing_bytes += len(data)
            self._parse(data)
        else:
            self._parse_in_pieces(data)
        if self._in_head and self._is_quiet():
            self._limits.head_arrives(self, self._framing_bytes)

    def eof_received(self) -> bool:  # type: ignore[override]
        """asyncio: a client that has sent a whole request and closed its sending side still reads; answer it."""
        if self.transport.is_closing() or self._refused or self.cycle is None:
            return False
        if self._in_body and not self.cycle.response_complete:
            self._refuse(HTTPStatus.BAD_REQUEST, "the request ended before its body was complete; send it again")
            return False
        if self.cycle.response_complete:
            return False
        self.transport.half_closed = True
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """httptools: the first byte of a head."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header, or one trailer."""
        if len(self.headers) >= MAX_HEADERS:
            raise _TooManyHeaders
        if self._in_body:  # trailers are dropped: the request has begun, and whoever checked its headers is done
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """httptools: start the request, unless its head offers an upgrade: that is parsed again without it."""
        self._framing_bytes = 0
        self._in_head = False
        if len(self.pipeline) >= MAX_PIPELINED:
            self._limits.limit_reached("pipelining", f"a client sent more than {MAX_PIPELINED} requests at once")
            raise ValueError("too many pipelined requests")
        if not self.parser.should_upgrade():
            self._in_body = True
            self._limits.request_begun(self)
            super().on_headers_complete()
        elif self.parser.get_method() == b"CONNECT":
            raise ValueError("this is no proxy")

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._framing_bytes = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """httptools: the end of the request."""
        if self.parser.should_upgrade():
            return
        self._in_body = False
        self._framing_bytes = 0
        cycle = self.cycle
        cycle.more_body = False
        if not cycle.response_complete:
            cycle.message_event.set()
        elif not self.transport.is_closing():
            self._limits.request_begun(self)
            self._limits.response_complete(self)

    def on_response_complete(self) -> None:
        """uvicorn: the response is complete, so flush it now, and go on with the next request.

        That waits for a client that does not read: its answer would, too, in memory.
        """
        self.transport.flush()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._next_waits = self.flow.write_paused and not self._in_body
        if not self._next_waits:
            self._go_on()

    def _go_on(self) -> None:
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refused or self.transport.half_closed:
            self.transport.close()
        elif self._in_body:
            self._limits.body_refused(self)
        elif self._in_head:
            self._limits.head_arrives(self, self._framing_bytes)
        else:
            self._limits.response_complete(self)

    def shutdown(self) -> None:
        """uvicorn: graceful shutdown has begun."""
        if self.transport.lingering:
            self.drop()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        """asyncio: the client reads too slowly; further requests of it are not read."""
        super().pause_writing()
        if not self._in_body:
            self.flow.pause_reading()
        self._limits.stalls(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """asyncio: the client has caught up."""
        super().resume_writing()
        self._limits.resumes(self)
        if self.transport.is_closing():
            return
        if self._next_waits:
            self._next_waits = False
            self._go_on()
        else:
            self.flow.resume_reading()

    def expire(self) -> None:
        """Say 408 to a client that sent half a head; close all others."""
        if self._in_head and not self.transport.is_closing():
            self._limits.limit_reached("head_timeout", "the head of a request did not arrive in time")
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the head of the request did not arrive in time; send it again")
        else:
            self.drop()

    def drop(self) -> None:
        """Close at once."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
        self.transport.abort()

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooManyHeaders):
                self._refuse_framing()
                return
            self._refuse(HTTPStatus.BAD_REQUEST, "this is not a valid HTTP/1.1 request")
        except httptools.HttpParserUpgrade as offer:
            self._take_or_ignore(bytes(data[offer.args[0] :]))

    def _parse_in_pieces(self, data: bytes) -> None:
        """Parse up to the limit, then see whether a head or a body has come further."""
        rest = memoryview(data)
        while rest and not self._refused and not self.transport.is_closing():
            room = MAX_HEAD_BYTES - self._framing_bytes
            if room <= 0:
                self._refuse_framing()
                return
            piece, rest = rest[:room], rest[room:]
            self._framing_bytes += len(piece)
            self._parse(piece)

    def _refuse_framing(self) -> None:
        most = f"{MAX_HEADERS} headers, {MAX_HEAD_BYTES // 1024} KiB together"
        self._limits.limit_reached("head_size", f"a request had more than {most}")
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request has more than {most}; send fewer")

    def _take_or_ignore(self, rest: bytes) -> None:
        """Become a websocket if the app takes it; else parse the request as if it had offered no upgrade."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if self._should_upgrade_to_ws() and offers_websocket(method, version, self.headers):
            self.scope["method"] = method.decode("ascii")
            self._limits.closed(self)
            self.handle_websocket_upgrade()
            self._break_cycles()
            return
        head = head_without_offer(method, self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(head)
        if rest:
            self.data_received(rest)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer what is no request, and close; earlier requests, and an answer that has begun, are finished first."""
        self._refused = True
        if self.pipeline:
            if self._in_body:
                self.pipeline.popleft()  # it will never be whole
            return
        if not self._is_quiet():
            if self.cycle.response_started or not self._in_body:
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_response(status, detail, self.server_state.default_headers))
        self.transport.close()

    def _is_quiet(self) -> bool:
        """Whether every request that has come is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _begin_to_linger(self) -> bool:
        """Whether a close should be a lingering one: more of a request is on its way."""
        if not self._in_body and not self._refused:
            return False
        self.flow.resume_reading()
        self._limits.lingers(self)
        return True

    def _break_cycles(self) -> None:
        """Let the closed connection be freed by reference counts.

        In reference cycles, thousands of them would wait for a pass of the garbage collector, and make it long.
        """
        self.transport.detach()
        self.pipeline.clear()
        self.parser = None  # type: ignore[assignment]
        self.cycle = None  # type: ignore[assignment]  # it calls back when its response is complete

    def _drop(self, size_bytes: int) -> None:
        self._dropped_bytes += size_bytes
        if self._dropped_bytes > MAX_LINGER_BYTES:
            self.drop()
        elif self._dropped_bytes > UNPACED_BYTES:
            self.flow.pause_reading()
            self.loop.call_later(self._limits.pause_s(size_bytes), self.flow.resume_reading)


def _response(status: HTTPStatus, detail: str, more: list[tuple[bytes, bytes]]) -> bytes:
    body = msgspec.json.encode({"status_code": int(status), "detail": detail})
    headers = [
        *more,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body])
