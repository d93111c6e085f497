"""A taught bundle becomes a version that serves: with a store, with one that does not take it, and without one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from runtime.__main__ import main
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, BundleError, describe_file, read_manifest
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.registry.signature import new_keys, signing_key
from runtime.serving.appliance import Appliance, open_reloader
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.taught.publisher import OneBundle, Publisher
from runtime.serving.versions.disk import DiskRefused
from runtime.serving.versions.reloader import Reloader
from runtime.store import Conflict, Denied, Store, open_store
from runtime.store.folder import FolderStore
from tests.runtime.serving.conftest import Start
from tests.support.models.bundles import change_manifest, taught_bundle, write_bundle
from tests.support.suite.system_packages import needs_root
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[4]
SHIPPED = default_bundle().name


def serving(appliance: Appliance) -> str:
    return appliance.engine.model.name.version


def reloader_of(appliance: Appliance) -> Reloader:
    assert appliance.reloader
    return appliance.reloader


def latest(store: Store) -> str | None:
    pointer = Catalogue(store).latest()
    return pointer.version if pointer else None


def test_without_a_store_it_serves_at_once_stays_after_a_restart_and_one_can_go_back(start: Start, tmp_path: Path):
    appliance = start()
    assert serving(appliance) == SHIPPED
    offered = appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.version, offered.where, offered.pinned) == ("v1", "cache", False)
    assert serving(appliance) == "v1"
    reloader_of(appliance).roll_back()
    assert serving(appliance) == SHIPPED
    appliance.stop()

    again = start()
    assert serving(again) == SHIPPED, "it is pinned"
    reloader_of(again).pin(None)
    wait_until(lambda: serving(again) == "v1", "what the local store points at serves")
    again.stop()
    assert serving(start()) == "v1"


def test_without_a_store_what_is_loaded_stays(start: Start, tmp_path: Path):
    appliance = start()
    for version in ("v1", "v2"):
        appliance.publisher.offer(taught_bundle(tmp_path / version))
    reloader = reloader_of(appliance)
    for version in ("v1", SHIPPED, "v2"):
        reloader.load(version)
        reloader.poll()
        assert serving(appliance) == version
    assert Catalogue(open_store(str(tmp_path / "cache/store"))).versions() == [SHIPPED, "v1", "v2"]


@pytest.mark.thorough
def test_of_many_the_oldest_go_but_for_those_one_can_go_back_to(start: Start, tmp_path: Path):
    appliance = start()
    for number in range(10):
        appliance.publisher.offer(taught_bundle(tmp_path / f"v{number}"))
    kept = Catalogue(reloader_of(appliance).catalogue.store).versions()
    assert kept == [SHIPPED, *(f"v{number}" for number in range(3, 10))]


def test_it_is_published_and_other_appliances_take_it(start: Start, tmp_path: Path):
    store = open_store(str(tmp_path / "models"))
    ours, theirs = start("ours", models=store.uri), start("theirs", models=store.uri)
    offered = ours.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.where, offered.pinned, serving(ours)) == ("store", False, "v1")
    wait_until(lambda: serving(theirs) == "v1", "the other appliance follows")
    assert Catalogue(store).versions() == [SHIPPED, "v1"], "the shipped one is there to go back to"
    assert ours.publisher.offer(tmp_path / "v1") == offered, "a second click changes nothing"


def test_where_another_version_is_pinned_the_taught_one_takes_its_place(start: Start, tmp_path: Path):
    store = open_store(str(tmp_path / "models"))
    publish(write_bundle(tmp_path / "v0"), store)
    appliance = start(models=store.uri)
    reloader_of(appliance).pin("v0")
    offered = appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.where, offered.pinned, serving(appliance)) == ("store", True, "v1")
    assert "it is pinned here, as the version before it was" in offered.detail
    assert reloader_of(appliance).cache.state.pinned == "v1"


def test_an_appliance_of_one_bundle_refuses_it_and_says_why(start: Start, tmp_path: Path):
    appliance = start(bundle=write_bundle(tmp_path / "v0"))
    with pytest.raises(OneBundle, match="DANDELION_BUNDLE names the one model that serves here; unset it"):
        appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert serving(appliance) == "v0"


class ReadOnly(FolderStore):
    """A store that lets this appliance read."""

    def write(self, key: str, _: bytes, **__: Any) -> str:
        raise denied(key)

    def upload(self, key: str, _: Path) -> None:
        raise denied(key)


def denied(key: str) -> Denied:
    return Denied(f"{key}: the server refused (AccessDenied); check MINIO_ACCESS_KEY")


def test_a_store_that_may_not_be_written_does_not_keep_it_from_serving_here(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish(write_bundle(tmp_path / "v0"), open_store(str(tmp_path / "models")))
    monkeypatch.setattr("runtime.serving.appliance.open_store", lambda uri: ReadOnly(Path(uri)))
    appliance = start(models=str(tmp_path / "models"))
    offered = appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.where, offered.pinned, serving(appliance)) == ("cache", True, "v1")
    assert "on this host alone, pinned: the store did not take it" in offered.detail
    assert "AccessDenied" in offered.detail
    assert "docs/teach.md says what its key must be allowed to do" in offered.detail
    assert f"python -m runtime models publish {tmp_path}/cache/models/v1" in offered.detail
    for version in ("v2", "v3", "v4"):
        appliance.publisher.offer(taught_bundle(tmp_path / version))
    assert reloader_of(appliance).cache.versions() == ["v1", "v2", "v3", "v4"], "what is nowhere else stays"
    appliance.stop()
    again = start(models=str(tmp_path / "models"))
    assert serving(again) == "v4"
    reloader_of(again).load("v1")
    reloader_of(again).load(SHIPPED)
    reloader_of(again).pin(None)
    wait_until(lambda: serving(again) == "v0", "the store is followed again")


def test_a_store_that_is_away_does_not_keep_it_from_serving_here(start: Start, tmp_path: Path):
    (tmp_path / "models").touch()  # a file where the store should be
    appliance = start(models=str(tmp_path / "models"))
    offered = appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.where, serving(appliance)) == ("cache", "v1")
    assert "the store did not take it" in offered.detail


def test_a_model_of_another_name_serves_here_where_names_are_limited_and_the_store_goes_on(
    start: Start, tmp_path: Path
):
    store = open_store(str(tmp_path / "models"))
    publish(write_bundle(tmp_path / "v0"), store)
    appliance = start(models=store.uri, model_names=frozenset({"colours"}))
    offered = appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.where, offered.pinned, serving(appliance)) == ("cache", True, "v1")
    assert "DANDELION_MODEL_NAMES does not list gate; for others, where that does: python -m runtime models pro" in (
        offered.detail
    )
    assert latest(store) == "v0"
    assert Catalogue(store).versions() == ["v0", "v1"]


def test_one_that_fails_its_trial_is_published_nowhere_and_the_old_one_serves_on(start: Start, tmp_path: Path):
    store = open_store(str(tmp_path / "models"))
    publish(write_bundle(tmp_path / "v0"), store)
    appliance = start(models=store.uri)
    case = {"pattern": "noise", "seed": 0, "probabilities": [0.0, 1.0], "int8": [0.0, 1.0]}
    change_manifest(taught_bundle(tmp_path / "v1"), golden=[case | {"int8": [1.0, 0.0]}, case])
    with pytest.raises(BundleError, match="golden"):
        appliance.publisher.offer(tmp_path / "v1")
    assert (serving(appliance), latest(store)) == ("v0", "v0")
    assert Catalogue(store).versions() == ["v0"]


def test_of_two_who_publish_at_once_the_second_is_told_and_follows_the_first(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = open_store(str(tmp_path / "models"))
    publish(write_bundle(tmp_path / "v0"), store)
    appliance = start(models=store.uri, poll_s=3600)
    ask = Catalogue.tag

    def overtaken(catalogue: Catalogue) -> str | None:
        tag = ask(catalogue)
        publish(write_bundle(tmp_path / "v2"), store, tag=tag)
        return tag

    monkeypatch.setattr(Catalogue, "tag", overtaken)
    with pytest.raises(Conflict, match="another writer"):
        appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    wait_until(lambda: serving(appliance) == latest(store) == "v2", "what the other has published serves")
    assert reloader_of(appliance).cache.state.pinned is None


def test_while_a_slow_store_takes_it_it_serves_already(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish(write_bundle(tmp_path / "v0"), open_store(str(tmp_path / "models")))
    going_on = threading.Event()

    class Slow(FolderStore):
        def upload(self, key: str, file: Path) -> None:
            assert going_on.wait(60)
            super().upload(key, file)

    monkeypatch.setattr("runtime.serving.appliance.open_store", lambda uri: Slow(Path(uri)))
    appliance = start(models=str(tmp_path / "models"))
    with ThreadPoolExecutor(1) as pool:
        offering = pool.submit(appliance.publisher.offer, taught_bundle(tmp_path / "v1"))
        wait_until(lambda: serving(appliance) == "v1", "it serves")
        reloader_of(appliance).poll()
        assert serving(appliance) == "v1", "what the store points at does not undo it"
        going_on.set()
        assert offering.result().pinned is False
    reloader_of(appliance).poll()
    assert (serving(appliance), reloader_of(appliance).cache.state.pinned) == ("v1", None)


def test_two_people_who_click_at_once_are_served_one_after_the_other(start: Start, tmp_path: Path):
    appliance = start(models=str(tmp_path / "models"))
    folders = [taught_bundle(tmp_path / version) for version in ("v1", "v2")]
    together = threading.Barrier(2)

    def offer(folder: Path) -> str:
        together.wait()
        return appliance.publisher.offer(folder).where

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(offer, folders)] == ["store", "store"]
    assert serving(appliance) == latest(open_store(str(tmp_path / "models")))


@pytest.mark.parametrize("method", ["add", "pin"])
def test_a_full_disk_is_said_and_the_old_one_serves_on(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
):
    (tmp_path / "models").touch()
    appliance = start(models=str(tmp_path / "models"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "state.json")

    monkeypatch.setattr(Cache, method, full)
    with pytest.raises(DiskRefused, match=r"state\.json: No space left on device; make room for DANDELION_CACHE"):
        appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert serving(appliance) == SHIPPED
    assert reloader_of(appliance).cache.state.pinned is None


@needs_root
def test_on_a_disk_that_is_full_nothing_is_published_and_nothing_is_left(tmp_path: Path):
    folder = taught_bundle(tmp_path / "v1")
    files = msgspec.to_builtins(read_manifest(folder / MANIFEST).files)
    (folder / "ballast.bin").write_bytes(os.urandom(2**20))
    change_manifest(folder, files=files | {"ballast.bin": msgspec.to_builtins(describe_file(folder / "ballast.bin"))})
    cache, models = tmp_path / "cache", tmp_path / "models"
    cache.mkdir()
    offering = f"from tests.support.kills.killed import offer; offer({str(cache)!r}, {str(folder)!r}, {str(models)!r})"
    script = 'mount -t tmpfs -o size=256k tmpfs "$1"; "$2" -c "$3"; find "$1" -type f'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(cache), sys.executable, offering]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "DiskRefused" in last, done.stderr
    assert "No space left on device; make room for DANDELION_CACHE" in last
    assert (done.stdout, models.exists()) == ("", False)


def test_a_command_publishes_and_the_running_appliance_takes_it(start: Start, tmp_path: Path):
    appliance = start()
    settings = Settings(threads=1, workers=1, cache=tmp_path / "cache")
    command = Publisher(open_reloader(settings, Metrics()))
    assert command.offer(taught_bundle(tmp_path / "v1"), serve=False).where == "cache"
    wait_until(lambda: serving(appliance) == "v1", "the appliance looks at its own store")


def test_what_a_command_pins_the_running_appliance_serves(start: Start, tmp_path: Path):
    (tmp_path / "models").touch()
    appliance = start(models=str(tmp_path / "models"))
    settings = Settings(threads=1, workers=1, cache=tmp_path / "cache", models=str(tmp_path / "models"))
    assert Publisher(open_reloader(settings, Metrics())).offer(taught_bundle(tmp_path / "v1"), serve=False).pinned
    wait_until(lambda: serving(appliance) == "v1", "the appliance looks at what is pinned")


def test_what_is_pinned_and_broken_is_said_and_the_old_one_serves_on(start: Start, tmp_path: Path):
    appliance = start()
    reloader = reloader_of(appliance)
    reloader.cache.add(taught_bundle(tmp_path / "v1"))
    (reloader.cache.folder_of("v1") / "model.onnx").write_bytes(b"rotten")
    Cache(tmp_path / "cache").pin("v1")
    wait_until(lambda: any("v1 was refused" in trouble for trouble in appliance.troubles()))
    assert serving(appliance) == SHIPPED


def test_a_host_signs_what_it_taught_and_others_take_it_once_the_operator_has_signed_it(start: Start, tmp_path: Path):
    private, public = new_keys()
    key, store = signing_key(private), open_store(str(tmp_path / "models"))
    publish(write_bundle(tmp_path / "v0", name="dandelion-classifier"), store, key=key)
    ours, theirs = (start(name, models=store.uri, public_key=public) for name in ("ours", "theirs"))
    offered = ours.publisher.offer(taught_bundle(tmp_path / "v1"))
    assert (offered.where, offered.pinned, serving(ours)) == ("cache", True, "v1")
    assert "python -m runtime models sign v1, then python -m runtime models promote v1" in offered.detail
    assert (latest(store), serving(theirs)) == ("v0", "v0")
    with pytest.raises(BundleError, match=r"not of the key in DANDELION_PUBLIC_KEY.*models sign v1"):
        reloader_of(theirs).load("v1")
    assert serving(theirs) == "v0"
    reloader_of(ours).pin(None)
    wait_until(lambda: serving(ours) == "v0", "one can go back to what the operator has published")
    reloader_of(ours).pin("v1")
    ours.stop()
    theirs.stop()
    assert serving(start("ours", models=store.uri, public_key=public)) == "v1"

    for command in ("sign", "promote"):
        operator = ["models", command, "v1", "--models", store.uri, "--key", private]
        assert CliRunner().invoke(main, operator).exit_code == 0
    both = frozenset({"dandelion-classifier", "gate"})
    again = start("theirs", models=store.uri, public_key=public, model_names=both)
    wait_until(lambda: serving(again) == "v1", "the other host takes what the operator has signed")


def test_without_a_store_a_host_that_asks_for_signatures_serves_what_it_taught_itself(start: Start, tmp_path: Path):
    public = new_keys()[1]
    appliance = start(public_key=public)
    assert appliance.publisher.offer(taught_bundle(tmp_path / "v1")).pinned is False
    appliance.stop()
    again = start(public_key=public)
    assert serving(again) == "v1"
    reloader_of(again).load(SHIPPED)
    again.stop()
    last = start(public_key=public)
    assert (serving(last), last.troubles()) == (SHIPPED, [])
