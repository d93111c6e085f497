"""Answers that are sent whole: the bytes of uvicorn's own way, and only where nothing else is to be done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from runtime.api.requests.request_state import attach_connection, take_body
from runtime.serving.http.connections import Connections
from runtime.serving.http.protocol import Protocol
from runtime.serving.http.whole_answer import send_whole
from runtime.serving.monitoring.metrics import Metrics
from tests.runtime.serving.http.test_transport import Recorder

BODY = b'{"label":"dandelion"}\n'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY)), (b"x-request-id", b"7")]
REQUEST = b"POST /predict HTTP/1.1\r\nhost: meadow\r\ncontent-length: 5\r\n"


class Paused(Recorder):
    """One whose reading may be paused; nothing more comes anyway."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Answering:
    """An app that answers whole where it can; it notes the body that it took, and whether it could."""

    def __init__(self, changes: Mapping[str, Any], *, whole: bool) -> None:
        self._changes = changes
        self._whole = whole
        self.taken: list[bytes | None] = []
        self.sent_whole: list[bool] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        attach_connection(scope, receive)
        for name, value in self._changes.items():
            setattr(receive.__self__, name, value)
        self.taken.append(take_body(scope, receive))
        self.sent_whole.append(self._whole and send_whole(send, 200, HEADERS, BODY))
        if not self.sent_whole[-1]:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await send({"type": "http.response.body", "body": BODY, "more_body": False})


async def answered(app: Answering, *pieces: bytes) -> Recorder:
    """What leaves a connection on which `pieces` arrive."""
    within = Paused()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 29 Nov 2026 20:00:00 GMT")]
    config = uvicorn.Config(app, access_log=False, lifespan="off")
    config.load()
    limits = Connections(Metrics(), most=8, head_s=10)
    protocol = Protocol(connections=limits, config=config, server_state=state, app_state={})
    protocol.connection_made(within)
    for piece in pieces:
        protocol.data_received(piece)
        await asyncio.sleep(0.01)
    return within


def both(changes: Mapping[str, Any], *pieces: bytes) -> tuple[Answering, Recorder, Recorder]:
    quick, usual = Answering(changes, whole=True), Answering(changes, whole=False)
    return quick, asyncio.run(answered(quick, *pieces)), asyncio.run(answered(usual, *pieces))


@pytest.mark.parametrize("requests", [1, 3])
def test_a_whole_answer_has_the_bytes_of_uvicorns_own_in_one_write(requests: int) -> None:
    app, quick, usual = both({}, *[REQUEST + b"\r\nphoto"] * requests)
    assert app.sent_whole == [True] * requests
    assert app.taken == [b"photo"] * requests
    assert quick.sent == usual.sent
    assert len(quick.sent) == requests
    assert not quick.closed


def test_requests_that_come_at_once_are_answered_one_after_the_other() -> None:
    app, quick, usual = both({}, 3 * (REQUEST + b"\r\nphoto"))
    assert app.taken == [b"photo"] * 3
    assert b"".join(quick.sent) == b"".join(usual.sent)
    assert b"".join(quick.sent).count(BODY) == 3


def test_a_connection_that_is_to_be_closed_is_left_to_uvicorn() -> None:
    app, quick, usual = both({}, REQUEST + b"connection: close\r\n\r\nphoto")
    assert app.sent_whole == [False]
    assert b"".join(quick.sent) == b"".join(usual.sent)
    assert quick.closed
    assert usual.closed


@pytest.mark.parametrize("change", [{"disconnected": True}, {"access_log": True}])
def test_so_is_a_client_that_has_left_and_a_log_that_is_to_be_written(change: Mapping[str, Any]) -> None:
    app, quick, usual = both(change, REQUEST + b"\r\nphoto")
    assert app.sent_whole == [False]
    assert quick.sent == usual.sent


def test_a_body_that_has_not_all_arrived_is_not_taken() -> None:
    app, quick, usual = both({}, REQUEST + b"\r\nph", b"oto")
    assert app.taken == [None]
    assert b"".join(quick.sent) == b"".join(usual.sent)


def test_a_client_that_waits_for_100_continue_is_left_to_uvicorn() -> None:
    app, _, _ = both({}, REQUEST + b"expect: 100-continue\r\n\r\nphoto")
    assert app.taken == [None]


def test_another_servers_messages_are_its_own() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"photo", "more_body": False}

    async def send(_: object) -> None:
        raise AssertionError

    scope: Any = {"type": "http"}
    attach_connection(scope, receive)  # type: ignore[arg-type]
    assert take_body(scope, receive) is None  # type: ignore[arg-type]
    assert not send_whole(send, 200, HEADERS, BODY)
