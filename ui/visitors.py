"""Gives each visitor a session, and each answer the headers that keep the page to itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any

from ui.paths import PAGES
from ui.sessions import COOKIE, Sessions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# NiceGUI renders with Vue in the browser, which needs both `unsafe` words; nothing may come from or go elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' ws: wss:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


class Visitors:
    """ASGI middleware. `request.state.visitor` is the name of the visitor's session."""

    def __init__(self, app: App, sessions: Sessions) -> None:
        """Wrap `app`."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = cookie(scope, COOKIE)
        fresh = scope["path"] in PAGES and not self._sessions.knows(name)
        if fresh:
            name = self._sessions.begin()
        scope.setdefault("state", {})["visitor"] = name

        async def dress(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *HEADERS]
                if fresh:
                    headers.append((b"set-cookie", _set_cookie(name or "", secure=scope["scheme"] == "https")))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, dress)


def cookie(scope: Message, name: str) -> str | None:
    """One cookie of a request."""
    for header, value in scope["headers"]:
        if header == b"cookie":
            found = SimpleCookie(value.decode("latin-1")).get(name)
            if found:
                return found.value
    return None


def _set_cookie(value: str, *, secure: bool) -> bytes:
    attributes = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")
    return f"{COOKIE}={value}{attributes}".encode()
