"""More requests than the appliance can answer: each gets its answer in time, or is told at once when to come again."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from functools import cache
from pathlib import Path

import httpx
import pytest

from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.pictures.large_photos import flat_png
from tests.support.waiting import wait_until

SLOW = (5000, 4000)  # px, of a photo of few bytes that is long to decode
LESS_SLOW = (2500, 2000)  # a quarter of that

drawn = cache(flat_png)


async def flood(url: str, requests: int) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=requests)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:
        send = (
            client.post("/predict", content=drawn(*LESS_SLOW), headers={"content-type": "image/png"})
            for _ in range(requests)
        )
        return await asyncio.gather(*send)


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(write_bundle(tmp_path / "v1"))


def test_beyond_the_budget_each_answer_is_200_or_503_with_the_time_to_come_again(tmp_path: Path, bundle: str):
    with appliance(tmp_path, "--bundle", bundle, DANDELION_BUDGET_MS="50") as server:
        answers = asyncio.run(flood(server.url, 60))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses.keys() == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert 1 <= int(answer.headers["retry-after"]) <= 60
                assert answer.json()["detail"] == (
                    f"too much to do at the moment; try again in {answer.headers['retry-after']} s"
                )
        metrics = httpx.get(server.url + "/metrics").text
        assert f'dandelion_rejections_total{{reason="queue"}} {statuses[503]}.0' in metrics
        assert "dandelion_queue_depth 0.0" in metrics
        assert httpx.post(server.url + "/predict", files={"file": photo()}).status_code == 200  # at once normal again


def test_within_the_budget_nobody_is_turned_away(tmp_path: Path, bundle: str):
    with appliance(tmp_path, "--bundle", bundle, DANDELION_BUDGET_MS="120000") as server:
        answers = asyncio.run(flood(server.url, 30))
    assert {answer.status_code for answer in answers} == {200}


def raw_request(server: Appliance, body: bytes) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    head = ["POST /predict HTTP/1.1", "host: x", "content-type: image/png", f"content-length: {len(body)}", "", ""]
    connection.sendall("\r\n".join(head).encode() + body)
    return connection


def wait_until_read(server: Appliance, photos: int) -> None:
    wait_until(lambda: metric(server, "dandelion_stage_seconds_count", stage="read") >= photos, "all are read")


def test_nothing_is_computed_for_a_client_that_left(tmp_path: Path, bundle: str):
    with appliance(tmp_path, "--bundle", bundle, DANDELION_BUDGET_MS="120000") as server:
        patient = [raw_request(server, drawn(*SLOW)) for _ in range(8)]
        impatient = [raw_request(server, drawn(*SLOW)) for _ in range(40)]
        wait_until_read(server, 48)
        begun = computed(server)
        for connection in impatient:
            reset(connection)
        for connection in patient:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            connection.close()
        wait_until(lambda: computed(server) + gone(server) == 48, "each is computed or dropped")
        assert computed(server) <= max(8, begun) + 8  # those that had begun, and what began until all were reset
    assert "Traceback" not in server.log.read_text()


def computed(server: Appliance) -> float:
    return metric(server, "dandelion_predictions_total")


def gone(server: Appliance) -> float:
    return metric(server, "dandelion_rejections_total", reason="client_gone")


def reset(connection: socket.socket) -> None:
    """Leave for good: to close would only say that nothing more will be sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_asked_to_stop_it_finishes_what_it_has(tmp_path: Path, bundle: str):
    with appliance(tmp_path, "--bundle", bundle, DANDELION_BUDGET_MS="120000") as server:
        waiting = [raw_request(server, drawn(*SLOW)) for _ in range(6)]
        wait_until_read(server, 6)
        assert server.stop() == 0
        for connection in waiting:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            connection.close()
