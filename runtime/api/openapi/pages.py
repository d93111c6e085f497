"""API docs (Swagger UI), served from this package: they work offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Request, get
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Tag
from litestar.response import Stream

from runtime.api.middleware.path_prefix import prefix_of
from runtime.api.openapi.document import COMPONENTS, Document

PATH = "/docs"
_ASSETS = Path(__file__).parent / "assets"  # swagger-ui-dist 5.35.0, gzipped
_PART_BYTES = 64 * 1024
_MEDIA_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_ICON = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'>"
    "<circle cx='4.5' cy='4.5' r='4' fill='%23e3a60b'/></svg>"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Image classifier: API</title>
<link rel="icon" href="{_ICON}">
<link rel="stylesheet" href="PREFIX{PATH}/assets/swagger-ui.css">
</head>
<body style="margin:0">
<div id="page"></div>
<script src="PREFIX{PATH}/assets/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({{url: "PREFIX{PATH}/openapi.json", dom_id: "#page", validatorUrl: null, tryItOutEnabled: true}})
</script>
</body>
</html>
"""


class _LocalSwaggerUI(OpenAPIRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        return _PAGE.replace("PREFIX", prefix_of(request.scope)).encode()


@get(PATH + "/assets/{name:str}", include_in_schema=False, sync_to_thread=False)
def asset(name: str) -> Stream:
    """One of the page's own files."""
    if name not in _MEDIA_TYPES:
        raise NotFoundException
    file = _ASSETS / f"{name}.gz"
    return Stream(
        _parts_of(file),
        media_type=_MEDIA_TYPES[name],
        headers={
            "content-encoding": "gzip",
            "content-length": str(file.stat().st_size),
            "cache-control": "public, max-age=86400",
        },
    )


async def _parts_of(file: Path) -> AsyncIterator[bytes]:
    """A file in parts, each read when the one before has left: a client that does not read holds no more than one."""
    for start in range(0, file.stat().st_size, _PART_BYTES):
        with file.open("rb") as opened:
            opened.seek(start)
            part = opened.read(_PART_BYTES)
        yield part


def openapi_config(version: str) -> OpenAPIConfig:
    """The OpenAPI document at /docs/openapi.json and its page at /docs."""
    return OpenAPIConfig(
        title="Image classifier",
        version=version,
        description="Classifies photos on a small CPU. Post one to `/predict`.",
        path=PATH,
        components=COMPONENTS,
        render_plugins=[_LocalSwaggerUI(path="/"), Document()],
        tags=[Tag("Predict"), Tag("Model"), Tag("Teach"), Tag("Health")],
    )
