"""Early answers: a request that is refused before its body has arrived is told `Connection: close`."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from runtime.asgi import Send

MAX_READ_ON_BYTES = 64 * 1024  # so much of a refused body is read and dropped, for the connection to be kept


def close_if_early(scope: Mapping[str, Any], receive: Any, send: Send) -> Send:
    """`send` for an ASGI app under uvicorn: if the answer comes before a long body, the connection ends with it."""
    cycle: Any = getattr(receive, "__self__", None)
    if not getattr(cycle, "more_body", False) or not _is_long(scope):
        return send  # nothing more will come, or little

    async def send_early(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and cycle.more_body:
            cycle.keep_alive = False
        await send(message)

    return send_early


def _is_long(scope: Mapping[str, Any]) -> bool:
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return not (length.isdigit() and int(length) <= MAX_READ_ON_BYTES)
