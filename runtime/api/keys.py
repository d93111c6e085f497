"""Who may ask: API keys, known by their hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from http import HTTPStatus
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from runtime.commands import Refusal
from runtime.settings import Settings

_ENTRY = re.compile(r"(?:[\w.-]{1,40}=)?sha256:([0-9a-f]{64})")
_HOW = "send it as the header `X-API-Key`, or as `Authorization: Bearer …`"

Connection = ASGIConnection[Any, Any, Any, Any]


class BadKeys(Refusal):
    """A list of keys that cannot be read; the message names its variable, never a key."""


def new_key() -> tuple[str, str]:
    """A fresh key, and its entry for the list of those that are let in."""
    key = secrets.token_urlsafe(32)
    return key, f"sha256:{_digest(key)}"


def read_keys(text: str | None, variable: str) -> frozenset[str]:
    """The SHA-256 digests in a comma-separated list of `[name=]sha256:<64 hex digits>`; raises BadKeys."""
    entries = [entry.strip() for entry in (text or "").split(",") if entry.strip()]
    digests = set()
    for position, entry in enumerate(entries, 1):
        match = _ENTRY.fullmatch(entry)
        if not match:
            raise BadKeys(
                f"{variable}: entry {position} is not `sha256:` and 64 hex digits; `python -m runtime key` makes one"
            )
        digests.add(match[1])
    return frozenset(digests)


def predicting_keys(settings: Settings) -> frozenset[str]:
    """The digests of which one must come with a photo; where there are none, anybody may send it."""
    return settings.api_keys | settings.admin_keys if settings.api_keys else frozenset()


def is_among(digests: frozenset[str], api_key: str, authorization: str) -> bool:
    """Whether a request with these two headers, empty where it has none, brings a key of `digests`."""
    given = api_key or (authorization[7:] if authorization[:7].lower() == "bearer " else "")
    digest = _digest(given.strip())
    # Every digest is compared, whichever matches: the time says nothing.
    return sum(hmac.compare_digest(digest, known) for known in digests) > 0


async def may_predict(connection: Connection, _: BaseRouteHandler) -> None:
    """A Litestar guard: where API keys are configured, one of them or an administrator's must come with the request.

    A coroutine, because Litestar calls plain functions in a thread, which costs more than everything else around them.
    """
    keys = predicting_keys(connection.app.state.settings)
    if keys and not _knows(keys, connection):
        _turn_away(connection, f"this appliance asks for an API key; {_HOW}")


async def may_administer(connection: Connection, _: BaseRouteHandler) -> None:
    """A Litestar guard: an administrator's key must come with the request, and without any nobody may."""
    settings: Settings = connection.app.state.settings
    if not settings.admin_keys:
        raise HTTPException(
            "nobody may do this here; set DANDELION_ADMIN_KEYS (`python -m runtime key` makes a key)",
            status_code=HTTPStatus.FORBIDDEN,
        )
    if not _knows(settings.admin_keys, connection):
        _turn_away(connection, f"this asks for an administrator's key; {_HOW}")


def _knows(digests: frozenset[str], connection: Connection) -> bool:
    headers = connection.headers
    return is_among(digests, headers.get("x-api-key", ""), headers.get("authorization", ""))


def _turn_away(connection: Connection, detail: str) -> None:
    connection.app.state.metrics.rejections.labels("key").inc()
    raise NotAuthorizedException(detail, headers={"www-authenticate": "Bearer"})


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
