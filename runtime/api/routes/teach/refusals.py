"""What is refused below /teach, as problems of HTTP; and how its blocking work is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from litestar import Request, Response
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from runtime.api.problems import KEYED, Problem, documented
from runtime.errors import Refusal
from runtime.serving.versions.disk import DiskRefused
from runtime.store import StoreError
from runtime.teaching.workspace.errors import Invalid, NoRoom, NotThere, Unusable

MAX_JSON_BYTES = 16 * 1024
MAX_IDS_BYTES = 4 * 2**20  # of JSON that names photos: 50 000 of them

# What is not listed is a conflict with the state that things are in.
STATUS: Mapping[type[Refusal], HTTPStatus] = {
    NotThere: HTTPStatus.NOT_FOUND,
    Invalid: HTTPStatus.BAD_REQUEST,
    NoRoom: HTTPStatus.INSUFFICIENT_STORAGE,
    DiskRefused: HTTPStatus.INSUFFICIENT_STORAGE,
    Unusable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}
READING = KEYED | documented(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
CHANGING = READING | documented(HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE)
SENDING = CHANGING | documented(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

T = TypeVar("T")


def refuse(_: Request[Any, Any, Any], error: Refusal) -> Response[Problem]:
    """The answer to what is refused."""
    return _problem(STATUS.get(type(error), HTTPStatus.CONFLICT), str(error))


def too_large(most_bytes: int) -> dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]:
    """For a route that takes JSON of `most_bytes`: the answer to more of it."""

    def refuse_large(_: Request[Any, Any, Any], __: RequestEntityTooLarge) -> Response[Problem]:
        detail = f"the request is larger than the {most_bytes >> 10} KiB accepted here; name fewer photos at once"
        return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)

    return {RequestEntityTooLarge: refuse_large}


async def in_thread(work: Callable[[], T]) -> T:
    """Run what reads or writes the disk in a thread of the event loop's own pool."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _problem(status: HTTPStatus, detail: str) -> Response[Problem]:
    return Response(Problem(int(status), detail), status_code=int(status), media_type="application/json")
