"""OPTIONS for paths with several methods: Litestar's own answer names that of the first handler alone."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, route
from litestar.handlers import HTTPRouteHandler


def options_of(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """A handler of OPTIONS for each path that several of `handlers` share; to be registered before them."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, set()).update(handler.http_methods)
    return [_options(path, found) for path, found in methods.items() if len(found) > 1]


def _options(path: str, methods: set[str]) -> HTTPRouteHandler:
    allow = ", ".join(sorted({*methods, "OPTIONS"}))

    @route(path, http_method=["OPTIONS"], include_in_schema=False, name=f"options {path}", sync_to_thread=False)
    def options() -> Response[None]:
        return Response(None, status_code=204, headers={"allow": allow})

    return options
