"""Write coalescing: send the head and the body of a response in one system call; lingering close.

uvicorn writes them one after the other, which wakes a waiting client twice.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

MOST_BYTES = 1 << 16  # more is written at once, so that the backpressure of the transport works
_TCP_CLOSE = 7  # the first byte of Linux's TCP_INFO: the state of a connection that was reset


def _never() -> bool:
    return False


class CoalescingTransport:
    """A transport that buffers writes until the next iteration of the event loop; else it is the wrapped transport."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, linger: Callable[[], bool] = _never
    ) -> None:
        """Wrap `transport`; `linger` says whether its next `close` should be a lingering one."""
        self._transport = transport
        self._loop = loop
        self._linger = linger
        self._parts: list[bytes] = []
        self._size = 0
        self.lingering = False
        self.half_closed = False

    def write(self, data: bytes) -> None:
        """asyncio: send the bytes, soon."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST_BYTES:
            self.flush()

    def send(self, data: bytes) -> None:
        """Write the bytes now, behind what has been written before."""
        self._parts.append(data)
        self.flush()

    def writelines(self, parts: Any) -> None:
        """asyncio: send all of them, soon."""
        self.write(b"".join(parts))

    def flush(self) -> None:
        """Write the buffer.

        A large answer goes in pieces: a transport keeps each for as long as one byte of it is not sent.
        """
        parts, self._parts, self._size = self._parts, [], 0
        if not parts or self._transport.is_closing():
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        for at in range(0, len(data), MOST_BYTES):
            self._transport.write(data[at : at + MOST_BYTES])

    def close(self) -> None:
        """asyncio: flush, then close.

        A connection whose request has not been read to its end is closed in stages (RFC 9112, 9.6): to close it at once
        would reset it, and the client would lose the answer.
        """
        self.flush()
        if self.lingering or self._transport.is_closing() or not self._linger():
            self._transport.close()
            return
        self.lingering = True
        self._transport.write_eof()

    def detach(self) -> None:
        """Ask the protocol no more whether to linger: the connection is closed, or has become a websocket."""
        self._linger = _never

    def is_closing(self) -> bool:
        """asyncio: whether it is closed, or about to be."""
        return self.lingering or self._transport.is_closing()

    def was_reset(self) -> bool:
        """Whether the connection is closed, or the client has reset it while asyncio does not read, unnoticed.

        It does not read from a client that has closed its sending side, nor while reading is paused: a body of more
        than 64 KB pauses it, and it stays so until the response. Any thread may ask, also while it is being closed; of
        pipelined requests uvicorn tells only the last that it was.
        """
        if self._transport.is_closing():
            return True
        if not self.half_closed and self._transport.is_reading():
            return False
        connection = self._transport.get_extra_info("socket")
        try:
            return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE)
        except (AttributeError, OSError, ValueError):  # another system, or no socket any more
            return False

    def __getattr__(self, name: str) -> Any:
        """Delegate to the wrapped transport."""
        return getattr(self._transport, name)
