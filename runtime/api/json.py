"""Fast JSON response: a msgspec struct straight to ASGI, without Litestar's response processing."""

from __future__ import annotations

import msgspec
from litestar.types import Receive, Scope, Send


class JsonResponse:
    """An ASGI app that answers 200 with a struct.

    A Litestar response would do the same after a look at cookies, media types, encoders and background tasks, which a
    small photo feels. OpenAPI cannot see through this one: give its route a ResponseSpec.
    """

    def __init__(self, content: msgspec.Struct) -> None:
        """Encode `content`."""
        self._body = msgspec.json.encode(content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": json_headers(self._body)})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def json_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    """What tells a client of a JSON body."""
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
