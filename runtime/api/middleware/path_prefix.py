"""Path prefix: where a reverse proxy publishes the appliance below a path of its own, such as `/meadow`.

It comes from the settings, or from `X-Forwarded-Prefix`, which counts from trusted proxies alone: what anybody else
sends is removed, because pages write the prefix into their links.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from runtime.api.security.local_operator import FORWARDED
from runtime.asgi import Application, Receive, Send
from runtime.names import path_prefix
from runtime.serving.settings import Settings

_HEADER = b"x-forwarded-prefix"
_PREFIX = "dandelion.prefix"


class PathPrefix:
    """ASGI middleware, the outermost. The apps within see paths without the prefix, whether the proxy strips it or not.

    They find the prefix by `prefix_of`, and in the header.
    """

    def __init__(self, app: Application, settings: Settings) -> None:
        """Wrap `app`."""
        self._app = app
        self._prefix = settings.path_prefix
        self._proxies = settings.trusted_proxies

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass the connection on."""
        if scope["type"] in ("http", "websocket"):
            self._find(scope)
        await self._app(scope, receive, send)

    def _find(self, scope: MutableMapping[str, Any]) -> None:
        prefix, headers = self._prefix, scope["headers"]
        told = [value for name, value in headers if name == _HEADER]
        if told:
            peer = scope.get("client")
            if self._proxies.include(peer[0] if peer else ""):
                prefix = path_prefix(told[-1].decode("latin-1").rpartition(",")[2]) or prefix
            headers = [header for header in headers if header[0] != _HEADER]
            scope[FORWARDED] = True
        if prefix:
            headers = [*headers, (_HEADER, prefix.encode())]
            scope[_PREFIX] = prefix
            _strip(scope, prefix)
        if told or prefix:
            scope["headers"] = headers


def prefix_of(scope: Mapping[str, Any]) -> str:
    """The prefix of a request, such as `/meadow`; empty if there is none."""
    return str(scope.get(_PREFIX, ""))


def _strip(scope: MutableMapping[str, Any], prefix: str) -> None:
    path = scope["path"]
    if path == prefix or path.startswith(prefix + "/"):
        scope["path"] = path[len(prefix) :] or "/"
        raw = scope.get("raw_path") or path.encode()
        scope["raw_path"] = raw[len(prefix) :] or b"/"
