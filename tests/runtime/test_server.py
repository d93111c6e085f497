from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvicorn

from runtime import server
from runtime.server import Server
from tests.servers import appliance


async def app(*_: object) -> None:
    """Nobody asks it."""


def test_asked_to_stop_it_does_not_wait_for_its_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK_S", 3600)
    serving = Server(uvicorn.Config(app), None)
    ticked = threading.Event()
    on_tick = serving.on_tick

    async def tick(counter: int) -> bool:
        ticked.set()
        return await on_tick(counter)

    async def serve() -> None:
        threading.Thread(target=stop).start()
        await asyncio.wait_for(serving.main_loop(), 300)

    def stop() -> None:
        ticked.wait(60)
        serving.handle_exit(signal.SIGTERM, None)

    monkeypatch.setattr(serving, "on_tick", tick)
    asyncio.run(serve())
    assert serving.should_exit


def test_asked_to_stop_before_it_began_it_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK_S", 3600)
    serving = Server(uvicorn.Config(app), None)
    serving.handle_exit(signal.SIGTERM, None)
    asyncio.run(asyncio.wait_for(serving.main_loop(), 300))
    assert serving.should_exit


def test_its_threads_take_turns_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    before = sys.getswitchinterval()
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_: seen.append(sys.getswitchinterval()))
    try:
        Server(uvicorn.Config(app), None).run()
    finally:
        sys.setswitchinterval(before)
    assert seen == [pytest.approx(server.SWITCH_S)]


def test_an_idle_connection_outlives_uvicorns_five_seconds(tmp_path: Path) -> None:
    """Proxies keep theirs for a minute, and a request into one that is just being closed is lost."""
    kept = httpx.Limits(keepalive_expiry=60)
    with appliance(tmp_path) as running, httpx.Client(base_url=running.url, limits=kept) as client:
        ports = set()
        for pause_s in (0, 6):
            time.sleep(pause_s)
            answer = client.get("/health/live")
            ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(ports) == 1
