"""Reverse proxy from the browser to the appliance: adds the visitor's API key and address, keeps nothing.

The middleware around it (`runtime/api/security/browser_guard.py`) has checked the origin.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from runtime.api.routes.display import PICTURE_HEADERS
from runtime.api.security.local_operator import is_local_operator
from runtime.bundle.display import PICTURES
from runtime.bundle.picture import MAX_PICTURE_BYTES
from runtime.serving.settings import Settings
from ui.appliance.client import Unreachable
from ui.appliance.targets import Targets
from ui.server.paths import RELAY
from ui.server.sessions import Session, Sessions

_ID = r"[A-Za-z0-9_-]{1,128}"
PHOTOS = re.compile(r"predict|predict/batch|explain|feedback|models/[A-Za-z0-9][A-Za-z0-9._-]*/predict")
# What the page Teach asks, by method: the appliance lets administrators alone.
TEACHING: Mapping[str, re.Pattern[str]] = {
    "GET": re.compile(rf"teach(/{_ID}(/photos)?)?"),
    "POST": re.compile(rf"teach(/{_ID}/(photos|label|remove|undo|examples|train|try|serve)|/inbox/(accept|reject))?"),
    "PUT": re.compile(rf"teach/{_ID}/classes"),
    "PATCH": re.compile(rf"teach/{_ID}(/classes)?"),
    "DELETE": re.compile(rf"teach/{_ID}(/(classes|train|model))?"),
}
THUMBNAILS = re.compile(rf"{_ID}/photos/{_ID}|inbox/{_ID}")
REQUEST_HEADERS = ("accept", "content-type", "content-length", "x-traffic")
RESPONSE_HEADERS = ("content-type", "retry-after", "x-label", "x-explained")
PICTURE = "/model/picture"
PICTURE_TYPES = tuple(PICTURES.values())
MAX_THUMBNAIL_BYTES = 256 * 1024
# A photo's name is the hash of its bytes, and its thumbnail never another.
THUMBNAIL_HEADERS = {"cache-control": "private, max-age=86400, immutable", "content-disposition": "inline"}
INBOX_HEADERS = THUMBNAIL_HEADERS | {"cache-control": "private, max-age=300"}  # what is deleted there shall be gone


def create_relay(targets: Targets, sessions: Sessions, settings: Settings) -> APIRouter:
    """The routes under RELAY."""
    router = APIRouter(prefix=RELAY)

    async def ask(path: str, request: Request) -> httpx.Response:
        """Pass a request on, for its visitor. Raises Unreachable."""
        visitor = request.state.visitor
        session = sessions.of(visitor.name)
        headers = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
        operator = path.startswith("teach") and _is_local_operator(request, session, settings)
        api = (await targets.api(session.target)).for_visitor(visitor.address, session.key, local_operator=operator)
        return await api.relay(
            request.method, f"/{path}", query=request.url.query, headers=headers, body=_body(request)
        )

    @router.get(PICTURE, include_in_schema=False)
    async def picture(request: Request) -> Response:
        try:
            return _picture(await ask(PICTURE.removeprefix("/"), request))
        except Unreachable as error:
            return _refuse(HTTPStatus.BAD_GATEWAY, str(error))

    @router.get("/teach/{place:path}/thumbnail", include_in_schema=False)
    async def thumbnail(place: str, request: Request) -> Response:
        if not THUMBNAILS.fullmatch(place):
            return _refuse(HTTPStatus.NOT_FOUND, "the page does not use this path")
        headers = INBOX_HEADERS if place.startswith("inbox/") else THUMBNAIL_HEADERS
        try:
            return _thumbnail(await ask(f"teach/{place}/thumbnail", request), headers)
        except Unreachable as error:
            return _refuse(HTTPStatus.BAD_GATEWAY, str(error))

    @router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def relay(path: str, request: Request) -> Response:
        if not is_allowed(request.method, path):
            return _refuse(HTTPStatus.NOT_FOUND, "the page does not use this path")
        try:
            answer = await ask(path, request)
        except Unreachable as error:
            return _refuse(HTTPStatus.BAD_GATEWAY, str(error))
        given = {name: answer.headers[name] for name in RESPONSE_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, given)

    return router


def is_allowed(method: str, path: str) -> bool:
    """Whether the page asks this of an appliance."""
    if method == "POST" and PHOTOS.fullmatch(path):
        return True
    return method in TEACHING and bool(TEACHING[method].fullmatch(path))


def _is_local_operator(request: Request, session: Session, settings: Settings) -> bool:
    """As for the API itself; a GET, with which browsers send no `Origin`, has that of the session's page."""
    scope = request.scope
    if request.method == "GET" and "origin" not in request.headers and session.operator_origin:
        scope = {**scope, "headers": [*scope["headers"], (b"origin", session.operator_origin.encode("latin-1"))]}
    return is_local_operator(scope, settings)


def _picture(answer: httpx.Response) -> Response:
    """What an appliance gives for a picture, and nothing else: it would be of the page's own origin."""
    media_type = answer.headers.get("content-type", "")
    if not answer.is_success or media_type not in PICTURE_TYPES or len(answer.content) > MAX_PICTURE_BYTES:
        return _refuse(HTTPStatus.NOT_FOUND, "the appliance has no picture of its product")
    return Response(answer.content, headers=PICTURE_HEADERS, media_type=media_type)


def _thumbnail(answer: httpx.Response, headers: Mapping[str, str] = THUMBNAIL_HEADERS) -> Response:
    """A JPEG, and nothing else, as `_picture`."""
    is_jpeg = answer.headers.get("content-type", "") == "image/jpeg"
    if not answer.is_success or not is_jpeg or len(answer.content) > MAX_THUMBNAIL_BYTES:
        return _refuse(HTTPStatus.NOT_FOUND, "the appliance has no thumbnail of this photo")
    return Response(answer.content, headers=dict(headers), media_type="image/jpeg")


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        return  # the appliance sees a short body and refuses it; nobody reads the answer


def _refuse(status: HTTPStatus, detail: str) -> JSONResponse:
    return JSONResponse({"status_code": int(status), "detail": detail}, int(status))
