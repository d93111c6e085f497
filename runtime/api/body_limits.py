"""Request-body limits: time-outs against stalled and slow uploads (slowloris), and memory as the body arrives."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from litestar.exceptions import HTTPException
from litestar.types import HTTPReceiveMessage, Receive, Scope

from runtime.api.client import client_of
from runtime.api.request_state import has_no_body, is_here, take_body
from runtime.names import entries
from runtime.serving.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.uploads import Upload, Uploads

MIN_UPLOAD_BYTES_S = 8 * 1024  # bytes/s, after the patience of the settings is used up


class BodyLimits:
    """Bounds each request body in time, and all of them in memory."""

    def __init__(self, metrics: Metrics, uploads: Uploads, settings: Settings) -> None:
        """An upload may pause for `settings.upload_patience_s`, and after as long must keep the minimum rate."""
        self._metrics = metrics
        self._uploads = uploads
        self.patience_s = settings.upload_patience_s
        self._proxies = settings.trusted_proxies

    def reading(self, scope: Scope, receive: Receive) -> AbstractContextManager[Receive]:
        """For a `with` statement: `receive` with limits; what it has received is accounted for until the end of it.

        It raises HTTPException 408 if the rest of the body does not come in time, and Overloaded if memory is short.
        """
        return nullcontext(receive) if has_no_body(scope) else self.bounded(scope, receive)

    def bounded(self, scope: Scope, receive: Receive) -> BoundedBody:
        """The same for a request that has a body, or may have."""
        return BoundedBody(scope, receive, self._uploads.upload(partial(client_of, scope, self._proxies)), self)

    def refuse_slow(self) -> HTTPException:
        """Count an upload that stopped or crawled, and say so."""
        self._metrics.rejections.labels("upload_timeout").inc()
        return HTTPException(
            f"the upload stopped for {self.patience_s:g} s or was too slow; send it again",
            status_code=408,
            headers={"connection": "close"},
        )


class BoundedBody:
    """`receive` with limits, accounted for while its `with` block runs."""

    def __init__(self, scope: Scope, receive: Receive, upload: Upload, limits: BodyLimits) -> None:
        """`upload` is what accounts for it."""
        self._scope = scope
        self._receive = receive
        self._upload = upload
        self._limits = limits
        self._began = time.monotonic()
        self._more = True

    def __enter__(self) -> BoundedBody:
        """Account for what is received from now on."""
        self._upload.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """It is no longer held."""
        self._upload.__exit__()

    async def __call__(self) -> HTTPReceiveMessage:
        """ASGI: the next part of the body."""
        if coding := _coding_of(self._scope):
            raise _refusal_of(coding)
        if not self._more:
            return await self._receive()  # type: ignore[return-value]  # the wait for a disconnect may be long
        message = await (self._receive() if is_here(self._scope) else self._receive_in_time())
        if message["type"] == "http.request":
            self._upload.add(len(message["body"]))
            self._more = message["more_body"]
        return message  # type: ignore[return-value]

    def take(self) -> bytes | None:
        """The whole body if it has arrived, and is not compressed as a part of it; None if it has to be received."""
        body = None if not self._more or _coding_of(self._scope) else take_body(self._scope, self._receive)
        if body is not None:
            self._more = False
            self._upload.add(len(body))
        return body

    async def _receive_in_time(self) -> HTTPReceiveMessage:
        patience_s, upload = self._limits.patience_s, self._upload
        allowed_s = patience_s + upload.size_bytes / MIN_UPLOAD_BYTES_S - (time.monotonic() - self._began)
        upload.check()
        try:
            async with asyncio.timeout(max(0.0, min(patience_s, allowed_s))) as deadline:
                upload.on_given_up = partial(deadline.reschedule, 0)
                return await self._receive()  # type: ignore[return-value]
        except TimeoutError as error:
            upload.check()
            raise self._limits.refuse_slow() from error
        finally:
            upload.on_given_up = None


def _coding_of(scope: Scope) -> str:
    """How the body of a request is compressed; empty if it is not."""
    codings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    if not codings:
        return ""
    return ", ".join(entry for entry in entries(b",".join(codings).decode("latin-1")) if entry.lower() != "identity")


def _refusal_of(coding: str) -> HTTPException:
    """415 that says what is accepted (RFC 9110, 12.5.3 and 15.5.16): a photo is compressed as it is."""
    return HTTPException(
        f"the body is compressed (`Content-Encoding: {coding[:40]}`); send it as it is, without Content-Encoding",
        status_code=415,
        headers={"accept-encoding": "identity"},
    )
