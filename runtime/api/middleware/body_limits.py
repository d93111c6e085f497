"""Request-body limits: time-outs against stalled and slow uploads (slowloris), and memory as the body arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from litestar.exceptions import HTTPException
from litestar.types import HTTPReceiveMessage, Receive, Scope

from runtime.api.requests.client import client_of
from runtime.api.requests.request_state import has_no_body, is_here
from runtime.api.security.slow_refusals import most_waiting
from runtime.names import entries
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.batcher import ClientGone
from runtime.serving.scheduling.heavy_lane import HeavyLane
from runtime.serving.settings import Settings
from runtime.serving.uploads import Upload, Uploads

MIN_UPLOAD_BYTES_S = 8 * 1024  # bytes/s, after the patience of the settings is used up
LARGE_BYTES = 256 * 1024  # a body of this size may be heavy work
HASTY_S = 1.0  # the longest that a client which comes too early is kept waiting for its refusal


class BodyLimits:
    """Bounds each request body in time, and all of them in memory."""

    def __init__(self, metrics: Metrics, uploads: Uploads, settings: Settings, heavy: HeavyLane | None = None) -> None:
        """An upload may pause for `settings.upload_patience_s`, and after as long must keep the minimum rate.

        `heavy` knows how long a client was asked to wait before it sends heavy work again.
        """
        self._heavy = heavy
        self._waiting, self._most_waiting = 0, most_waiting(settings.max_connections)
        self._metrics = metrics
        self._uploads = uploads
        self._seconds = settings.upload_patience_s
        self._proxies = settings.trusted_proxies

    @contextmanager
    def reading(self, scope: Scope, receive: Receive) -> Iterator[Receive]:
        """`receive` with limits; what it has received is accounted for until the end of the block.

        It raises HTTPException 408 if the rest of the body does not come in time, Overloaded if memory is short, and
        ClientGone if the client leaves before: of that Litestar would make a fault of ours (500).
        """
        if has_no_body(scope):
            yield receive
            return
        with self.upload(scope) as upload:
            yield self.bounded(scope, receive, upload)

    def upload(self, scope: Scope) -> Upload:
        """For a `with` statement: what accounts for the body of a request."""
        return self._uploads.upload(partial(client_of, scope, self._proxies))

    def bounded(self, scope: Scope, receive: Receive, upload: Upload) -> Receive:
        """`receive` with limits, as in `reading`; `upload` accounts for what comes."""
        coding = _coding_of(scope)
        began, begun, received, more = time.monotonic(), False, 0, True

        async def receive_bounded() -> HTTPReceiveMessage:
            nonlocal began, begun, received, more
            if coding:
                raise _refusal_of(coding)
            if not more:
                return await receive()  # type: ignore[return-value]  # the wait for a disconnect may be long
            if is_here(scope):
                message = await receive()
            else:
                if not begun:
                    begun = True
                    await self._let_in(scope, upload)
                    began = time.monotonic()
                allowed_s = self._seconds + received / MIN_UPLOAD_BYTES_S - (time.monotonic() - began)
                message = await self._receive_in_time(receive, upload, min(self._seconds, allowed_s))
            if message["type"] == "http.request":
                upload.add(len(message["body"]))
                received += len(message["body"])
                more = message["more_body"]
            else:
                raise ClientGone
            return message

        return receive_bounded

    async def _let_in(self, scope: Scope, upload: Upload) -> None:
        """Before a large body is read: wait until its client has room for it.

        Raises Overloaded, late, if that takes too long, or if the client comes before its time. Where so many wait
        already, it is read, and counted as it comes: a refusal at once would cost more than a client that drips.
        """
        length = _length_of(scope)
        if self._heavy is None or (length is not None and length <= LARGE_BYTES):
            return
        client = upload.client()
        if client is None or self._waiting >= self._most_waiting:
            return
        hasty_s, told_s = self._heavy.arrive(client)
        self._waiting += 1
        try:
            if hasty_s > 0:
                await asyncio.sleep(min(HASTY_S, hasty_s))
                raise Overloaded("hasty", self._heavy.unread_due_s(client))
            if length is not None:
                patience_s = self._heavy.patience_s(client, told_s, self._uploads.waiting_of(client))
                await upload.claim(length, min(patience_s, self._seconds))
        finally:
            self._waiting -= 1

    async def _receive_in_time(self, receive: Receive, upload: Upload, seconds: float) -> HTTPReceiveMessage:
        upload.check()
        try:
            async with asyncio.timeout(max(0.0, seconds)) as deadline:
                upload.on_given_up = partial(deadline.reschedule, 0)
                return await receive()  # type: ignore[return-value]
        except TimeoutError as error:
            upload.check()
            self._metrics.rejections.labels("upload_timeout").inc()
            raise HTTPException(
                f"the upload stopped for {self._seconds:g} s or was too slow; send it again",
                status_code=408,
                headers={"connection": "close"},
            ) from error
        finally:
            upload.on_given_up = None


def _length_of(scope: Scope) -> int | None:
    """Bytes of a body; None if its client does not say."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(length) if length.isdigit() else None


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
