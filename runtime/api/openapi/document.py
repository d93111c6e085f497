"""The OpenAPI document as one appliance serves it: where it is, and which routes ask for a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from runtime.api.middleware.path_prefix import prefix_of
from runtime.api.security.keys import predicting_keys

_KEYS: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]
ADMIN_KEY = _KEYS
API_KEY: list[dict[str, list[str]]] = [*_KEYS, {}]  # the last: none is needed where none is set
COMPONENTS = Components(
    security_schemes={
        "ApiKey": SecurityScheme(
            type="apiKey",
            name="X-API-Key",
            security_scheme_in="header",
            description="An API key, or an administrator's; `python -m runtime key` makes one.",
        ),
        "Bearer": SecurityScheme(type="http", scheme="bearer", description="The same key as a bearer token."),
    }
)


class Document(JsonRenderPlugin):
    """/docs/openapi.json."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document for whoever asks."""
        needed = bool(predicting_keys(request.app.state.settings))
        paths = {path: dict(_operations(item, needed=needed)) for path, item in openapi_schema["paths"].items()}
        servers = [{"url": prefix_of(request.scope) or "/"}]
        return self.render_json(request, openapi_schema | {"servers": servers, "paths": paths})


def _operations(item: dict[str, Any], *, needed: bool) -> Iterator[tuple[str, Any]]:
    for method, operation in item.items():
        if needed and {} in operation.get("security", ()):
            yield method, operation | {"security": [each for each in operation["security"] if each]}
        else:
            yield method, operation
