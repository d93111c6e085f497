"""Models and photos on which somebody pulls the plug: nothing whole is lost, nothing half is served, nothing stays."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import runtime.store.s3
from runtime.bundle.manifest import MANIFEST, Bundle
from runtime.host.atomic import TEMPORARY
from runtime.registry import archive
from runtime.registry.cache import Cache
from runtime.registry.catalogue import LATEST_CHECKPOINT, MODELS, Catalogue, key_of
from runtime.registry.publish import ABANDONED_S, add, prune, publish
from runtime.serving.appliance import assemble
from runtime.serving.settings import Settings
from runtime.store import Store, open_store
from tests.support.kills.killed import keep, send
from tests.support.kills.killing import Killer, killer, left_over
from tests.support.models.bundles import heavy_bundle, write_bundle
from tests.support.stores.contents import content
from tests.support.stores.s3 import S3Server
from tests.support.suite.repeats import repeats

KILLS, KILLS_ON_A_SERVER = repeats(50), repeats(10)
LIGHT, HEAVY = 2**21, 9 * 2**20  # bytes; a heavy one is sent to a server in parts


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return [heavy_bundle(folder / f"v{number}", LIGHT) for number in range(4)]


@pytest.fixture(scope="module")
def kills_on_s3(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[Killer]:
    with killer(tmp_path_factory.mktemp("killer"), **s3.environment) as running:
        yield running


def next_of(number: int) -> int:
    """One of three versions, never the one before: v0 is there all the time."""
    return 1 + number % 3


def check_store(store: Store) -> list[str]:
    """What a store lists and what it points at is whole; returns what it lists."""
    catalogue = Catalogue(store)
    versions, latest = catalogue.versions(), catalogue.latest()
    assert latest
    assert latest.version in versions
    catalogue.manifest(latest.version, sha256=latest.manifest_sha256)
    for version in versions:
        for name, entry in catalogue.manifest(version)[1].files.items():
            assert hashlib.sha256(content(store, key_of(version, name))).hexdigest() == entry.sha256
    return versions


def check_cache(cache: Cache) -> list[str]:
    """What a cache lists is whole, and so is what it remembers; returns what it lists."""
    versions = cache.versions()
    for version in versions:
        cache.open(version)
    state = cache.state
    assert {state.last_good, state.pinned} - {None} <= {*versions}
    return versions


def pull_often(kills: Killer, times: int, store: Store, cache: Cache) -> None:
    folder = cache.folder_of("v0").parents[1]

    def look(number: int) -> None:
        assert "v0" in check_cache(cache)
        assert cache.state.last_good == "v0"
        cache.remove_abandoned()
        assert left_over(folder, kills.scratch) == []
        assert {path.name for path in folder.iterdir()} == {"models", "state.json"}
        assert sorted(path.name for path in (folder / "models").iterdir()) == check_cache(cache)

    cache.pull(Catalogue(store), "v0")
    cache.served("v0")
    order = ("command", "models", "pull", "--models", store.uri, "--cache", folder)
    kills.kill_often(times, lambda number: (*order, f"v{next_of(number)}"), look)
    kills.run(*order, "v1")
    assert {"v0", "v1"} <= {*check_cache(cache)}
    assert list(kills.scratch.iterdir()) == []


def test_a_pull_that_is_killed_leaves_whole_versions_and_nothing_else(
    kills: Killer, bundles: list[Path], tmp_path: Path
):
    store = open_store(str(tmp_path / "store"))
    for bundle in bundles:
        add(bundle, store)
    pull_often(kills, KILLS, store, Cache(tmp_path / "cache"))


@pytest.mark.thorough
def test_a_pull_from_a_server_that_is_killed_leaves_whole_versions_and_nothing_else(
    kills_on_s3: Killer, bundles: list[Path], tmp_path: Path, s3: S3Server
):
    store = s3.new_bucket("pull-killed")
    for bundle in bundles:
        add(bundle, store)
    pull_often(kills_on_s3, KILLS_ON_A_SERVER, store, Cache(tmp_path / "cache"))


def publish_often(kills: Killer, times: int, store: Store, bundles: list[Path]) -> None:
    """Every other version that was interrupted is published again, the rest is left to grow old and pruned."""
    checkpoints = [(bundle / MANIFEST).read_bytes() for bundle in bundles]

    def order(number: int) -> tuple[object, ...]:
        bundle = bundles[next_of(number)]
        return "command", "models", "publish", "--models", store.uri, "--checkpoint", bundle / MANIFEST, bundle

    def look(number: int) -> None:
        bundle = bundles[next_of(number)]
        assert "v0" in check_store(store)
        assert content(store, LATEST_CHECKPOINT) in checkpoints
        assert list(kills.scratch.iterdir()) == []
        if number % 2:
            publish(bundle, store, checkpoint=bundle / MANIFEST, tag=Catalogue(store).tag())
            assert bundle.name in check_store(store)
        else:
            make_old(store)
        prune(store, keep=0, in_use=frozenset({"v0"}))
        listed = {"latest", "latest.json", *check_store(store)}
        assert {entry.key.split("/")[1] for entry in store.list(f"{MODELS}/")} == listed

    publish(bundles[0], store, checkpoint=bundles[0] / MANIFEST, tag=None)
    kills.kill_often(times, order, look)


def make_old(store: Store) -> None:
    """As if all in a folder had been written two hours ago; a server does not let itself be told so."""
    for file in Path(store.uri).rglob("*"):
        then = time.time() - 2 * ABANDONED_S
        os.utime(file, (then, then))


def test_a_publication_that_is_killed_leaves_whole_versions_and_nothing_else(
    kills: Killer, bundles: list[Path], tmp_path: Path
):
    store = open_store(str(tmp_path / "store"))
    publish_often(kills, KILLS, store, bundles)
    assert left_over(tmp_path) == []


@pytest.mark.thorough
def test_a_publication_to_a_server_that_is_killed_leaves_whole_versions_and_nothing_else(
    kills_on_s3: Killer, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("runtime.registry.publish.ABANDONED_S", -60)
    monkeypatch.setattr(runtime.store.s3, "ABANDONED_S", -60)
    store = s3.new_bucket("publish-killed")
    bundles = [heavy_bundle(tmp_path / f"v{number}", HEAVY) for number in range(4)]
    publish_often(kills_on_s3, KILLS_ON_A_SERVER, store, bundles)
    assert store.remove_abandoned() == 0


def test_an_import_that_is_killed_leaves_whole_versions_and_nothing_else(
    kills: Killer, bundles: list[Path], tmp_path: Path
):
    cache = Cache(tmp_path / "cache")
    files = [tmp_path / f"{bundle.name}.bundle" for bundle in bundles]
    for bundle, file in zip(bundles, files, strict=True):
        archive.pack(Bundle.open(bundle), file)

    def look(number: int) -> None:
        assert "v0" in check_cache(cache)
        assert cache.state.pinned
        cache.remove_abandoned()
        assert left_over(tmp_path / "cache") == []
        assert list(kills.scratch.iterdir()) == []
        assert {path.name for path in (tmp_path / "cache").iterdir()} == {"models", "state.json"}

    cache.add(bundles[0])
    cache.served("v0")
    cache.pin("v0")
    order = ("command", "models", "import", "--cache", tmp_path / "cache")
    kills.kill_often(KILLS, lambda number: (*order, files[next_of(number)]), look)
    kills.run(*order, files[2])
    assert cache.state.pinned == "v2"
    assert {"v0", "v2"} <= {*check_cache(cache)}


def test_a_pruning_that_is_killed_leaves_whole_versions_and_is_finished_by_the_next(kills: Killer, tmp_path: Path):
    full, store = tmp_path / "full", open_store(str(tmp_path / "store"))
    for number in range(12):
        bundle = write_bundle(tmp_path / "bundles" / f"v{number:02}")
        publish(bundle, open_store(str(full)), tag=Catalogue(open_store(str(full))).tag())
    make_old(open_store(str(full)))

    def order(number: int) -> tuple[object, ...]:
        shutil.rmtree(store.uri, ignore_errors=True)
        shutil.copytree(full, store.uri)
        return "command", "models", "prune", "--models", store.uri, "--keep", 2

    def look(number: int) -> None:
        assert {"v09", "v10", "v11"} <= {*check_store(store)}
        prune(store, keep=2)
        assert check_store(store) == ["v09", "v10", "v11"]
        assert {path.name for path in Path(store.uri, MODELS).iterdir()} == {"latest.json", "v09", "v10", "v11"}

    kills.kill_often(KILLS, order, look)


def test_an_appliance_that_starts_cleans_up_after_one_that_was_killed(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "models", tmp_path / "spool" / "feedback" / "grass"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{TEMPORARY}file").touch()
        (folder / f"{TEMPORARY}folder" / "v1").mkdir(parents=True)
    assemble(Settings(threads=1, workers=1, cache=tmp_path)).stop()
    assert left_over(tmp_path) == []


def check_photos(store: Store, photos: dict[str, bytes]) -> set[str]:
    """What a store keeps of photos is whole, and none has a record alone; returns those that have one."""
    kept = {entry.key.split("/")[-1] for entry in store.list("feedback/dandelion-classifier/grass/")}
    described = {name.removesuffix(".json") for name in kept if name.endswith(".json")}
    for name in kept - {f"{digest}.json" for digest in described}:
        assert content(store, f"feedback/dandelion-classifier/grass/{name}") == photos[name.removesuffix(".jpeg")]
    assert {f"{digest}.jpeg" for digest in described} <= kept
    return described


def new_photo(folder: Path, photos: dict[str, bytes]) -> Path:
    data = os.urandom(2**17)
    photos[hashlib.sha256(data).hexdigest()] = data
    (folder / "photo").write_bytes(data)
    return folder / "photo"


@pytest.mark.parametrize("place", ["store", "spool"])
def test_a_correction_that_is_killed_is_whole_or_sent_again(kills: Killer, tmp_path: Path, place: str):
    kept, photos = open_store(str(tmp_path / place)), dict[str, bytes]()
    places = (tmp_path / "store", tmp_path / "spool")
    if place == "spool":
        places[0].touch()  # a file where the store should be

    def order(number: int) -> tuple[object, ...]:
        return "keep", *places, new_photo(tmp_path, photos)

    def look(number: int) -> None:
        assert {*photos} - check_photos(kept, photos) <= {[*photos][-1]}
        kept.remove_abandoned("feedback/")
        assert left_over(tmp_path) == []
        keep(*places, tmp_path / "photo")
        assert {*photos} == check_photos(kept, photos)

    kills.kill_often(KILLS, order, look)


def test_spooled_corrections_whose_sending_is_killed_are_here_or_there(kills: Killer, tmp_path: Path):
    photos = dict[str, bytes]()
    store, spool = open_store(str(tmp_path / "store")), open_store(str(tmp_path / "spool"))
    (tmp_path / "away").touch()

    def order(number: int) -> tuple[object, ...]:
        for _ in range(2):
            keep(tmp_path / "away", tmp_path / "spool", new_photo(tmp_path, photos))
        return "send", tmp_path / "store", tmp_path / "spool"

    def look(number: int) -> None:
        sent = check_photos(store, photos)
        assert {*photos} - sent <= {entry.key.split("/")[-1].split(".")[0] for entry in spool.list()}
        store.remove_abandoned("feedback/")
        spool.remove_abandoned()
        assert left_over(tmp_path) == []
        send(tmp_path / "store", tmp_path / "spool")
        assert {*photos} == check_photos(store, photos)
        assert list(spool.list()) == []

    kills.kill_often(KILLS, order, look)
