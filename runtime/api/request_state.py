"""Per-request state in the ASGI scope: uvicorn's side of the connection, to notice a disconnect without waiting for it.

Uvicorn knows at once whether a client is still there; ASGI tells only a task that waits for a message. One such task
for each photo in the queue took a third of the throughput of a busy appliance (`benchmarks/NOTES.md`). Under other
servers nothing is known here.
"""

from __future__ import annotations

from typing import Any, cast

from litestar.types import Receive, Scope
from litestar.utils.scope.state import CONNECTION_STATE_KEY

from runtime.serving.http.transport import CoalescingTransport

_CONNECTION = "dandelion.connection"


def attach_connection(scope: Scope, receive: Receive) -> None:
    """Keep uvicorn's side of a request, of which `receive` is a method, before any middleware wraps it."""
    _state(scope)[_CONNECTION] = getattr(receive, "__self__", None)


def detach_connection(scope: Scope) -> None:
    """At the end of a request: the connection refers to the scope, and the cycle would outlive both.

    Once it is closed, it would keep the body, which Litestar leaves in the scope, until the garbage collector runs.
    """
    state = _state(scope)
    state.pop(_CONNECTION, None)
    state.get("state", {}).pop(CONNECTION_STATE_KEY, None)


def has_left(scope: Scope) -> bool:
    """Whether the client of a request is known to have disconnected."""
    connection: Any = scope.get(_CONNECTION)
    transport = getattr(connection, "transport", None)
    return getattr(connection, "disconnected", False) or (
        isinstance(transport, CoalescingTransport) and transport.was_reset()
    )


def is_here(scope: Scope) -> bool:
    """Whether the whole body of a request is known to have arrived."""
    return not getattr(scope.get(_CONNECTION), "more_body", True)


def has_no_body(scope: Scope) -> bool:
    """Whether a request is known to have no body."""
    return is_here(scope) and not getattr(scope.get(_CONNECTION), "body", True)


def _state(scope: Scope) -> dict[str, Any]:
    return cast("dict[str, Any]", scope)
