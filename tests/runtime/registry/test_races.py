"""Two at once: appliances on one cache, a publisher and somebody who prunes on one store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.bundle.manifest import MANIFEST, MODEL, SIGNATURE
from runtime.host.atomic import TEMPORARY
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue, key_of
from runtime.registry.publish import ABANDONED_S, add, prune, publish
from runtime.registry.signature import new_keys, sign, signing_key
from runtime.store import Missing, Store, open_store
from tests.support.models.bundles import write_bundle
from tests.support.stores.contents import content


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "v1")


def at_once(*calls: Callable[[], object]) -> None:
    """Raises what any of them raises."""
    with ThreadPoolExecutor(len(calls)) as threads:
        for call in [threads.submit(call) for call in calls]:
            call.result()


@contextmanager
def downloads_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """For the length of the block, whoever fetches a file waits; the event says that somebody does."""
    arrived, go_on = threading.Event(), threading.Event()
    download = store.download

    def wait_and_download(*arguments: Any, **options: Any) -> None:
        arrived.set()
        go_on.wait()
        download(*arguments, **options)

    monkeypatch.setattr(store, "download", wait_and_download)
    try:
        yield arrived
    finally:
        go_on.set()


def test_two_appliances_bring_the_same_version_into_one_cache(store: Store, bundle: Path, tmp_path: Path):
    add(bundle, store)
    first, second = Cache(tmp_path / "cache"), Cache(tmp_path / "cache")
    for _ in range(40):
        at_once(*(lambda cache=cache: cache.pull(Catalogue(store), "v1") for cache in (first, second)))
        first.open("v1").model.write_bytes(b"rotten")
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == ["v1"]


def test_an_appliance_that_starts_leaves_alone_what_another_fetches(
    store: Store, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    add(bundle, store)
    with ThreadPoolExecutor(1) as thread, downloads_held(store, monkeypatch) as arrived:
        pulled = thread.submit(Cache(tmp_path / "cache").pull, Catalogue(store), "v1")
        arrived.wait()
        started = Cache(tmp_path / "cache")
        started.remove_abandoned()
        started.prune()
        assert started.versions() == []
        assert list((tmp_path / "cache" / "models").glob(f"{TEMPORARY}*/v1/{MANIFEST}"))
    assert pulled.result().manifest.version == "v1"
    assert started.open("v1")


def test_what_is_imported_again_is_not_taken_away_for_a_moment(bundle: Path, tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    before = cache.add(bundle).path.stat()
    assert os.path.samestat(cache.add(bundle).path.stat(), before)
    cache.open("v1").model.write_bytes(b"rotten")
    cache.add(bundle)
    private, _ = new_keys()
    (bundle / SIGNATURE).write_bytes(sign((bundle / MANIFEST).read_bytes(), signing_key(private)))
    assert (cache.add(bundle).path / SIGNATURE).read_bytes() == (bundle / SIGNATURE).read_bytes()


def test_who_prunes_leaves_alone_what_is_being_published(store: Store, bundle: Path, tmp_path: Path):
    publish(bundle, store, tag=None)
    store.upload(key_of("v2", MODEL), bundle / MODEL)
    assert prune(store, keep=1) == []
    assert content(store, key_of("v2", MODEL)) == (bundle / MODEL).read_bytes()
    long_ago = time.time() - 2 * ABANDONED_S
    os.utime(tmp_path / "store" / key_of("v2", MODEL), (long_ago, long_ago))
    assert prune(store, keep=1) == []
    assert list(store.list("models/v2/")) == []


def test_a_version_that_loses_its_files_while_it_is_published_is_published_again(
    store: Store, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    publish(bundle, store, tag=None)
    second = write_bundle(bundle.parent / "v2")
    upload = store.upload

    def upload_and_lose(key: str, file: Path) -> None:
        upload(key, file)
        store.delete(key)  # as somebody may who prunes what was left of the same version an hour ago

    with monkeypatch.context() as patch:
        patch.setattr(store, "upload", upload_and_lose)
        with pytest.raises(Missing):
            publish(second, store, tag=Catalogue(store).tag())
    latest = Catalogue(store).latest()
    assert latest
    assert latest.version == "v1"
    publish(second, store, tag=Catalogue(store).tag())
    assert content(store, key_of("v2", MODEL)) == (second / MODEL).read_bytes()


def test_a_published_version_that_is_damaged_is_made_whole_by_publishing_it_again(store: Store, bundle: Path):
    publish(bundle, store, tag=None)
    store.write(key_of("v1", MODEL), b"longer than " + (bundle / MODEL).read_bytes())
    publish(bundle, store, tag=Catalogue(store).tag())
    assert content(store, key_of("v1", MODEL)) == (bundle / MODEL).read_bytes()


def test_a_version_that_another_process_brought_meanwhile_stays_for_who_reads_it(
    store: Store, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish(bundle, store, tag=None)
    ours, theirs = Catalogue(store), Catalogue(open_store(str(tmp_path / "store")))
    read: list[int] = []
    download = store.download

    def while_another_comes_first(key: str, file: Path, *, max_bytes: int) -> None:
        if not read:
            read.append((Cache(tmp_path / "cache").pull(theirs, "v1").path / MODEL).stat().st_ino)
        download(key, file, max_bytes=max_bytes)

    monkeypatch.setattr(store, "download", while_another_comes_first)
    pulled = Cache(tmp_path / "cache").pull(ours, "v1")
    assert [(pulled.path / MODEL).stat().st_ino] == read


def test_who_writes_into_a_folder_does_not_mind_who_empties_it(store: Store, tmp_path: Path):
    (tmp_path / "file").touch()

    def come_and_go(name: str, write: Callable[[str], object]) -> None:
        for _ in range(150):
            write(f"a/b/{name}")
            store.delete(f"a/b/{name}")
            store.remove_abandoned()

    at_once(
        lambda: come_and_go("1", lambda key: store.write(key, b"")),
        lambda: come_and_go("2", lambda key: store.write(key, b"", replaces=None)),
        lambda: come_and_go("3", lambda key: store.upload(key, tmp_path / "file")),
    )
    assert list((tmp_path / "store").iterdir()) == []
