"""Versions in a store and on this host: published whole, fetched whole, trusted only when proven."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest

from runtime.bundle.manifest import MANIFEST, MODEL, SIGNATURE, BundleError, UnknownMetrics, read_manifest
from runtime.registry.cache import Cache
from runtime.registry.catalogue import LATEST_CHECKPOINT, POINTER, Catalogue, key_of
from runtime.registry.pointer import Pointer
from runtime.registry.publish import point_at, prune, publish
from runtime.registry.signature import BadKey, new_keys, public_key, sign, signing_key
from runtime.registry.summary import summary_of
from runtime.store import Conflict, Missing, Store, TooLarge, open_store
from tests.support.kills.killing import Killer
from tests.support.models.bundles import change_manifest, write_bundle
from tests.support.stores.contents import MANY_BYTES, content


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "v1")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def publish_now(folder: Path, store: Store, **options: Path) -> Pointer:
    return publish(folder, store, tag=Catalogue(store).tag(), **options)


def test_a_published_version_is_pointed_at_and_can_be_fetched(store: Store, bundle: Path, cache: Cache, tmp_path: Path):
    (tmp_path / "checkpoint.pt").write_bytes(b"weights")
    pointer = publish_now(bundle, store, checkpoint=tmp_path / "checkpoint.pt")
    catalogue = Catalogue(store)
    assert catalogue.latest() == pointer
    assert pointer == Pointer("v1", hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest())
    assert catalogue.versions() == ["v1"]
    assert content(store, LATEST_CHECKPOINT) == content(store, key_of("v1", "model.pt")) == b"weights"
    fetched = cache.pull(catalogue, "v1", manifest_sha256=pointer.manifest_sha256)
    assert fetched.model.read_bytes() == (bundle / MODEL).read_bytes()


def test_publishing_twice_changes_nothing(store: Store, bundle: Path):
    publish_now(bundle, store)
    before = {entry.key: store.read(entry.key, max_bytes=MANY_BYTES) for entry in store.list()}
    publish_now(bundle, store)
    assert {entry.key: store.read(entry.key, max_bytes=MANY_BYTES) for entry in store.list()} == before


def test_a_version_is_never_replaced_by_another_of_the_same_name(store: Store, bundle: Path):
    publish_now(bundle, store)
    change_manifest(bundle, epochs=7)
    with pytest.raises(BundleError, match="holds another version v1; export this one under a new version"):
        publish_now(bundle, store)


def test_of_two_publishers_one_wins_and_the_other_says_so(store: Store, bundle: Path, tmp_path: Path):
    tag = Catalogue(store).tag()  # both look at the same moment
    publish(bundle, store, tag=tag)
    with pytest.raises(Conflict, match="another writer has changed"):
        publish(write_bundle(tmp_path / "v2"), store, tag=tag)
    winner = Catalogue(store).latest()
    assert winner
    assert winner.version == "v1"
    publish(tmp_path / "v2", store, tag=Catalogue(store).tag())  # the loser looks again
    assert Catalogue(store).versions() == ["v1", "v2"]


def test_a_damaged_bundle_is_not_published(store: Store, bundle: Path):
    (bundle / MODEL).write_bytes(b"damaged")
    with pytest.raises(BundleError, match="7 bytes, the manifest says"):
        publish_now(bundle, store)
    assert list(store.list()) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_publisher_killed_at_any_write_leaves_a_whole_model_and_can_be_run_again(
    kills: Killer, tmp_path: Path, when: str
):
    old, new, root = write_bundle(tmp_path / "v1"), write_bundle(tmp_path / "v2"), tmp_path / "store"
    store, writes = open_store(str(root)), tmp_path / "writes"
    publish_now(old, store)
    for fatal in range(1, 20):
        shutil.rmtree(root / "models" / "v2", ignore_errors=True)
        point_at(store, "v1", tag=Catalogue(store).tag())
        ran = kills.run("publish_and_die", new, root, writes, fatal, when)
        latest = Catalogue(store).latest()
        assert latest
        reader = Cache(tmp_path / f"reader-{fatal}")
        reader.pull(Catalogue(store), latest.version, manifest_sha256=latest.manifest_sha256)
        if not ran.killed:
            break
        assert publish_now(new, store, checkpoint=new / MODEL).version == "v2"
    assert 5 < fatal < 19  # file, checkpoint, manifest, pointer, checkpoint again
    assert int(writes.read_text()) == fatal - 1


def test_a_pointer_that_cannot_be_read_is_refused(store: Store):
    store.write(POINTER, b'{"version": "../../etc"}')
    with pytest.raises(BundleError, match=r"latest\.json.*publish a model again"):
        Catalogue(store).latest()


def test_a_store_of_too_many_objects_is_refused(store: Store, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    publish_now(bundle, store)
    monkeypatch.setattr("runtime.registry.catalogue.MAX_LISTED", 1)
    with pytest.raises(TooLarge, match="holds more than the 1 objects"):
        Catalogue(store).versions()


def test_without_a_pointer_there_is_none(store: Store):
    assert Catalogue(store).latest() is None
    assert Catalogue(store).tag() is None
    assert Catalogue(store).versions() == []


@pytest.mark.parametrize("damage", ["altered", "truncated", "missing", "manifest", "renamed"])
def test_a_bad_version_is_refused_and_leaves_nothing(store: Store, bundle: Path, cache: Cache, damage: str):
    pointer = publish_now(bundle, store)
    model = content(store, key_of("v1", MODEL))
    if damage == "altered":
        store.write(key_of("v1", MODEL), model[:-1] + bytes([model[-1] ^ 1]))
    elif damage == "truncated":
        store.write(key_of("v1", MODEL), model[:100])
    elif damage == "missing":
        store.delete(key_of("v1", MODEL))
    elif damage == "manifest":
        store.write(key_of("v1", MANIFEST), content(store, key_of("v1", MANIFEST)) + b" ")
    else:
        manifest = msgspec.json.decode(content(store, key_of("v1", MANIFEST)))
        store.write(key_of("v1", MANIFEST), msgspec.json.encode(manifest | {"version": "v9"}))
        pointer = Pointer("v1", hashlib.sha256(content(store, key_of("v1", MANIFEST))).hexdigest())
    with pytest.raises((BundleError, Missing)):
        cache.pull(Catalogue(store), "v1", manifest_sha256=pointer.manifest_sha256)
    assert cache.versions() == []
    assert list(cache.folder_of("v1").parent.glob("*")) == []


def test_a_good_copy_is_not_fetched_again_and_a_damaged_one_is(tmp_path: Path, bundle: Path, cache: Cache):
    store = open_store(str(tmp_path / "store"))
    publish_now(bundle, store)
    copy = cache.pull(Catalogue(store), "v1")
    stamp = copy.model.stat().st_mtime_ns
    assert cache.pull(Catalogue(store), "v1").model.stat().st_mtime_ns == stamp
    copy.model.write_bytes(b"rotten")
    with pytest.raises(BundleError):
        cache.open("v1")
    assert cache.pull(Catalogue(store), "v1").model.read_bytes() == (bundle / MODEL).read_bytes()


def test_only_what_is_signed_by_the_right_key_is_let_in(store: Store, bundle: Path, tmp_path: Path):
    private, public = new_keys()
    careful = Cache(tmp_path / "careful", public_key(public))
    publish_now(bundle, store)
    with pytest.raises(BundleError, match=r"v1: is not signed.*DANDELION_PUBLIC_KEY"):
        careful.pull(Catalogue(store), "v1")
    manifest = (bundle / MANIFEST).read_bytes()
    stranger, _ = new_keys()
    store.write(key_of("v1", SIGNATURE), sign(manifest, signing_key(stranger)))
    with pytest.raises(BundleError, match="not of the key"):
        careful.pull(Catalogue(store), "v1")
    store.write(key_of("v1", SIGNATURE), b"nonsense")
    with pytest.raises(BundleError, match="not of the key"):
        careful.pull(Catalogue(store), "v1")
    assert careful.versions() == []
    store.write(key_of("v1", SIGNATURE), sign(manifest, signing_key(private)))
    careful.pull(Catalogue(store), "v1")
    altered = careful.folder_of("v1") / MANIFEST
    altered.write_bytes(altered.read_bytes().replace(b'"seed":0', b'"seed":1').replace(b'"seed": 0', b'"seed": 1'))
    with pytest.raises(BundleError, match="not of the key"):
        careful.open("v1")


def test_a_signature_travels_with_its_bundle(store: Store, bundle: Path, tmp_path: Path):
    private, public = new_keys()
    (bundle / SIGNATURE).write_bytes(sign((bundle / MANIFEST).read_bytes(), signing_key(private)))
    publish_now(bundle, store)
    Cache(tmp_path / "careful", public_key(public)).pull(Catalogue(store), "v1")


@pytest.mark.parametrize("text", ["short", "AAAA", "!!!", ""])
def test_a_key_that_is_none_is_refused_in_one_line(text: str):
    with pytest.raises(BadKey, match=r"DANDELION_PUBLIC_KEY: .*`models keys`"):
        public_key(text)


def test_a_key_may_be_a_file(tmp_path: Path):
    _, public = new_keys()
    (tmp_path / "key.pub").write_text(public + "\n")
    assert public_key(str(tmp_path / "key.pub")) == public_key(public)


def test_old_versions_leave_the_store_but_not_those_in_use(store: Store, tmp_path: Path):
    for number in range(6):
        publish_now(write_bundle(tmp_path / f"v{number}"), store)
    point_at(store, "v1", tag=Catalogue(store).tag())
    assert prune(store, keep=2, in_use=frozenset({"v0"})) == ["v2", "v3"]
    assert Catalogue(store).versions() == ["v0", "v1", "v4", "v5"]
    assert not list(store.list("models/v2/"))


def test_old_versions_leave_the_cache_but_not_those_that_are_needed(tmp_path: Path, cache: Cache):
    for version, change in {"v0": cache.pin, "v1": cache.served, "v2": cache.served}.items():
        cache.add(write_bundle(tmp_path / version))
        change(version)
    for version in ("v3", "v4", "v5"):
        cache.add(write_bundle(tmp_path / version))
        assert cache.versions() == ["v0", "v1", "v2", version]
    with cache.using("v5"):
        assert cache.prune() == []
    assert cache.prune() == ["v5"]
    assert (cache.state.pinned, cache.state.previous, cache.state.last_good) == ("v0", "v1", "v2")


def test_a_lost_state_is_no_state(cache: Cache, tmp_path: Path):
    cache.served("v1")
    (tmp_path / "cache" / "state.json").write_text("{broken")
    assert cache.state.last_good is None


def test_a_pointer_to_a_version_that_is_not_there_is_not_written(store: Store):
    with pytest.raises(Missing):
        point_at(store, "v9", tag=None)
    assert Catalogue(store).latest() is None


def test_a_cache_that_cannot_be_written_says_so(store: Store, bundle: Path, tmp_path: Path):
    publish_now(bundle, store)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        Cache(tmp_path / "file").pull(Catalogue(store), "v1")


def test_a_summary_says_how_good_the_unknown_class_is(tmp_path: Path):
    figures = {"own_photos": 40, "own_called_unknown": 0.1, "other_photos": 9, "other_answered_with_certainty": 0.2}
    measured = write_bundle(tmp_path / "v3", unknown={"threshold": 0.5, "metrics": figures})
    unmeasured = write_bundle(tmp_path / "v2", unknown={"threshold": 0.5})
    folders = (measured, unmeasured, write_bundle(tmp_path / "v1"))
    found = [summary_of(read_manifest(folder / MANIFEST)) for folder in folders]
    assert [summary.unknown for summary in found] == [True, True, False]
    assert [summary.unknown_metrics for summary in found] == [UnknownMetrics(40, 0.1, 9, 0.2), None, None]
