"""A version that passes its trial and then cannot be loaded is set aside by its name, and another serves."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, MODEL, BundleError, describe_file, read_manifest, to_json
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.serving.appliance import Appliance
from runtime.serving.trial import process
from runtime.store import Store, open_store
from tests.runtime.serving.conftest import Start
from tests.support.appliances import servers
from tests.support.appliances.following import ADMIN, Followed, refusals, serving
from tests.support.host.without_onnxruntime import without_onnxruntime
from tests.support.models.bundles import change_manifest, taught_bundle, write_bundle
from tests.support.photos import photo
from tests.support.stores.s3 import S3Server
from tests.support.waiting import wait_until

SHIPPED = default_bundle().name
CONTENDER = ("tests.runtime.serving.trial.stand_in_appliance", "passes")  # every version passes its trial
REASON = "onnxruntime cannot load it"


def spoil(bundle: Path) -> Path:
    """A bundle that is whole and whose model is none; its trial is a stand-in's."""
    (bundle / MODEL).write_bytes(b"no model")
    change_manifest(bundle, files={MODEL: msgspec.to_builtins(describe_file(bundle / MODEL))})
    return bundle


def native_bundle(folder: Path) -> Path:
    """A version that the native kernel computes: a copy of the shipped one."""
    shutil.copytree(default_bundle(), folder)
    manifest = msgspec.structs.replace(read_manifest(folder / MANIFEST), version=folder.name)
    (folder / MANIFEST).write_bytes(to_json(manifest))
    return folder


def described(server: servers.Appliance, version: str) -> dict[str, Any]:
    rows = httpx.get(server.url + "/models").json()["versions"]
    return next(dict(row) for row in rows if row["version"] == version)


def lines_about(server: servers.Appliance, *words: str) -> list[str]:
    return [line for line in server.log.read_text().splitlines() if all(word in line for word in words)]


def check_refused(server: servers.Appliance, version: str, reason: str = REASON) -> None:
    """It is set aside as others are, in `GET /models`, `GET /health` and the metrics; the log has one line."""
    wait_until(lambda: refusals(server) >= 1)
    row = described(server, version)
    assert (row["status"], reason in row["reason"]) == ("refused", True)
    health = httpx.get(server.url + "/health").json()
    assert health["status"] == "degraded"
    assert any(f"{version} was refused: " in said and reason in said for said in health["reasons"])
    assert len(lines_about(server, f"refused {version}", reason)) == 1
    assert "Traceback" not in server.log.read_text()


def test_at_a_cold_start_the_default_serves_until_a_version_can_be_loaded(s3: S3Server, tmp_path: Path):
    followed = Followed(s3.new_bucket("cold-start"), tmp_path)
    spoil(write_bundle(tmp_path / "v1"))
    followed.publish("v1")
    with followed.serve(module=CONTENDER, **s3.environment) as server:
        assert serving(server) == SHIPPED
        check_refused(server, "v1")
        assert lines_about(server, "serving the default bundle until a model can be loaded from s3://cold-start")
        followed.publish("v2")
        wait_until(lambda: serving(server) == "v2")


def test_at_a_cold_start_an_earlier_version_serves_where_the_newest_cannot_be_loaded(s3: S3Server, tmp_path: Path):
    """As after a change to the image without onnxruntime: what has passed its trial is not tried again."""
    followed = Followed(s3.new_bucket("earlier"), tmp_path)
    native_bundle(tmp_path / "v1")
    followed.publish("v1")
    with followed.serve(**s3.environment) as server:
        followed.publish("v2")
        wait_until(lambda: serving(server) == "v2")
        server.stop()
    blocked = without_onnxruntime(tmp_path / "blocked")
    with followed.serve(from_scratch=True, **s3.environment, **blocked) as server:
        assert serving(server) == "v1"
        check_refused(server, "v2", "needs onnxruntime, which is not installed")
        assert lines_about(server, "serving the earlier v1 until a model can be loaded from s3://earlier")
        server.stop()
    with followed.serve(**s3.environment) as server:
        assert serving(server) == "v2", "nothing was lost"
        wait_until(lambda: httpx.get(server.url + "/health").json()["reasons"] == [])


def test_at_a_start_a_pinned_version_that_cannot_be_loaded_gives_way_to_the_stores(s3: S3Server, tmp_path: Path):
    followed = Followed(s3.new_bucket("pinned"), tmp_path)
    followed.publish("v1")
    native_bundle(tmp_path / "v2")
    followed.publish("v2")
    with followed.serve(**s3.environment) as server:
        assert httpx.post(server.url + "/models/pin", json={"version": "v1"}, headers=ADMIN).json()["pinned"] == "v1"
        server.stop()
    blocked = without_onnxruntime(tmp_path / "blocked")
    with followed.serve(from_scratch=True, **s3.environment, **blocked) as server:
        assert serving(server) == "v2"
        assert lines_about(server, "v1 is pinned and cannot serve, v2 serves in its place", "needs onnxruntime")
        assert described(server, "v1")["status"] == "refused"
        assert httpx.get(server.url + "/models").json()["pinned"] == "v1"


