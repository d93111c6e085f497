from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import uvicorn
from uvicorn.server import ServerState

from runtime.serving.http.connections import Connections
from runtime.serving.http.protocol import Protocol
from runtime.serving.http.transport import MOST_BYTES, CoalescingTransport
from runtime.serving.monitoring.metrics import Metrics


class Recorder(asyncio.Transport):
    """A transport that notes what it is given, one entry a system call."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 7)})
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())


def gathered() -> tuple[CoalescingTransport, Recorder]:
    within = Recorder()
    return CoalescingTransport(within, asyncio.get_running_loop()), within


@in_a_loop
async def test_head_and_body_leave_together():
    transport, within = gathered()
    transport.write(b"head")
    transport.write(b"body")
    assert within.sent == []
    await asyncio.sleep(0)
    assert within.sent == [b"headbody"]
    transport.writelines([b"next ", b"answer"])
    await asyncio.sleep(0)
    assert within.sent == [b"headbody", b"next answer"]


@in_a_loop
async def test_a_whole_answer_does_not_wait_for_the_loops_next_turn():
    within = Recorder()
    limits = Connections(Metrics(), most=8, head_s=10)
    protocol = Protocol(
        connections=limits, config=uvicorn.Config(lambda: None), server_state=ServerState(), app_state={}
    )
    protocol.connection_made(within)
    protocol.transport.write(b"head")
    protocol.transport.write(b"body")
    protocol.on_response_complete()
    assert within.sent == [b"headbody"]
    protocol.on_response_complete()  # nothing is left to send
    assert within.sent == [b"headbody"]


@in_a_loop
async def test_much_is_written_at_once_so_that_its_writer_can_be_slowed_down():
    transport, within = gathered()
    transport.write(b"head")
    transport.write(bytes(MOST_BYTES))
    assert [len(sent) for sent in within.sent] == [MOST_BYTES, 4]


@in_a_loop
async def test_closing_sends_first_what_was_kept():
    transport, within = gathered()
    transport.write(b"goodbye")
    transport.close()
    assert (within.sent, within.closed) == ([b"goodbye"], True)


@in_a_loop
async def test_nothing_is_written_to_a_connection_that_ended_meanwhile():
    transport, within = gathered()
    transport.write(b"too late")
    within.closed = True
    await asyncio.sleep(0)
    assert within.sent == []


@in_a_loop
async def test_in_all_else_it_is_the_transport_within():
    transport, _ = gathered()
    assert transport.get_extra_info("peername") == ("127.0.0.1", 7)


class Leaving(Recorder):
    """One of uvloop's, of a connection that another thread closes at this moment."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self if name == "socket" else default

    def getsockopt(self, *_: int) -> bytes:
        raise ValueError("negative file descriptor")


@in_a_loop
async def test_a_connection_that_is_closed_has_no_client_any_more():
    within = Leaving()
    transport = CoalescingTransport(within, asyncio.get_running_loop())
    transport.half_closed = True
    assert not transport.was_reset()
    within.close()
    assert transport.was_reset()
