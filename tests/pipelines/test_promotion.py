"""Which model serves: a worse one never, a better one without a restart."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from msgspec import to_builtins

from export.bundle.build import build
from export.gates.champion_challenger import paired
from export.gates.quality_gates import Limits
from export.release.outcome import conclusion
from export.release.register import register
from export.release.release import judge, release
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import Conflict
from tests.pipelines.steps import places_in
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.waiting import wait_until
from training.data.dataset import Dataset
from training.data.prepare import prepare
from training.learning.crossvalidate import checkpoint_of, split_of, train_fold
from training.model.checkpoint import Checkpoint
from training.recipe import Recipe
from training.storage.locations import Places
from training.tracking.server import Tracker

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)


ROOT = Path(__file__).parents[2]

# What has learned nothing is sure of nothing: its INT8 twin need not agree with it.
NONE = Limits(min_accuracy=0.0, min_agreement=0.0, max_accuracy_loss=1.0)


@pytest.fixture(scope="module")
def bundles(dataset: Dataset, checkpoint_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """`good` has learned from the photos of `dataset`, `shuffled` from the same photos under anybody's labels."""
    folder = tmp_path_factory.mktemp("promotion")
    good = build(
        Checkpoint.load(checkpoint_file), dataset, folder / "v-good", limits=Limits(min_accuracy=0.0), say=print
    )
    wrong = shuffled(dataset, folder)
    recipe = Recipe(image_size=64, epochs=2, seed=3, weights="none", precision="fp32")
    fitted = train_fold(wrong, split_of(wrong), recipe, what="fit")
    checkpoint_of(wrong, recipe, fitted).save(folder / "wrong.pt")
    bad = build(Checkpoint.load(folder / "wrong.pt"), wrong, folder / "v-shuffled", limits=NONE, say=print)
    return {"good": good, "shuffled": bad}


