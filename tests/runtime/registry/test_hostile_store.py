"""Whatever a store holds: nothing is written outside of a cache, no more read than allowed, and the old serves on."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from runtime.bundle.manifest import MANIFEST, BundleError
from runtime.store import Store, StoreError, open_store
from tests.support.appliances.following import Followed, refusals, serving
from tests.support.hostile.versions import VERSION, Hostile, variations
from tests.support.hostile.world import GOOD, LONGEST_LINE, World
from tests.support.stores.s3 import S3Server
from tests.support.suite.repeats import thorough_but
from tests.support.waiting import wait_until
from training.data.dataset import Dataset

VARIATIONS = variations()
NAMES = (VERSION, "latest.json", MANIFEST)

# What reaches the server, and a part of what is decided before: a manifest is the same from everywhere.
OF_SERVERS = ("file", "size", "3 GB", "point", "the hash")
ON_S3 = [each for n, each in enumerate(VARIATIONS) if each.what.startswith(OF_SERVERS) or n % 5 == 0]


def name_of(hostile: Hostile) -> str:
    return re.sub(r"[^\w.+-]+", "-", hostile.what, flags=re.ASCII)[:40]


@contextmanager
def world_of(folder: Path, store: Store) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        here = World(folder, store)
        patch.setattr(tempfile, "tempdir", str(here.temporary))
        patch.setattr("runtime.cli.models.open_store", lambda _: here.store)  # one client of S3, and counted
        yield here


@pytest.fixture(scope="module")
def folder_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with world_of(folder, open_store(str(folder / "store"))) as world:
        yield world


@pytest.fixture(scope="module")
def s3_world(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_of(tmp_path_factory.mktemp("world"), s3.new_bucket("hostile")) as world:
        yield world


def check_line(text: str, world: World, *names: str) -> None:
    """One line that names the thing, and that no terminal and no log takes for more."""
    assert text.isprintable(), repr(text)
    assert len(text.replace(str(world.folder), "")) <= LONGEST_LINE, text
    assert "Traceback" not in text
    assert any(name in text for name in names), text


def check_refusal(ran: Result, world: World) -> None:
    assert ran.exit_code == 1, (ran.output, ran.exception)
    assert isinstance(ran.exception, SystemExit), repr(ran.exception)
    assert ran.stderr.count("\n") == 1, ran.stderr
    check_line(ran.stderr.removesuffix("\n"), world, *NAMES)


def test_there_are_enough_variations():
    assert len(VARIATIONS) >= 200


@pytest.mark.parametrize("hostile", thorough_but(VARIATIONS[::4], VARIATIONS), ids=name_of)
def test_a_hostile_version_in_a_folder_is_refused_by_all_who_read_it(
    folder_world: World, hostile: Hostile, dataset: Dataset, caplog: pytest.LogCaptureFixture
):
    check_all_refuse(folder_world, hostile, dataset, caplog)


@pytest.mark.parametrize("hostile", thorough_but(ON_S3[::8], ON_S3), ids=name_of)
def test_a_hostile_version_on_a_server_is_refused_by_all_who_read_it(
    s3_world: World, hostile: Hostile, dataset: Dataset, caplog: pytest.LogCaptureFixture
):
    check_all_refuse(s3_world, hostile, dataset, caplog)


def check_all_refuse(world: World, hostile: Hostile, dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    with world.holding(hostile):
        before = world.tree()
        if hostile.where != "trial":
            with pytest.raises((BundleError, StoreError)) as refused:
                world.pull()
            check_line(str(refused.value), world, *NAMES)
        with pytest.raises((BundleError, StoreError)) as refused:
            world.compare(dataset)
        check_line(str(refused.value), world, *NAMES)
        check_look(world, caplog)
        if hostile.where != "trial":
            check_refusal(world.run("pull"), world)
        if hostile.where == "version":
            check_refusal(world.run("pull", VERSION), world)
            check_refusal(world.run("promote", VERSION), world)
        assert world.tree() == before
    assert world.canary.read_text() == "good = 1\n"
    assert not list(world.temporary.iterdir())
    assert world.left_behind() == []
    assert world.exceeded == []


REAL = (
    "{outside}/settings.py",
    "3 GB where",
    "a million labels",
    "manifest lines",
    "of 700 MB",
    "pointer lines",
    "other sides",
)


def test_a_real_appliance_outlives_them_and_serves_the_next_good_one(tmp_path: Path):
    world = World(tmp_path, open_store(str(tmp_path / "store")))
    chosen = [next(each for each in VARIATIONS if what in each.what) for what in REAL]
    followed = Followed(open_store(world.store.uri), tmp_path)
    with followed.serve(from_scratch=True) as server:  # whose memory is all its own
        for hostile in chosen:
            with world.holding(hostile):
                before = refusals(server)
                wait_until(lambda before=before: refusals(server) > before, hostile.what)
                assert serving(server) == GOOD
        followed.publish("v3")
        wait_until(lambda: serving(server) == "v3")
        assert peak_bytes(server.process.pid) < 500_000_000
    log = (tmp_path / "appliance.log").read_text().splitlines()
    assert all(line.isprintable() and len(line) < 1000 for line in log), log
    assert not any("Traceback" in line for line in log)
    assert len(log) < 40
    assert world.canary.read_text() == "good = 1\n"


def peak_bytes(process: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024


def check_look(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "runtime"):
        world.reloader.poll()
    said = [record.getMessage() for record in caplog.records] + [*world.reloader.refused.values()]
    trouble = world.reloader.status.trouble
    assert trouble or world.reloader.refused
    for text in [*said, *([trouble] if trouble else [])]:
        check_line(text, world, *NAMES)
    assert not any(record.exc_info for record in caplog.records)
    assert world.loaded == [GOOD]
