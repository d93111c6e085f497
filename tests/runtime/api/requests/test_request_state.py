from __future__ import annotations

import gc
import sys
from typing import Any

from litestar import Request
from litestar.utils.scope.state import ScopeState

from runtime.api.requests.request_state import attach_connection, detach_connection


class Connection:
    """uvicorn's side of a request: it refers to the scope, as the scope does to it."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def receive(self) -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}


def test_a_connection_that_is_closed_keeps_no_body() -> None:
    scope: Any = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    connection = Connection(scope)
    attach_connection(scope, connection.receive)  # type: ignore[arg-type]
    body = bytes(bytearray(10_000))
    before = sys.getrefcount(body)
    ScopeState.from_scope(scope).body = body
    gc.disable()
    try:
        detach_connection(scope)
        assert sys.getrefcount(body) == before
        assert ScopeState.from_scope(Request(scope).scope).body is not body
    finally:
        gc.enable()
