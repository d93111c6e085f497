"""Which model serves: a worse one never, a better one without a restart."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from export.build import build
from export.champion_challenger import paired
from export.gates import Limits
from export.register import register
from export.release import judge, release
from runtime.bundle.manifest import Bundle
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import Conflict
from tests.pipelines.steps import places_in
from tests.support.bundles import write_bundle
from tests.support.photos import photo
from tests.support.servers import appliance
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
        tracker = Tracker(places.tracking, resume="try again")
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
    assert "nothing is published yet" in verdict.reason
    publish(bundles["shuffled"].path, store)  # by somebody else, meanwhile
    with pytest.raises(Conflict, match="another writer") as refused:
        release(bundles["good"], store, promote=verdict.promote, tag=tag, checkpoint=None)
    assert not refused.value.retryable
    latest = Catalogue(store).latest()
    assert latest
    assert latest.version == "v-shuffled"


def test_the_champion_itself_and_other_classes(bundles: dict[str, Bundle], dataset: Dataset, tmp_path: Path):
    store = places_in(tmp_path).models_store
    publish(bundles["good"].path, store)
    again, _ = judge(bundles["good"], store, dataset, tmp_path / "champions")
    assert (again.promote, again.reason) == (True, "it is the champion already")
    other = places_in(tmp_path / "other").models_store
    publish(write_bundle(tmp_path / "v-roses", labels=["rose", "thorn"]), other)
    verdict, _ = judge(bundles["good"], other, dataset, tmp_path / "others")
    assert not verdict.promote
    assert "cannot be compared; promote it by hand" in verdict.reason


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


def test_old_versions_go_but_neither_the_champion_nor_the_one_before_it(tmp_path: Path):
    store = places_in(tmp_path).models_store
    for number in range(8):
        bundle = Bundle.open(write_bundle(tmp_path / f"v{number}"))
        promote = number in (0, 1)
        released = release(bundle, store, promote=promote, tag=Catalogue(store).tag(), checkpoint=None)
        shutil.rmtree(bundle.path)
    assert released.pruned == ["v0"]
    assert Catalogue(store).versions() == ["v1", "v2", "v3", "v4", "v5", "v6", "v7"]
