"""Whether a client is still there, asked without waiting.

ASGI tells it to whoever waits for a message. A task that waits, for every photo in line, took a third of the photos a
second of a busy appliance (`benchmarks/NOTES.md`); uvicorn knows it at once.
"""

from __future__ import annotations

from typing import Any, cast

from litestar import Request
from litestar.types import Receive, Scope

_CONNECTION = "dandelion.connection"


def remember(scope: Scope, receive: Receive) -> None:
    """Keep uvicorn's side of a request, whose method `receive` is, before anything is put around it."""
    cast("dict[str, Any]", scope)[_CONNECTION] = getattr(receive, "__self__", None)


def forget(scope: Scope) -> None:
    """At the end of a request: uvicorn's side knows the scope, and nothing would free two that know each other soon."""
    cast("dict[str, Any]", scope).pop(_CONNECTION, None)


def has_left(request: Request[Any, Any, Any]) -> bool:
    """Whether the client of `request` has gone away; never, where another server than uvicorn serves."""
    return bool(getattr(request.scope.get(_CONNECTION), "disconnected", False))
