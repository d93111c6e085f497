from __future__ import annotations

import asyncio
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import runtime.serving.versions.comparison
from runtime.bundle.manifest import Bundle
from runtime.image import ImageError
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.versions.comparison import ComparisonModel
from runtime.serving.versions.reloader import UnknownVersion
from runtime.store import open_store
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, write_bundle
from tests.support.photos import photo, violet


@pytest.fixture
def comparison(tmp_path: Path) -> ComparisonModel:
    """v2 serves; v1 and v3 could be asked."""
    folders = {version: write_bundle(tmp_path / version) for version in ("v1", "v2", "v3")}
    settings = Settings(threads=1, workers=1)
    engine = Engine(LoadedModel(Bundle.open(folders["v2"]), threads=1, source=""), settings, Metrics())
    reloader = SimpleNamespace(
        cache=SimpleNamespace(using=lambda version: nullcontext()),
        validated=lambda version: Bundle.open(folders[version]),
        catalogue=SimpleNamespace(store=SimpleNamespace(uri="the store")),
    )
    return ComparisonModel(engine, reloader, settings)  # type: ignore[arg-type]


def test_each_version_answers_for_itself_and_one_at_most_is_kept(comparison: ComparisonModel):
    async def ask() -> list[str]:
        answers = await asyncio.gather(*(comparison.answer(version, photo()) for version in ("v1", "v2", "v3", "v1")))
        assert comparison._model is not None
        assert comparison._model.name.version == "v1"
        return [answer.model.version for answer in answers]

    assert asyncio.run(ask()) == ["v1", "v2", "v3", "v1"]


def test_a_version_with_the_unknown_class_is_compared_with_one_without(comparison: ComparisonModel, tmp_path: Path):
    shutil.rmtree(tmp_path / "v1")
    write_bundle(tmp_path / "v1", unknown=UNKNOWN_FROM_HALF)
    closed, open_set = (asyncio.run(comparison.answer(version, violet())) for version in ("v2", "v1"))
    assert (closed.unknown, closed.label in closed.probabilities) == (False, True)
    assert (open_set.unknown, open_set.label, open_set.confidence) == (True, None, open_set.unknown_probability)


def test_it_is_let_go_when_nobody_asks(comparison: ComparisonModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime.serving.versions.comparison, "IDLE_EVICTION_S", 0.05)

    async def ask() -> None:
        await comparison.answer("v1", photo())
        while comparison._model is not None:
            await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(ask(), 30))


def test_what_is_no_photo_is_refused_and_the_next_is_answered(comparison: ComparisonModel):
    async def ask() -> str:
        with pytest.raises(ImageError):
            await comparison.answer("v1", b"no photo")
        return (await comparison.answer("v1", photo("grass"))).label

    assert asyncio.run(ask()) == "grass"


def test_where_one_bundle_serves_there_is_no_other(tmp_path: Path):
    settings = Settings(threads=1, workers=1)
    engine = Engine(LoadedModel(Bundle.open(write_bundle(tmp_path / "v1")), threads=1, source=""), settings, Metrics())
    alone = ComparisonModel(engine, None, settings)
    with pytest.raises(UnknownVersion, match="there is no version v9 here"):
        asyncio.run(alone.answer("v9", photo()))


def test_over_http_it_changes_neither_what_serves_nor_what_is_counted(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    for version in ("v1", "v2"):
        publish(write_bundle(tmp_path / version), store, tag=Catalogue(store).tag())
    folders = {"DANDELION_MODELS": str(tmp_path / "store"), "DANDELION_CACHE": str(tmp_path / "cache")}
    with appliance(tmp_path, **folders) as server, httpx.Client(base_url=server.url, timeout=60) as client:

        def ask(version: str, data: bytes = photo()) -> httpx.Response:
            headers = {"content-type": "image/jpeg"}
            return client.post(f"/models/{version}/predict", content=data, headers=headers)

        assert [ask(version).json()["model"]["version"] for version in ("v1", "v2")] == ["v1", "v2"]
        assert ask("v9").status_code == 404
        assert ask("v1", b"text").status_code == 415
        assert client.get("/models").json()["serving"] == "v2"
        assert 'predictions_total{label="dandelion",traffic="use",uncertain="false"} 0.0' in client.get("/metrics").text
