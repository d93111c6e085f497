"""The client of a request, by its connection and by what trusted reverse proxies say of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Request
from litestar.types import Scope

from runtime.serving.client_address import TrustedProxies
from runtime.serving.scheduling.scheduler import ClientName

_FORWARDED_FOR = b"x-forwarded-for"


def client_of(scope: Scope, proxies: TrustedProxies) -> str | None:
    """The client's address (its /64 network for IPv6); None for a trusted proxy that names no client."""
    peer = scope.get("client")
    forwarded = (value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR)
    return proxies.client_of(peer[0] if peer else "", forwarded)


def client_name(request: Request[Any, Any, Any]) -> ClientName:
    """Finds out the client of a request when it is called; most work does not ask."""
    return partial(client_of, request.scope, request.app.state.settings.trusted_proxies)
