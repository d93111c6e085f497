"""kill -9 at any moment of a correction: nothing whole lost, nothing half served, nothing left over."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runtime.host.atomic import TEMPORARY
from runtime.serving.feedback.review import corrections
from runtime.serving.feedback.review_counter import ALONE_S
from runtime.store import open_store
from tests.support.appliances.corrections import send
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.suite.repeats import thorough_but
from tests.support.waiting import wait_until

SETTINGS = {"DANDELION_FEEDBACK_SHARE": "1", "DANDELION_POLL_S": "0.1"}


@contextmanager
def serving(folder: Path) -> Iterator[Appliance]:
    bundle = folder / "v1" if (folder / "v1").exists() else write_bundle(folder / "v1")
    places = {"DANDELION_DATA": str(folder / "data"), "DANDELION_CACHE": str(folder / "cache")}
    with appliance(folder, "--bundle", str(bundle), **places, **SETTINGS) as server:
        yield server


def large(seed: int) -> bytes:
    """A photo that takes a while to write."""
    return photo("grass", seed).ljust(4_000_000, b"\0")


def send_until_killed(server: Appliance, after_s: float) -> tuple[set[str], int]:
    """The ids that were answered before a kill, and the seed of the photo that was under way."""
    threading.Timer(after_s, server.process.kill).start()
    taken: set[str] = set()
    for seed in range(1000):
        try:
            taken.add(send(server, large(seed)).raise_for_status().json()["id"])
        except httpx.TransportError:
            return taken, seed
    raise AssertionError("the appliance was not killed")


@pytest.mark.parametrize("data", ["there", "away"])
@pytest.mark.parametrize("after_s", thorough_but([0.45], [0.3, 0.45, 0.6]))
def test_a_kill_costs_no_photo_that_was_answered_and_the_one_under_way_can_be_sent_again(
    after_s: float, data: str, tmp_path: Path
):
    if data == "away":
        (tmp_path / "data").touch()
    with serving(tmp_path) as server:
        taken, seed = send_until_killed(server, after_s)
    if data == "away":
        (tmp_path / "data").unlink()
    store = open_store(str(tmp_path / "data"))
    with serving(tmp_path) as server:
        taken.add(send(server, large(seed)).raise_for_status().json()["id"])
        wait_until(lambda: {one.sha256 for one in corrections(store)} == taken, "every photo is in the store")
        wait_until(lambda: not list(open_store(str(tmp_path / "cache" / "spool")).list()), "no photo waits on disk")
        for one in corrections(store):
            assert len(store.read(one.photo, max_bytes=2**30)[0]) == 4_000_000
        wait_until(lambda: not list(tmp_path.rglob(f"{TEMPORARY}*")), "no left-over")


def test_what_a_kill_left_alone_long_ago_is_gone_after_the_next_start(tmp_path: Path):
    with serving(tmp_path) as server:
        alone, whole = (send(server, photo("grass", seed)).json()["id"] for seed in range(2))
    folder = tmp_path / "data" / "feedback" / "colours" / "grass"
    (folder / f"{alone}.json").unlink()
    (folder / f"{TEMPORARY}xyz").touch()
    long_ago = time.time() - ALONE_S - 60
    os.utime(folder / f"{alone}.jpeg", (long_ago, long_ago))
    with serving(tmp_path):
        left = {f"{whole}.jpeg", f"{whole}.json"}
        wait_until(lambda: {file.name for file in folder.iterdir()} == left, "the rest is gone")
