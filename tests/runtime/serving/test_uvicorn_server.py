from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
import uvicorn

from runtime.serving import uvicorn_server
from runtime.serving.appliance import Appliance
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.uploads import Uploads
from runtime.serving.uvicorn_server import Server
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo


async def app(*_: object) -> None:
    """Nobody asks it."""


def server(around: Appliance | None = None) -> Server:
    return Server(app, Settings(threads=1, workers=1, max_connections=8), around, grace_s=1, ws="none")


def test_asked_to_stop_it_does_not_wait_for_its_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "TICK_S", 3600)
    serving = server()
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
    monkeypatch.setattr(uvicorn_server, "TICK_S", 3600)
    serving = server()
    serving.handle_exit(signal.SIGTERM, None)
    asyncio.run(asyncio.wait_for(serving.main_loop(), 300))
    assert serving.should_exit


def test_a_signal_handler_takes_no_lock_so_that_two_signals_at_once_do_not_deadlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`make` passes a SIGTERM on to a server that has had it already."""
    monkeypatch.setattr(uvicorn_server, "TICK_S", 3600)
    lock = threading.Lock()

    class Stopping:
        times = 0
        metrics: Metrics
        engine: SimpleNamespace

        def begin_to_stop(self) -> None:
            with lock:
                self.times += 1

    stopping = Stopping()
    stopping.metrics, stopping.engine = Metrics(), SimpleNamespace(uploads=Uploads(1, share=1))
    serving = server(cast("Appliance", stopping))

    async def serve() -> None:
        await asyncio.sleep(0)  # the main loop has begun
        with lock:  # as whatever the signals interrupt may hold it
            serving.handle_exit(signal.SIGTERM, None)
            serving.handle_exit(signal.SIGTERM, None)
            assert stopping.times == 0

    async def both() -> None:
        await asyncio.wait_for(asyncio.gather(serving.main_loop(), serve()), 300)

    asyncio.run(both())
    assert serving.should_exit
    assert stopping.times == 2


def test_it_denies_readiness_for_a_while_before_it_closes(tmp_path: Path) -> None:
    bundle = str(write_bundle(tmp_path / "v1"))
    with (
        appliance(tmp_path, "--bundle", bundle, DANDELION_DRAIN_S="2") as running,
        httpx.Client(base_url=running.url) as client,
    ):
        assert client.get("/health/ready").status_code == 200
        began = time.monotonic()
        for _ in range(2):  # as `make` passes them on: the second changes nothing
            running.process.send_signal(signal.SIGTERM)
        while client.get("/health/ready").status_code == 200:
            time.sleep(0.01)
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/health").json()["status"] == "stopping"
        assert client.get("/health/live").status_code == 200
        photo_of = {"content": photo(), "headers": {"content-type": "image/jpeg"}}
        assert client.post("/predict", **photo_of).status_code == 200  # type: ignore[arg-type]
        assert running.process.wait(60) == 0
    assert time.monotonic() - began >= 2


def test_an_interrupt_from_the_keyboard_is_not_made_to_wait(tmp_path: Path) -> None:
    bundle = str(write_bundle(tmp_path / "v1"))
    with appliance(tmp_path, "--bundle", bundle, DANDELION_DRAIN_S="3600") as running:
        running.process.send_signal(signal.SIGTERM)
        while httpx.get(running.url + "/health/ready").status_code == 200:
            time.sleep(0.01)
        running.process.send_signal(signal.SIGINT)
        running.process.wait(60)


def test_its_threads_take_turns_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    before = sys.getswitchinterval()
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_: seen.append(sys.getswitchinterval()))
    try:
        server().run()
    finally:
        sys.setswitchinterval(before)
    assert seen == [pytest.approx(uvicorn_server.SWITCH_S)]


def test_an_idle_connection_outlives_uvicorns_five_seconds(tmp_path: Path) -> None:
    """Proxies keep theirs for a minute, and a request into one that is just being closed is lost."""
    kept = httpx.Limits(keepalive_expiry=60)
    bundle = str(write_bundle(tmp_path / "v1"))
    with (
        appliance(tmp_path, "--bundle", bundle) as running,
        httpx.Client(base_url=running.url, limits=kept) as client,
    ):
        ports = set()
        for pause_s in (0, 6):
            time.sleep(pause_s)
            answer = client.get("/health/live")
            ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(ports) == 1
