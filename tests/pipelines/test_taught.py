"""What was taught on an appliance, later in full: the pipeline trains on its photos, and compares both models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from export.gates.champion_challenger import compare
from export.gates.taught_champion import said_unseen
from runtime.bundle.manifest import Bundle
from runtime.names import UNKNOWN
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.serving.taught.photos import TaughtPhoto, send_photos
from runtime.store import Store
from runtime.store.trees import SyncError, read_index, write_index
from runtime.teaching.backbone import Backbone
from tests.pipelines.steps import SPLIT, all_of, places_in, tasks
from tests.support.models.bundles import taught_bundle
from tests.support.photos import photo, write_others, write_photos
from training.data.dataset import Dataset
from training.pipeline import steps
from training.pipeline.taught import learned
from training.storage.locations import Places

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)

GATE = "gate"
LABELS = ("dandelion", "grass")


def taught_photos(folder: Path, seeds: Iterable[int]) -> list[TaughtPhoto]:
    """Drawn photos of both classes as an appliance keeps them, by their hashes."""
    folder.mkdir(exist_ok=True)
    made = []
    for label in LABELS:
        for seed in seeds:
            data = photo(label, seed)
            digest = hashlib.sha256(data).hexdigest()
            (folder / digest).write_bytes(data)
            made.append(TaughtPhoto(label, digest, folder / digest))
    return made


def taught_model(folder: Path, **changes: Any) -> Path:
    """A model that says of itself that it stands on the backbone of this package."""
    backbone = Backbone.open()
    record = {"backbone": backbone.record.version, "backbone_sha256": backbone.sha256}
    figures = {"photos": dict.fromkeys(LABELS, 16), "folds": 5, "interval": [0.9, 1.0], "dataset": "d1"}
    return taught_bundle(folder, name=GATE, taught=record | figures, **changes)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return places_in(tmp_path, product=GATE)


@pytest.fixture
def photos(places: Places, tmp_path: Path) -> list[TaughtPhoto]:
    """Photos that the product was taught from, in the data store."""
    sent = taught_photos(tmp_path / "photos", range(16))
    send_photos(places.data_store, GATE, "d1", sent)
    return sent


def paths(store: Store, prefix: str) -> set[str]:
    index = read_index(store, prefix)
    assert index
    return {path for path in index.files if "/" in path}


def test_the_whole_pipeline_fine_tunes_on_them_and_takes_the_place_of_the_taught_model(
    places: Places, photos: list[TaughtPhoto], tmp_path: Path
):
    publish(taught_model(tmp_path / "v1"), places.models_store)
    done = all_of(places, None, product=GATE)
    assert done["fetch"]["photos"] == {"dandelion": 16, "grass": 16}
    assert paths(places.data_store, f"products/{GATE}/raw") == {f"{one.label}/{one.sha256}.jpeg" for one in photos}
    verdict = done["gate"]
    assert (verdict["champion"], verdict["promote"]) == ("v1", True)
    assert verdict["reason"].endswith("; the champion was taught anew without them")
    latest = Catalogue(places.models_store).latest()
    assert latest
    assert latest.version == done["export"]["version"]
    manifest = Catalogue(places.models_store).manifest(latest.version)[1]
    assert (manifest.name, manifest.taught, manifest.labels) == (GATE, None, list(LABELS))


def test_a_named_source_goes_before_them_and_leaves_them_where_they_are(
    places: Places, photos: list[TaughtPhoto], tmp_path: Path
):
    source = write_photos(tmp_path / "source", 6)
    fetch = tasks(places, source, product=GATE)
    assert fetch["fetch"]()["photos"] == {"dandelion": 6, "grass": 6}
    fetch["store_raw"]()
    index = read_index(places.data_store, f"products/{GATE}/raw")
    assert index
    assert index.origin is None
    assert len(paths(places.data_store, f"products/{GATE}/taught")) == len(photos)


@pytest.mark.usefixtures("photos")
def test_a_retraining_takes_what_was_taught_since_with_the_photos_of_other_things(places: Places, tmp_path: Path):
    others = write_others(tmp_path / "others", 15) / UNKNOWN
    given: dict[str, Any] = {"source": None, "listing": None, "workers": 4, "other": str(others), "product": GATE}
    steps.store_raw(places, "first", **given)
    steps.store_processed(places, "first", labels=None, **SPLIT)
    before = read_index(places.data_store, f"products/{GATE}/processed")
    assert before
    assert before.origin == "taught"
    assert {UNKNOWN, *LABELS} == {path.split("/")[0] for path in paths(places.data_store, f"products/{GATE}/processed")}

    more = taught_photos(tmp_path / "photos", range(3, 20))
    send_photos(places.data_store, GATE, "d1", more)
    prepared = steps.sync_processed(places, "second", **SPLIT)
    assert prepared["photos"] == {"dandelion": 17, "grass": 17}
    assert prepared["other"] == 30
    again = steps.sync_processed(places, "third", **SPLIT)
    assert again["dataset"] == prepared["dataset"]


@pytest.mark.usefixtures("photos")
def test_a_retraining_of_a_product_that_was_only_taught_needs_no_pipeline_before(places: Places):
    assert steps.sync_processed(places, "run", **SPLIT)["photos"] == {"dandelion": 16, "grass": 16}


@pytest.mark.usefixtures("photos")
def test_a_retraining_of_photos_from_elsewhere_keeps_to_them(places: Places, tmp_path: Path):
    chain = tasks(places, write_photos(tmp_path / "source", 12), product=GATE)
    for name in ("fetch", "store_raw", "prepare", "store_processed"):
        chain[name]()
    assert steps.sync_processed(places, "run", **SPLIT)["photos"] == {"dandelion": 12, "grass": 12}


def test_a_tree_without_a_photo_is_refused_by_its_name(places: Places):
    write_index(places.data_store, f"products/{GATE}/taught", {}, origin="d1")
    with pytest.raises(SyncError, match=r"products/gate/taught: holds no photos; serve the taught model again"):
        tasks(places, None, product=GATE)["fetch"]()


@pytest.fixture
def dataset(places: Places, photos: list[TaughtPhoto]) -> Dataset:
    chain = tasks(places, None, product=GATE)
    for name in ("fetch", "store_raw", "prepare"):
        done = chain[name]()
    assert sum(done["photos"].values()) == len(photos)
    return Dataset.open(next(places.work.glob("*/processed")))


def test_a_taught_champion_has_no_advantage_from_photos_that_it_has_seen(
    places: Places, dataset: Dataset, tmp_path: Path
):
    champion = Bundle.open(taught_model(tmp_path / "v1")).manifest
    shown = dataset.photos("validation")
    said = said_unseen(champion, dataset, shown, lambda: learned(places))
    assert said is not None
    assert (said == [one.label for one in shown]).mean() > 0.9
    assert said_unseen(champion, dataset, shown, frozenset) is None, "it has not seen them: as it is"
    few = {one.sha256 for one in shown} | {one.sha256 for one in dataset.photos("train")[:2]}
    assert said_unseen(champion, dataset, shown, lambda: few) is None, "nothing is left to teach it from"
    other = Bundle.open(taught_bundle(tmp_path / "v2")).manifest
    assert said_unseen(other, dataset, shown, lambda: learned(places)) is None, "its backbone is not here"


def test_a_taught_champion_of_another_backbone_is_asked_as_it_is(places: Places, dataset: Dataset, tmp_path: Path):
    champion, challenger = (Bundle.open(taught_bundle(tmp_path / version)) for version in ("v1", "v2"))
    verdict = compare(challenger, champion, dataset, learned=lambda: learned(places))
    assert verdict.champion_accuracy == verdict.challenger_accuracy
    assert "taught anew" not in verdict.reason
