"""Per-request state in the ASGI scope: uvicorn's side of the connection, to notice a disconnect without waiting for it.

Uvicorn knows at once whether a client is still there; ASGI tells only a task that waits for a message. One such task
for each photo in the queue took a third of the throughput of a busy appliance (`benchmarks/NOTES.md`). Under other
servers nothing is known here.
"""

from __future__ import annotations

from typing import Any

from litestar.types import Receive, Scope
from litestar.utils.scope.state import CONNECTION_STATE_KEY
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from runtime.serving.http.transport import CoalescingTransport

_CONNECTION = "dandelion.connection"


def attach_connection(scope: Scope, receive: Receive) -> None:
    """Keep uvicorn's side of a request, of which `receive` is a method, before any middleware wraps it."""
    scope[_CONNECTION] = getattr(receive, "__self__", None)  # type: ignore[literal-required]


def detach_connection(scope: Scope) -> None:
    """At the end of a request: the connection refers to the scope, and the cycle would outlive both.

    Once it is closed, it would keep the body, which Litestar leaves in the scope, until the garbage collector runs.
    """
    state: Any = scope
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


def take_body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body of a request at once; None if it has not arrived, or only `receive` can tell.

    What `receive` would do, without an event and the coroutines that wait for it.
    """
    connection = getattr(receive, "__self__", None)
    if not isinstance(connection, RequestResponseCycle) or scope.get(_CONNECTION) is not connection:
        return None
    waits = connection.more_body or connection.waiting_for_100_continue
    if waits or connection.disconnected or connection.response_complete:
        return None
    connection.flow.resume_reading()
    connection.message_event.clear()
    body, connection.body = bytes(connection.body), bytearray()
    return body
