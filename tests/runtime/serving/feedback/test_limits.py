"""Corrected photos that wait for review are bounded: in all, and for each client."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from runtime.serving.feedback.review import review
from runtime.store import Store, open_store
from tests.support.appliances.corrections import send
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.stores.s3 import S3Server
from tests.support.suite.repeats import repeats, thorough_but
from tests.support.waiting import wait_until

MB = 1_000_000
LARGE = 20 * MB
QUICK = {"DANDELION_POLL_S": "0.1"}


class World(NamedTuple):
    """A data store, and how to start an appliance that keeps corrections there."""

    store: Store
    serve: Callable[..., AbstractContextManager[Appliance]]


@pytest.fixture(params=thorough_but(["folder"], ["folder", "s3"]))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    environment = {"DANDELION_CACHE": str(tmp_path / "cache")}
    if request.param == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        store = s3.new_bucket(re.sub(r"[^a-z0-9]+", "-", tmp_path.name.lower()).strip("-"))
        environment |= s3.environment
    else:
        store = open_store(str(tmp_path / "data"))
    bundle = write_bundle(tmp_path / "v1")

    def serve(**settings: str) -> AbstractContextManager[Appliance]:
        return appliance(tmp_path, "--bundle", str(bundle), DANDELION_DATA=store.uri, **environment, **settings)

    return World(store, serve)


def large(seed: int) -> bytes:
    """A photo of 20 MB that decodes, and differs from the others at its end."""
    return photo().ljust(LARGE - 100, b"\0") + b"%0100d" % seed


def kept(store: Store) -> list[int]:
    """The sizes of the photos that the store holds."""
    return [entry.size_bytes for entry in store.list("feedback/") if not entry.key.endswith(".json")]


def metric(server: Appliance, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", httpx.get(server.url + "/metrics").text, re.MULTILINE)
    assert found, sample
    return float(found[1])


PHOTOS = repeats(60)


def outcome(server: Appliance, name: str) -> float:
    return metric(server, f'dandelion_feedback_total{{outcome="{name}"}}')


def test_many_photos_of_20_mb_from_one_client_end_at_its_share(world: World):
    with world.serve() as server:
        answers = [send(server, large(seed)) for seed in range(PHOTOS)]
        assert Counter(answer.status_code for answer in answers) == {202: 6, 429: PHOTOS - 6}
        assert sum(kept(world.store)) == 6 * LARGE < 0.25 * 512 * 2**20
        refused = answers[-1]
        assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
        assert "6 corrected photos (114.4 MiB) came from your address within a day" in refused.json()["detail"]
        assert send(server, large(0)).status_code == 202  # is there already
        assert send(server, photo(), address="127.0.0.2").status_code == 202
        assert (outcome(server, "client_limit"), outcome(server, "full"), outcome(server, "stored")) == (
            PHOTOS - 6,
            0,
            8,
        )


def test_the_photos_of_many_clients_end_at_the_limit_of_all(world: World):
    with world.serve(DANDELION_FEEDBACK_MB="64") as server:
        answers = [send(server, large(seed), address=f"127.0.0.{seed + 1}") for seed in range(6)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 503, 503, 503]
        refused = answers[-1]
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["detail"].startswith("3 corrected photos (57.2 MiB) wait for review")
        assert "python -m training feedback page" in refused.json()["detail"]
        assert kept(world.store) == [LARGE] * 3
        assert outcome(server, "full") == 3
        assert metric(server, "dandelion_feedback_waiting_photos") == 3
        assert metric(server, "dandelion_feedback_waiting_bytes") == 3 * LARGE


def test_what_was_reviewed_waits_no_longer_and_what_is_there_is_always_taken(world: World):
    first, second, third, fourth = (photo("grass", seed) for seed in range(4))
    with world.serve(DANDELION_FEEDBACK_PHOTOS="2", DANDELION_FEEDBACK_SHARE="1", **QUICK) as server:
        assert [send(server, one).status_code for one in (first, second, first, third)] == [202, 202, 202, 503]
        review(world.store, send(server, first).json()["id"], "rejected")
        wait_until(lambda: send(server, third).status_code == 202, "there is room again")
        assert send(server, fourth).status_code == 503
        assert [send(server, one).status_code for one in (first, second, third)] == [202, 202, 202]
        assert len(kept(world.store)) == 3


def test_an_appliance_that_starts_knows_from_its_first_request_on_what_waits(world: World):
    settings = {"DANDELION_FEEDBACK_PHOTOS": "2", "DANDELION_FEEDBACK_SHARE": "1"}
    with world.serve(**settings) as server:
        assert [send(server, photo("grass", seed)).status_code for seed in range(2)] == [202, 202]
    with world.serve(**settings) as server:
        assert send(server, photo("grass", 2)).status_code == 503
        assert send(server, photo("grass", 1)).status_code == 202
        assert metric(server, "dandelion_feedback_waiting_photos") == 2


def test_requests_that_come_at_once_do_not_pass_the_limit_together(world: World):
    with world.serve(DANDELION_FEEDBACK_PHOTOS="5", DANDELION_FEEDBACK_SHARE="1", **QUICK) as server:
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda seed: send(server, photo("grass", seed % 12)), range(24)))
        taken = {answer.json()["id"] for answer in answers if answer.status_code == 202}
        assert {answer.status_code for answer in answers} == {202, 503}
        assert len(taken) == len(kept(world.store)) == 5


@pytest.fixture
def away(tmp_path: Path) -> Callable[[], AbstractContextManager[Appliance]]:
    """Starts an appliance of at most two corrections, in place of whose store there is a file."""
    bundle = write_bundle(tmp_path / "v1")
    (tmp_path / "data").touch()
    settings = {
        "DANDELION_DATA": str(tmp_path / "data"),
        "DANDELION_CACHE": str(tmp_path / "cache"),
        "DANDELION_FEEDBACK_PHOTOS": "2",
        "DANDELION_FEEDBACK_SHARE": "1",
    }
    return lambda: appliance(tmp_path, "--bundle", str(bundle), **settings, **QUICK)


def test_while_the_store_is_away_the_disk_takes_no_more_even_after_a_restart(
    away: Callable[[], AbstractContextManager[Appliance]],
):
    with away() as server:
        assert [send(server, photo("grass", seed)).status_code for seed in range(3)] == [202, 202, 503]
        assert outcome(server, "spooled") == 2
    with away() as server:
        assert send(server, photo("grass", 2)).status_code == 503
        assert send(server, photo("grass", 0)).json()["stored"] == "spool"


def test_a_broken_photo_takes_neither_room_nor_share(tmp_path: Path):
    bundle = str(write_bundle(tmp_path / "v1"))
    settings = {"DANDELION_DATA": str(tmp_path / "data"), "DANDELION_FEEDBACK_PHOTOS": "1"}
    with appliance(tmp_path, "--bundle", bundle, **settings) as server:
        assert [send(server, photo("grass", seed)[:-400]).status_code for seed in range(3)] == [422, 422, 422]
        assert send(server, photo()).status_code == 202
        assert send(server, photo()[:-400]).status_code == 503  # without decoding it
