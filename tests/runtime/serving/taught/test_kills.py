"""Somebody pulls the plug while a taught model is published or its photos are sent: nothing half is left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.serving.appliance import assemble
from runtime.serving.settings import Settings
from runtime.store import Store, open_store
from runtime.store.trees import read_index
from tests.support.kills.killing import Killer, killer, left_over
from tests.support.models.bundles import taught_bundle
from tests.support.photos import photo
from tests.support.stores.contents import content
from tests.support.suite.repeats import repeats, thorough_but

KILLS = repeats(20)
TREE = "products/gate/taught"


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    with killer(tmp_path_factory.mktemp("killer")) as running:
        yield running


@pytest.mark.parametrize("models", thorough_but(["models"], ["models", ""]))
def test_a_publication_that_is_killed_leaves_the_old_model_or_the_new(kills: Killer, tmp_path: Path, models: str):
    bundles = [taught_bundle(tmp_path / f"v{number}") for number in range(3)]
    cache, uri = tmp_path / "cache", models and str(tmp_path / models)
    store = open_store(uri or str(cache / "store"))

    def order(number: int) -> tuple[object, ...]:
        return "offer", cache, bundles[number % 3], uri

    def look(_: int) -> None:
        check_whole(store, Cache(cache))

    kills.kill_often(KILLS, order, look)
    assert not kills.run("offer", cache, bundles[0], uri).killed
    appliance = assemble(Settings(threads=1, workers=1, cache=cache, models=uri or None))
    appliance.stop()
    assert appliance.engine.model.name.version == "v0"
    store.remove_abandoned("models/")
    assert left_over(tmp_path) == []


def check_whole(store: Store, cache: Cache) -> None:
    """What the store points at and what the cache lists are whole."""
    catalogue = Catalogue(store)
    if latest := catalogue.latest():
        for name, entry in catalogue.manifest(latest.version, sha256=latest.manifest_sha256)[1].files.items():
            key = f"models/{latest.version}/{name}"
            assert hashlib.sha256(content(store, key)).hexdigest() == entry.sha256
    for version in cache.versions():
        cache.open(version)


def test_photos_whose_sending_is_killed_are_sent_by_the_next_to_the_same_tree(kills: Killer, tmp_path: Path):
    data, folder = str(tmp_path / "data"), tmp_path / "photos"
    folder.mkdir()
    store = open_store(data)

    def order(number: int) -> tuple[object, ...]:
        for file in sorted(folder.iterdir())[:4]:
            file.unlink()
        for seed in range(8 * number, 8 * number + 8):
            made = photo("grass", seed)
            (folder / hashlib.sha256(made).hexdigest()).write_bytes(made)
        return "send_taught", data, folder

    def look(_: int) -> None:
        if index := read_index(store, TREE):
            for path, digest in index.files.items():
                assert hashlib.sha256(content(store, f"{TREE}/{path}")).hexdigest() == digest

    kills.kill_often(KILLS, order, look)
    assert not kills.run("send_taught", data, folder).killed
    kept = {entry.key for entry in store.list(f"{TREE}/")}
    assert kept == {f"{TREE}/index.json", *(f"{TREE}/open/{file.name}.jpeg" for file in folder.iterdir())}
