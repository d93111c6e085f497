"""A pinned version that is damaged on disk: the appliance starts with another, and says so in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.serving.versions.reloader import Reloader
from runtime.store import open_store
from tests.runtime.serving.conftest import Start
from tests.runtime.serving.taught.test_publisher import SHIPPED, reloader_of, serving
from tests.support.models.bundles import taught_bundle, write_bundle
from tests.support.suite.repeats import thorough_but
from tests.support.waiting import wait_until


def rot(reloader: Reloader, version: str) -> None:
    (reloader.cache.folder_of(version) / "model.onnx").write_bytes(b"rotten")


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("before", thorough_but(["v1"], [None, "v1"]))
def test_a_damaged_pinned_version_gives_way_to_another_at_the_start(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, before: str | None
):
    appliance = start()
    reloader = reloader_of(appliance)
    if before:
        appliance.publisher.offer(taught_bundle(tmp_path / before))
    reloader.cache.add(taught_bundle(tmp_path / "v2"))
    reloader.pin("v2")
    appliance.stop()
    rot(reloader, "v2")
    caplog.clear()
    again = start()
    instead = before or SHIPPED
    assert serving(again) == instead
    wait_until(lambda: any("v2 was refused" in trouble for trouble in again.troubles()))
    (line,) = lines_of(caplog)
    assert f"v2 is pinned and cannot serve, {instead} serves in its place: " in line
    assert line.endswith("v2/model.onnx: 6 bytes, the manifest says 546; fetch the bundle again")

    reloader_of(again).pin(None)
    if before:
        wait_until(lambda: serving(again) == before)


def test_a_damaged_pinned_version_gives_way_to_the_one_before_it_without_its_store(start: Start, tmp_path: Path):
    models = str(tmp_path / "models")
    publish(write_bundle(tmp_path / "v0", name="dandelion-classifier"), open_store(models))
    appliance = start(models=models)
    reloader = reloader_of(appliance)
    reloader.cache.add(write_bundle(tmp_path / "v1", name="dandelion-classifier"))
    reloader.pin("v1")
    appliance.stop()
    rot(reloader, "v1")
    (tmp_path / "models").rename(tmp_path / "away")
    (tmp_path / "models").touch()
    assert serving(start(models=models)) == "v0"


def test_a_damaged_pinned_version_is_fetched_again_from_its_store(start: Start, tmp_path: Path):
    models = str(tmp_path / "models")
    store = open_store(models)
    for version in ("v0", "v1"):
        bundle = write_bundle(tmp_path / version, name="dandelion-classifier")
        publish(bundle, store, tag=Catalogue(store).tag())
    appliance = start(models=models)
    reloader = reloader_of(appliance)
    reloader.pin("v0")
    appliance.stop()
    rot(reloader, "v0")
    again = start(models=models)
    assert serving(again) == "v0"
    wait_until(lambda: again.troubles() == [])
