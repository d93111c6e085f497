"""uvicorn writes the head of an answer and its body one after the other; here they leave together, in one system call.

A client that waits is then woken once, not twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MOST_BYTES = 1 << 16  # what is longer is written at once, so that the transport can slow its writer down


class GatheredWrites:
    """A transport that keeps what is written to it until the event loop's next turn; in all else the one within."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to `transport`."""
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """asyncio: send the bytes, soon."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > MOST_BYTES:
            self.flush()

    def writelines(self, parts: Any) -> None:
        """asyncio: send all of them, soon."""
        self.write(b"".join(parts))

    def flush(self) -> None:
        """Send what has been kept."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """asyncio: close it, after what is still to be sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """All else is asked of the transport within."""
        return getattr(self._transport, name)


class GatheringProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # a class that is chosen at import
    """uvicorn's HTTP protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """asyncio: it is connected."""
        super().connection_made(GatheredWrites(transport, self.loop))

    def on_response_complete(self) -> None:
        """uvicorn: all of an answer is written; it need not wait for others' turns in the event loop."""
        self.transport.flush()
        super().on_response_complete()
