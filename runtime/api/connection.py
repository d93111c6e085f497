"""What uvicorn knows of a request at once, and ASGI tells only to whoever waits for a message.

A task that waits, for every photo in line, took a third of the photos a second of a busy appliance
(`benchmarks/NOTES.md`). Other servers than uvicorn tell nothing here.
"""

from __future__ import annotations

from typing import Any, cast

from litestar.types import Receive, Scope

_CONNECTION = "dandelion.connection"


def remember(scope: Scope, receive: Receive) -> None:
    """Keep uvicorn's side of a request, whose method `receive` is, before anything is put around it."""
    cast("dict[str, Any]", scope)[_CONNECTION] = getattr(receive, "__self__", None)


def forget(scope: Scope) -> None:
    """At the end of a request: uvicorn's side knows the scope, and nothing would free two that know each other soon."""
    cast("dict[str, Any]", scope).pop(_CONNECTION, None)


def has_left(scope: Scope) -> bool:
    """Whether the client of a request is known to have gone away."""
    return bool(getattr(scope.get(_CONNECTION), "disconnected", False))


def is_here(scope: Scope) -> bool:
    """Whether all of a request's body is known to have arrived."""
    return not getattr(scope.get(_CONNECTION), "more_body", True)
