"""API docs (Swagger UI), served from this package: they work offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Tag

from runtime.api.openapi.document import COMPONENTS, Document
from runtime.api.path_prefix import prefix_of

PATH = "/docs"
_ASSETS = Path(__file__).parent / "assets"  # swagger-ui-dist 5.35.0, gzipped
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
def asset(name: str) -> Response[bytes]:
    """One of the page's own files."""
    if name not in _MEDIA_TYPES:
        raise NotFoundException
    return Response(
        (_ASSETS / f"{name}.gz").read_bytes(),
        media_type=_MEDIA_TYPES[name],
        headers={"content-encoding": "gzip", "cache-control": "public, max-age=86400"},
    )


def openapi_config(version: str) -> OpenAPIConfig:
    """The OpenAPI document at /docs/openapi.json and its page at /docs."""
    return OpenAPIConfig(
        title="Image classifier",
        version=version,
        description="Classifies photos on a small CPU. Post one to `/predict`.",
        path=PATH,
        components=COMPONENTS,
        render_plugins=[_LocalSwaggerUI(path="/"), Document()],
        tags=[Tag("Predict"), Tag("Model"), Tag("Health")],
    )
