"""Wrong keys are slowed down; right ones, and clients at other addresses, are not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from runtime.api.security.key_check import KEPT, WrongKeys
from runtime.api.security.keys import new_key
from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

KEY, ENTRY = new_key()
ADMIN_KEY, ADMIN_ENTRY = new_key()
ALLOWED = 4


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_send_so_many_wrong_keys_in_a_row_and_in_each_minute() -> None:
    clock = Clock()
    wrong = WrongKeys(4, clock)
    for guess in "1234":
        assert wrong.wait_s("a") == 0
        wrong.count("a", guess)
    assert wrong.wait_s("a") == pytest.approx(15)
    assert wrong.wait_s("b") == 0
    clock.now += 15.001
    assert wrong.wait_s("a") == 0
    wrong.count("a", "5")
    assert wrong.wait_s("a") == pytest.approx(15, abs=0.01)
    clock.now += 61
    assert wrong.wait_s("a") == 0


def test_the_memory_of_clients_is_bounded() -> None:
    clock = Clock()
    wrong = WrongKeys(1, clock)
    for number in range(3 * KEPT):
        wrong.count(str(number), "guess")
    assert len(wrong._buckets) == KEPT
    clock.now += 120
    wrong.count("late", "guess")
    assert len(wrong._buckets) == 1


def test_a_client_with_an_old_key_guesses_once() -> None:
    wrong = WrongKeys(2, Clock())
    wrong.count("a", "old")
    assert wrong.was_last("a", "old")
    assert not wrong.was_last("a", "new")
    assert not wrong.was_last("b", "old")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Appliance]:
    keys = {"DANDELION_API_KEYS": ENTRY, "DANDELION_ADMIN_KEYS": ADMIN_ENTRY}
    bundle = str(write_bundle(tmp_path / "v7"))
    with appliance(tmp_path, "--bundle", bundle, DANDELION_WRONG_KEYS=str(ALLOWED), **keys) as running:
        yield running


def ask(server: Appliance, key: str, *, address: str = "127.0.0.1", path: str = "/predict") -> httpx.Response:
    headers = {"x-api-key": key, "content-type": "image/jpeg"}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=60) as client:
        return client.post(server.url + path, content=photo(), headers=headers)


def test_after_a_few_wrong_keys_a_client_must_wait_and_no_other_does(server: Appliance) -> None:
    assert ask(server, KEY, address="127.0.0.2").status_code == 200
    answers = [ask(server, f"guess-{number}") for number in range(ALLOWED + 3)]
    assert [answer.status_code for answer in answers] == [401] * ALLOWED + [429] * 3
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60 / ALLOWED
    assert "too many wrong keys" in answers[-1].json()["detail"]
    assert metric(server, "dandelion_rejections_total", reason="wrong_keys") == 3
    assert ask(server, KEY, address="127.0.0.2").status_code == 200
    assert ask(server, KEY, address="127.0.0.3").status_code == 200


def test_a_right_guess_is_told_from_wrong_ones_no_sooner(server: Appliance) -> None:
    for number in range(ALLOWED):
        ask(server, f"guess-{number}")
    for path in ("/predict", "/models/rollback", "/predict/batch"):
        assert ask(server, ADMIN_KEY, path=path).status_code == 429
    assert ask(server, KEY).status_code == 429
    health = httpx.get(server.url + "/health", headers={"x-api-key": KEY})
    assert health.status_code == 200


def test_a_key_that_was_right_before_goes_on_working_beside_a_guesser(server: Appliance) -> None:
    assert ask(server, KEY).status_code == 200
    for number in range(ALLOWED + 1):
        ask(server, f"guess-{number}")
    assert ask(server, "another").status_code == 429
    assert [ask(server, KEY).status_code for _ in range(3)] == [200] * 3


def test_a_client_that_goes_on_with_an_old_key_is_told_so_each_time(server: Appliance) -> None:
    assert {ask(server, "old").status_code for _ in range(3 * ALLOWED)} == {401}
    assert ask(server, KEY).status_code == 200


def test_whoever_sends_no_key_guesses_none(server: Appliance) -> None:
    answers = [httpx.post(server.url + "/predict", content=photo()) for _ in range(ALLOWED + 2)]
    assert {answer.status_code for answer in answers} == {401}


def test_the_wait_that_is_told_is_true(tmp_path: Path) -> None:
    keys = {"DANDELION_API_KEYS": ENTRY, "DANDELION_WRONG_KEYS": "30"}  # a minute: the wait is two seconds
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v7")), **keys) as server:
        answers = (ask(server, f"guess-{number}") for number in count())
        refused = next(answer for answer in answers if answer.status_code == 429)
        time.sleep(int(refused.headers["retry-after"]))
        assert ask(server, KEY).status_code == 200


def test_health_tells_paths_to_whoever_has_a_key_alone(tmp_path: Path) -> None:
    (tmp_path / "store/models").mkdir(parents=True)
    (tmp_path / "store/models/latest.json").write_text("no JSON")
    settings = {"DANDELION_MODELS": str(tmp_path / "store"), "DANDELION_CACHE": str(tmp_path / "cache")}
    with appliance(tmp_path, DANDELION_API_KEYS=ENTRY, **settings) as server:
        for headers in ({}, {"x-api-key": "guess"}):
            answer = httpx.get(server.url + "/health", headers=headers)
            assert answer.status_code == 200
            assert answer.json()["status"] == "degraded"
            assert answer.json()["reasons"] == ["send an API key to see why it is degraded"]
            assert str(tmp_path) not in answer.text
        reasons = httpx.get(server.url + "/health", headers={"x-api-key": KEY}).json()["reasons"]
        assert any("latest.json" in reason for reason in reasons)
