"""Litestar guards: routes that require an API key, or an administrator's."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotAuthorizedException, TooManyRequestsException
from litestar.handlers import BaseRouteHandler

from runtime.api.security.key_check import KeyCheck
from runtime.api.security.keys import predicting_keys
from runtime.api.security.local_operator import is_local_operator
from runtime.serving.settings import Settings

_HOW = "send it as the header `X-API-Key`, or as `Authorization: Bearer …`"

# To administer: it may, it needs a key, or no key would do because none is configured.
Admission = Literal["allowed", "key", "closed"]

Connection = ASGIConnection[Any, Any, Any, Any]


async def may_predict(connection: Connection, _: BaseRouteHandler) -> None:
    """Require an API key, or an administrator's, if API keys are configured. 429 after too many wrong ones.

    A coroutine, because Litestar runs plain functions in a thread, which costs more than the check itself.
    """
    keys = predicting_keys(connection.app.state.settings)
    if keys and not await _admits(keys, connection):
        _refuse(connection, f"this appliance asks for an API key; {_HOW}")


async def may_administer(connection: Connection, _: BaseRouteHandler) -> None:
    """Require an administrator's key; if none is configured, only the page in a browser on this machine may."""
    settings: Settings = connection.app.state.settings
    if not settings.admin_keys:
        if is_local_operator(connection.scope, settings):
            return
        await _check_of(connection).before_refusal(connection.scope)
        raise HTTPException(
            "nobody may do this from here, only the page in a browser on the appliance's own machine; "
            "else set DANDELION_ADMIN_KEYS (`python -m runtime key` makes a key)",
            status_code=HTTPStatus.FORBIDDEN,
        )
    if not await _admits(settings.admin_keys, connection):
        _refuse(connection, f"this asks for an administrator's key; {_HOW}")


def may_see_details(connection: Connection) -> bool:
    """Whether the client of an open route may see what only clients with a key should; never refuses."""
    keys = predicting_keys(connection.app.state.settings)
    if not keys:
        return True
    try:
        return _knows(keys, connection)
    except TooManyRequestsException:
        return False


def admission_of(connection: Connection) -> Admission:
    """Whether the client may administer, or what would let it; never refuses."""
    settings: Settings = connection.app.state.settings
    if not settings.admin_keys:
        return "allowed" if is_local_operator(connection.scope, settings) else "closed"
    try:
        return "allowed" if _knows(settings.admin_keys, connection) else "key"
    except TooManyRequestsException:
        return "key"


async def _admits(digests: frozenset[str], connection: Connection) -> bool:
    """As `_knows`; word of a refusal may come late (`runtime/api/security/slow_refusals.py`)."""
    try:
        known = _knows(digests, connection)
    except TooManyRequestsException:
        await _check_of(connection).before_refusal(connection.scope)
        raise
    if not known:
        await _check_of(connection).before_refusal(connection.scope)
    return known


def _knows(digests: frozenset[str], connection: Connection) -> bool:
    headers = connection.headers
    given = headers.get("x-api-key", ""), headers.get("authorization", "")
    return _check_of(connection).is_right(digests, connection.scope, *given)


def _check_of(connection: Connection) -> KeyCheck:
    check: KeyCheck = connection.app.state.key_check
    return check


def _refuse(connection: Connection, detail: str) -> None:
    connection.app.state.metrics.rejections.labels("key").inc()
    raise NotAuthorizedException(detail, headers={"www-authenticate": "Bearer"})