def shuffled(dataset: Dataset, folder: Path) -> Dataset:
    """The same photos, each in the other class's folder: the surest way to learn nothing that is true."""
    photos = [photo for split in ("train", "validation") for photo in dataset.photos(split)]
    order = random.Random(5)  # noqa: S311
    for each in photos:
        other = next(label for label in dataset.manifest.labels if label != each.label)
        target = folder / "raw" / (other if order.random() < 0.9 else each.label) / Path(each.path).name
        target = target.with_name(f"{each.label}-{target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(dataset.read(each))
    prepare(folder / "raw", folder / "processed")
    return Dataset.open(folder / "processed")


@contextmanager
def serving(places: Places, folder: Path) -> Iterator[Any]:
    environment = {
        "DANDELION_MODELS": places.models,
        "DANDELION_CACHE": str(folder / "cache"),
        "DANDELION_POLL_S": "0.1",
    }
    with appliance(folder, **environment) as server:
        yield (
            lambda: (
                httpx.post(server.url + "/predict", files={"file": photo()})
                .raise_for_status()
                .json()["model"]["version"]
            )
        )


def test_one_that_learned_from_shuffled_labels_is_neither_promoted_nor_served(
    bundles: dict[str, Bundle], dataset: Dataset, tmp_path: Path
):
    places = places_in(tmp_path)
    publish(bundles["good"].path, places.models_store)
    with serving(places, tmp_path) as version:
        assert version() == "v-good"
        verdict, tag = judge(bundles["shuffled"], places.models_store, dataset, tmp_path / "champions")
        assert not verdict.promote
        assert "beyond the tolerance" in verdict.reason
        released = release(bundles["shuffled"], places.models_store, promote=False, tag=tag, checkpoint=None)
        assert not released.pointed
        assert Catalogue(places.models_store).versions() == ["v-good", "v-shuffled"], "it is kept, beside the others"
        tracker = Tracker(places.tracking, product="dandelion-classifier", resume="try again")
        register(tracker, bundles["good"], promoted=True, reason="first", tags={})
        registered = register(tracker, bundles["shuffled"], promoted=False, reason=verdict.reason, tags={})
        aliases = tracker.client.get_registered_model("dandelion-classifier").aliases
        assert registered.alias == "challenger"
        assert {name: str(number) for name, number in aliases.items()} == {"champion": "1", "challenger": "2"}
        described = tracker.client.get_model_version("dandelion-classifier", "2")
        assert described.description == f"challenger: {verdict.reason}"
        assert version() == "v-good"


def test_a_better_one_is_served_without_a_restart(bundles: dict[str, Bundle], dataset: Dataset, tmp_path: Path):
    places = places_in(tmp_path)
    publish(bundles["shuffled"].path, places.models_store)
    with serving(places, tmp_path) as version:
        assert version() == "v-shuffled"
        verdict, tag = judge(bundles["good"], places.models_store, dataset, tmp_path / "champions")
        assert verdict.promote
        assert verdict.difference
        assert verdict.difference > 0
        release(bundles["good"], places.models_store, promote=True, tag=tag, checkpoint=None)
        wait_until(lambda: version() == "v-good", "the better one serves")


def test_a_verdict_does_not_outlive_its_champion(bundles: dict[str, Bundle], dataset: Dataset, tmp_path: Path):
    store = places_in(tmp_path).models_store
    verdict, tag = judge(bundles["good"], store, dataset, tmp_path / "champions")
    publish(bundles["shuffled"].path, store)  # by somebody else, meanwhile
    with pytest.raises(Conflict, match="another writer") as refused:
        release(bundles["good"], store, promote=verdict.promote, tag=tag, checkpoint=None)
    assert not refused.value.retryable
    latest = Catalogue(store).latest()
    assert latest
    assert latest.version == "v-shuffled"


def test_the_first_model_is_compared_with_the_shipped_one_which_stays(
    bundles: dict[str, Bundle], dataset: Dataset, tmp_path: Path
):
    places = places_in(tmp_path)
    shipped = default_bundle().name
    bad, _ = judge(bundles["shuffled"], places.models_store, dataset, tmp_path / "champions")
    assert (bad.promote, bad.champion) == (False, shipped)
    good, tag = judge(bundles["good"], places.models_store, dataset, tmp_path / "champions")
    assert good.champion == shipped
    assert f"the champion {shipped} on " in good.reason
    release(bundles["good"], places.models_store, promote=True, tag=tag, checkpoint=None)
    assert Catalogue(places.models_store).versions() == [shipped, "v-good"]
    lines = conclusion(places, bundles["good"].manifest, to_builtins(good))
    assert lines[0].startswith("serves    v-good (dandelion-classifier: dandelion, grass)")
    assert run_as_printed(lines[-1].removeprefix("go back   ")).startswith(places.models)
    latest = Catalogue(places.models_store).latest()
    assert latest
    assert latest.version == shipped


def test_the_champion_itself_stays(bundles: dict[str, Bundle], dataset: Dataset, tmp_path: Path):
    store = places_in(tmp_path).models_store
    publish(bundles["good"].path, store)
    again, _ = judge(bundles["good"], store, dataset, tmp_path / "champions")
    assert (again.promote, again.reason) == (True, "it is the champion already")


@pytest.mark.parametrize(
    ("champion", "flags", "promote"),
    [
        ({"name": "roses", "labels": ["rose", "thorn"]}, {}, False),
        ({"name": "roses", "labels": ["rose", "thorn"]}, {"replace": True}, True),
        ({"name": "roses", "labels": ["rose", "thorn"]}, {"asked": "dandelion-classifier"}, True),
        ({"name": "roses", "labels": ["dandelion", "grass"]}, {}, False),
        ({"name": "dandelion-classifier", "labels": ["daisy", "dandelion"]}, {}, False),
        ({"name": "dandelion-classifier", "labels": ["daisy", "dandelion"]}, {"asked": "dandelion-classifier"}, False),
        ({"name": "dandelion-classifier", "labels": ["daisy", "dandelion"]}, {"replace": True}, True),
    ],
)
def test_another_product_or_other_labels_take_over_by_a_flag_alone(
    bundles: dict[str, Bundle],
    dataset: Dataset,
    tmp_path: Path,
    champion: dict[str, Any],
    flags: dict[str, Any],
    promote: bool,
):
    places = places_in(tmp_path)
    publish(write_bundle(tmp_path / "v-roses", **champion), places.models_store)
    verdict, tag = judge(bundles["good"], places.models_store, dataset, tmp_path / "champions", **flags)
    assert verdict.promote is promote
    assert ("as asked" if promote else "what served before goes on") in verdict.reason
    release(bundles["good"], places.models_store, promote=promote, tag=tag, checkpoint=None)
    lines = conclusion(places, bundles["good"].manifest, to_builtins(verdict), source="my photos")
    serving = "v-good" if promote else "v-roses"
    assert lines[0].startswith(f"serves    {serving} (")
    other = next(line for line in lines if line.startswith(("to serve  ", "go back   ")))
    run_as_printed(other[10:])
    latest = Catalogue(places.models_store).latest()
    assert latest
    assert latest.version == ("v-roses" if promote else "v-good"), "the printed command does what it says"
    if not promote:
        flag = "REPLACE=1" if champion["name"] == "dandelion-classifier" else "PRODUCT=dandelion-classifier"
        assert lines[-1] == f"or        make pipeline SOURCE='my photos' {flag}"


def run_as_printed(command: str) -> str:
    """As a person would: in a shell at the root of the repository, with nothing activated."""
    bare = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "DANDELION_MODELS")}
    return subprocess.run(command, shell=True, cwd=ROOT, env=bare, capture_output=True, text=True, check=True).stdout  # noqa: S602


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance", "promote"),
    [
        ([1] * 98 + [0] * 2, [1] * 100, 0.02, True),
        ([1] * 97 + [0] * 3, [1] * 100, 0.02, False),
        ([1] * 100, [1] * 97 + [0] * 3, 0.0, True),
        ([1] * 50 + [0] * 50, [0] * 50 + [1] * 50, 0.0, True),
    ],
)
def test_the_difference_is_that_of_the_same_photos(ours: list[int], theirs: list[int], tolerance: float, promote: bool):
    verdict = paired(np.array(ours, bool), np.array(theirs, bool), "v0", tolerance)
    assert verdict.promote is promote
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low <= verdict.difference <= verdict.high  # type: ignore[operator]


def test_old_versions_go_but_neither_the_champion_nor_the_one_before_it_nor_the_shipped_one(tmp_path: Path):
    store = places_in(tmp_path).models_store
    for number in range(8):
        bundle = Bundle.open(write_bundle(tmp_path / f"v{number}"))
        promote = number in (0, 1)
        released = release(bundle, store, promote=promote, tag=Catalogue(store).tag(), checkpoint=None)
        shutil.rmtree(bundle.path)
    assert released.pruned == ["v0"]
    assert Catalogue(store).versions() == [default_bundle().name, "v1", "v2", "v3", "v4", "v5", "v6", "v7"]
