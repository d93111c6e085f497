"""Who collects refusals gets them late; others, and right keys behind the same address, do not wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from runtime.api.security import slow_refusals
from runtime.api.security.keys import new_key
from runtime.api.security.slow_refusals import BURST, DELAY_S, INTERVAL_S, KEPT, MOST, SlowRefusals, most_waiting
from tests.support.appliances.servers import Appliance, appliance
from tests.support.clock import Clock
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

KEY, ENTRY = new_key()
LARGE = (b"content-length", b"20000000")


def test_the_first_refusals_of_a_client_are_told_at_once_and_further_ones_late():
    clock = Clock()
    refusals = SlowRefusals(clock)
    assert [refusals.delay_s("a") for _ in range(BURST + 3)] == [0.0] * BURST + [DELAY_S] * 3
    assert refusals.delay_s("b") == 0
    clock.now += INTERVAL_S
    assert refusals.delay_s("a") == 0
    assert refusals.delay_s("a") == DELAY_S
    clock.now += BURST * INTERVAL_S
    assert refusals.delay_s("a") == 0


def test_so_many_wait_at_once_and_no_more():
    refusals = SlowRefusals(Clock())
    refusals._waiting = MOST
    assert not any(refusals.delay_s("a") for _ in range(BURST + 3))


@pytest.mark.parametrize(
    ("memory_mib", "connections", "most"),
    [(32, 8192, 4), (256, 8192, 32), (4096, 8192, 256), (None, 8192, 256), (None, 64, 16), (None, 1, 1)],
)
def test_fewer_wait_where_memory_or_connections_are_few(
    memory_mib: int | None, connections: int, most: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(slow_refusals, "memory_for_planning", lambda: memory_mib and memory_mib * 2**20)
    assert most_waiting(connections) == most


def test_where_nobody_set_a_limit_of_connections_the_system_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slow_refusals, "default_limit", lambda: 40)
    assert most_waiting(None) == 10


def test_the_memory_of_clients_is_bounded():
    refusals = SlowRefusals(Clock())
    for number in range(2 * KEPT):
        refusals.delay_s(str(number))
    assert len(refusals._due) == KEPT


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder: Path = tmp_path_factory.mktemp("slow")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), DANDELION_API_KEYS=ENTRY) as running:
        yield running


def ask(server: Appliance, key: str, path: str = "/predict") -> tuple[int, float]:
    began = time.monotonic()
    headers = {"x-api-key": key, "content-type": "image/jpeg"}
    answer = httpx.post(server.url + path, content=photo(), headers=headers, timeout=60)
    return answer.status_code, time.monotonic() - began


def test_guesses_become_slow_and_the_right_key_behind_the_same_address_goes_on(server: Appliance) -> None:
    assert ask(server, KEY)[0] == 200
    with ThreadPoolExecutor(4 * BURST) as guessers:
        guesses = [guessers.submit(ask, server, f"guess {number}") for number in range(4 * BURST)]
        right = [ask(server, KEY) for _ in range(5)]
    told = [guess.result() for guess in guesses]
    assert {status for status, _ in told} <= {401, 429}
    assert sum(seconds >= DELAY_S for _, seconds in told) >= 2 * BURST
    assert {status for status, _ in right} == {200}


def test_batches_of_nothing_but_broken_photos_become_slow(server: Appliance) -> None:
    def send(photos: list[bytes]) -> float:
        began = time.monotonic()
        files = [("files", ("a.jpg", data)) for data in photos]
        answer = httpx.post(server.url + "/predict/batch", files=files, headers={"x-api-key": KEY}, timeout=60)
        assert answer.status_code == 200
        return time.monotonic() - began

    assert max(send([b"no photo"] * 20) for _ in range(BURST + 1)) >= DELAY_S
    assert send([photo()] * 2) < DELAY_S


def test_what_nobody_may_do_is_slow_alike(server: Appliance) -> None:
    told = [ask(server, KEY, "/models/rollback") for _ in range(BURST + 3)]
    assert {status for status, _ in told} == {403}
    assert max(seconds for _, seconds in told) >= DELAY_S
