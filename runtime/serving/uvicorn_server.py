"""uvicorn server with graceful shutdown, limits on connections, and few wake-ups when idle."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from runtime.serving.appliance import Appliance
from runtime.serving.http import Connections, Protocol
from runtime.serving.http.connections import default_limit
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings

log = logging.getLogger(__name__)

TICK_S = 1.0  # the Date header is that exact
# A thread that waits for the interpreter's lock insists on it after so long; Linux makes some 60 µs of this. By default
# it is 5 ms, and the event loop lets go of it many times over, for too short a moment for a worker to wake in.
SWITCH_S = 0.00001


class Server(uvicorn.Server):
    """Reports `stopping` during graceful shutdown. When idle, it wakes once a second instead of ten times."""

    def __init__(self, app: Any, settings: Settings, appliance: Appliance | None, *, grace_s: int, ws: str) -> None:
        """Serve the ASGI app `app`; `appliance` is None if only the browser app is served.

        Graceful shutdown finishes requests in flight within `grace_s` seconds; `ws` is uvicorn's choice of websockets.
        """
        self._limits = Connections(
            appliance.metrics if appliance else Metrics(),
            most=settings.max_connections or default_limit(),
            head_s=settings.head_timeout_s,
            give_up_slowest=appliance.engine.uploads.give_up_slowest if appliance else lambda: False,
        )
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(Protocol, connections=self._limits),  # type: ignore[arg-type]
                ws=ws,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # client_address.py knows which proxies are trusted
                timeout_graceful_shutdown=grace_s,
            )
        )
        self._appliance = appliance
        self._drain_s = settings.drain_s if appliance else 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_to_stop = asyncio.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until shutdown."""
        sys.setswitchinterval(SWITCH_S)
        super().run(sockets)

    async def main_loop(self) -> None:
        """Tick once a second until shutdown."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # to uvicorn a tick of each full second
            self._limits.sweep()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked_to_stop.wait(), TICK_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin graceful shutdown on a signal, or draining on SIGTERM where the settings ask for it.

        The event loop does the work: a signal handler that takes a lock waits for ever for the code that it interrupts.
        """
        if self._loop and self._drain_s and sig == signal.SIGTERM:
            self._loop.call_soon_threadsafe(self._drain, frame)
            return
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._begin_to_stop)

    def _drain(self, frame: FrameType | None) -> None:
        """Deny readiness for a while, then stop; a second SIGTERM changes nothing."""
        if self._loop is None or self._appliance is None or self._appliance.draining:
            return
        self._appliance.draining = True
        log.info("stopping in %g s: until then /health/ready says 503 and requests are answered", self._drain_s)
        self._loop.call_later(self._drain_s, self._stop_after_drain, frame)

    def _stop_after_drain(self, frame: FrameType | None) -> None:
        super().handle_exit(signal.SIGTERM, frame)
        self._begin_to_stop()

    def _begin_to_stop(self) -> None:
        if self._appliance:
            self._appliance.begin_to_stop()
        self._asked_to_stop.set()