def test_while_one_serves_a_version_that_cannot_be_loaded_is_refused(s3: S3Server, tmp_path: Path):
    followed = Followed(s3.new_bucket("reload"), tmp_path)
    followed.publish("v1")
    with followed.serve(module=CONTENDER, **s3.environment) as server:
        spoil(write_bundle(tmp_path / "v2"))
        followed.publish("v2")
        check_refused(server, "v2")
        wait_until(lambda: refusals(server) >= 3)
        check_refused(server, "v2")  # it was tried again, and the log has one line still
        assert serving(server) == "v1"
        for order in ("/models/v2/load", "/models/v2/predict"):
            answer = httpx.post(server.url + order, files={"file": photo()}, headers=ADMIN)
            assert (answer.status_code, REASON in answer.json()["detail"]) == (409, True), answer.text
        assert serving(server) == "v1"
        followed.publish("v3")
        wait_until(lambda: serving(server) == "v3")


SHORT_OF_MEMORY = """
import resource
from pathlib import Path
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle, BundleError
from runtime.serving.loaded_model import load_model

bundle = Bundle.open(default_bundle())
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**22, taken + 2**22))
try:
    load_model(bundle, threads=1, source="here")
except BundleError as error:
    print(error)
"""


def test_a_version_that_memory_is_short_for_is_refused_in_one_line():
    said = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, check=True)
    assert said.stdout.endswith(f"{SHIPPED}: cannot be loaded (MemoryError)\n")
    assert said.stderr == ""


@pytest.fixture(autouse=True)
def passing_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """All versions pass the trials of an appliance in this process."""
    command = [sys.executable, "-m", "tests.runtime.serving.trial.stand_in_trial", "passes"]
    monkeypatch.setattr(process, "COMMAND", command)


def version_of(appliance: Appliance) -> str:
    return appliance.engine.model.name.version


def pointed_at(store: Store) -> str | None:
    pointer = Catalogue(store).latest()
    return pointer.version if pointer else None


@pytest.mark.parametrize("models", ["models", None])
def test_a_taught_version_that_cannot_be_loaded_is_published_nowhere(start: Start, tmp_path: Path, models: str | None):
    appliance = start(models=str(tmp_path / models) if models else None)
    assert appliance.reloader
    if not models:
        appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    before, state = version_of(appliance), appliance.reloader.cache.state
    with pytest.raises(BundleError, match=REASON):
        appliance.publisher.offer(spoil(taught_bundle(tmp_path / "v2")))
    appliance.reloader.poll()
    assert version_of(appliance) == before
    assert REASON in appliance.reloader.refused["v2"]
    after = appliance.reloader.cache.state
    assert (after.pinned, after.last_good, after.previous) == (state.pinned, state.last_good, state.previous)
    assert pointed_at(appliance.reloader.catalogue.store) == (None if models else "v1")


def test_a_local_version_that_cannot_be_loaded_is_not_pointed_at(start: Start, tmp_path: Path):
    appliance = start()
    reloader = appliance.reloader
    assert reloader
    appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    reloader.cache.add(spoil(taught_bundle(tmp_path / "v2")))
    with pytest.raises(BundleError, match=REASON):
        reloader.load("v2")
    assert (version_of(appliance), pointed_at(reloader.catalogue.store)) == ("v1", "v1")


def test_at_a_start_a_local_version_that_cannot_be_loaded_gives_way_to_the_one_before_it(start: Start, tmp_path: Path):
    appliance = start()
    appliance.publisher.offer(taught_bundle(tmp_path / "v1"))
    appliance.stop()
    store = open_store(str(tmp_path / "cache/store"))
    publish(spoil(taught_bundle(tmp_path / "v2")), store, tag=Catalogue(store).tag())
    again = start()
    assert version_of(again) == "v1"
    assert any("v2 was refused" in trouble and REASON in trouble for trouble in again.troubles())


def test_what_the_cache_has_of_a_store_is_not_served_without_that_store(start: Start, tmp_path: Path):
    models = str(tmp_path / "models")
    publish(taught_bundle(tmp_path / "v1"), open_store(models))
    following = start(models=models)
    assert version_of(following) == "v1"
    following.stop()
    alone = start()
    assert version_of(alone) == SHIPPED
    assert alone.reloader
    assert alone.reloader.cache.state.last_good == "v1"  # it is there still


def test_a_pinned_version_that_cannot_be_loaded_is_tried_again_after_a_delay_that_doubles(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    appliance = start()
    reloader = appliance.reloader
    assert reloader
    reloader.cache.add(spoil(taught_bundle(tmp_path / "v1")))
    with caplog.at_level(logging.DEBUG, "runtime"):
        reloader.cache.pin("v1")  # as a command does
        began = time.monotonic()
        wait_until(lambda: len(refused_lines(caplog)) >= 5)
        assert time.monotonic() - began >= 0.1 + 0.2 + 0.4 + 0.8
    assert [line.levelno for line in refused_lines(caplog)[:5]] == [logging.WARNING] + 4 * [logging.DEBUG]
    assert version_of(appliance) == SHIPPED


def refused_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "refused v1" in record.getMessage()]
