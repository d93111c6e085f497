"""Content negotiation: a browser that navigates to an API path of a page's name, such as `/models`, gets the page."""

from __future__ import annotations

from runtime.api.middleware.path_prefix import prefix_of
from runtime.api.requests.accept import preferred
from runtime.asgi import Message, Send
from ui.server.paths import ALIASES, PAGES

_HTML = "text/html"
_VARY = (b"vary", b"accept")


def is_shared(path: str) -> bool:
    """Whether a path is the API's, and a page's for people."""
    return path.rstrip("/") in ALIASES


def page_asked_for(scope: Message) -> str | None:
    """The page that a person has asked for by another path: a shared one, or one with a slash at its end."""
    path = scope["path"].rstrip("/")
    page = ALIASES.get(path) or (path if path in PAGES and path != scope["path"] else None)
    if page is None or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return None
    accept = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
    return page if preferred(accept, ("application/json", _HTML)) == _HTML else None


async def redirect(scope: Message, send: Send, page: str) -> None:
    """Send a browser to a page."""
    query = b"?" + scope["query_string"] if scope.get("query_string") else b""
    location = (prefix_of(scope) + page).encode() + query
    headers = [(b"location", location), (b"cache-control", b"no-store"), (b"content-length", b"0"), _VARY]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def varying(send: Send) -> Send:
    """`send` for an answer that depends on `Accept`, which caches are told."""

    async def send_varying(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), _VARY]
        await send(message)

    return send_varying
