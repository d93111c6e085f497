"""uvicorn, for an appliance: it says that it is stopping, and leaves an idle host alone."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from runtime.appliance import Appliance
from runtime.gathered import GatheringProtocol

TICK_S = 1.0  # the Date header is that exact
# An idle connection is kept for longer than nginx and AWS's balancers keep theirs (60 s): it is they who end it then,
# and none sends a request into a connection that is just being closed.
KEEP_ALIVE_S = 75
# A thread that waits for the interpreter's lock insists on it after so long; Linux makes some 60 µs of this. By default
# it is 5 ms, and the event loop lets go of it many times over, for too short a moment for a worker to wake in.
SWITCH_S = 0.00001


def config_of(app: Any, *, grace_s: int) -> uvicorn.Config:
    """How an appliance serves `app`; asked to stop, it finishes what it has within `grace_s`."""
    return uvicorn.Config(
        app,
        http=GatheringProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here heeds where a request says that it is from
        timeout_graceful_shutdown=grace_s,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


class Server(uvicorn.Server):
    """Says that it is stopping while it finishes what it has. Idle, it wakes once a second, not ten times."""

    def __init__(self, config: uvicorn.Config, appliance: Appliance | None) -> None:
        """`appliance` is None where only the page is served."""
        super().__init__(config)
        self._appliance = appliance
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_to_stop = asyncio.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is asked to stop."""
        sys.setswitchinterval(SWITCH_S)
        super().run(sockets)

    async def main_loop(self) -> None:
        """Until it is asked to stop."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # to uvicorn a tick of each full second
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked_to_stop.wait(), TICK_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """By a signal."""
        if self._appliance:
            self._appliance.stopping = True
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._asked_to_stop.set)
