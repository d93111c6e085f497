"""What is known of a request beside its message: kept in its scope while it lasts.

Uvicorn knows at once whether a client is still there; ASGI tells it only to whoever waits for a message. A task that
waits, for every photo in line, took a third of the photos a second of a busy appliance (`benchmarks/NOTES.md`). Other
servers tell nothing here.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple, cast

from litestar.types import Receive, Scope

_CONNECTION = "dandelion.connection"
_MET = "dandelion.met"


class Met(NamedTuple):
    """What the fast path met with a request that it then passed on, and the moment (s) when that request began."""

    refusal: Exception
    began: float


def remember(scope: Scope, receive: Receive) -> None:
    """Keep uvicorn's side of a request, whose method `receive` is, before anything is put around it."""
    _of(scope)[_CONNECTION] = getattr(receive, "__self__", None)


def forget(scope: Scope) -> None:
    """At the end of a request: what is kept knows the scope, and nothing would free two that know each other soon."""
    _of(scope).pop(_CONNECTION, None)
    _of(scope).pop(_MET, None)


def has_left(scope: Scope) -> bool:
    """Whether the client of a request is known to have gone away."""
    return bool(getattr(scope.get(_CONNECTION), "disconnected", False))


def is_here(scope: Scope) -> bool:
    """Whether all of a request's body is known to have arrived."""
    return not getattr(scope.get(_CONNECTION), "more_body", True)


def pass_on(scope: Scope, met: Met) -> None:
    """Leave the answer to those within."""
    _of(scope)[_MET] = met


def refuse_if_met(scope: Scope) -> None:
    """Raise what was met with this request on the way in, if anything was."""
    if _MET in scope:
        raise _of(scope)[_MET].refusal  # and no variable: it would keep the exception, whose frames would keep it


def beginning(scope: Scope) -> float:
    """When this request began (s): now, unless it has already met something."""
    return _of(scope)[_MET].began if _MET in scope else time.perf_counter()


def _of(scope: Scope) -> dict[str, Any]:
    return cast("dict[str, Any]", scope)
