"""Corrections of two products never mix; those that earlier releases kept are the default product's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runtime.names import DEFAULT_PRODUCT
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import add, point_at
from runtime.serving.feedback import Feedback, FeedbackFull, Limits
from runtime.serving.feedback.review import ReviewError, accepted, corrections, review
from runtime.store import Store, open_store
from tests.support.appliances.corrections import feedback_at, keep, send
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.waiting import wait_until
from training.feedback.accepted import bring_accepted

BIRDS = ["robin", "other"]
FLOWERS = ["daisy", "other"]


@pytest.fixture
def models(tmp_path: Path) -> Store:
    """A store of two products, of which the birds are served first; both have a class of the same name."""
    store = open_store(str(tmp_path / "models"))
    for version, name, labels in (("v1", "birds", BIRDS), ("v2", "flowers", FLOWERS)):
        folder = write_bundle(tmp_path / "bundles" / version, name=name, labels=labels)
        add(folder, store)
    point_at(store, "v1", tag=None)
    return store


@pytest.fixture
def server(tmp_path: Path, models: Store) -> Iterator[Appliance]:
    environment = {
        "DANDELION_MODELS": models.uri,
        "DANDELION_MODEL_NAMES": "birds,flowers",
        "DANDELION_DATA": str(tmp_path / "data"),
        "DANDELION_CACHE": str(tmp_path / "cache"),
        "DANDELION_POLL_S": "0.1",
    }
    with appliance(tmp_path, **environment) as server:
        yield server


def names(store: Store) -> set[str]:
    return {entry.key.rsplit("/", 1)[0] for entry in store.list("feedback/")}


def serve_flowers(server: Appliance, models: Store) -> None:
    point_at(models, "v2", tag=Catalogue(models).tag())
    wait_until(lambda: httpx.get(server.url + "/health").json()["model"]["name"] == "flowers", "the flowers serve")


def test_when_another_product_is_served_the_corrections_of_each_go_to_their_own(
    server: Appliance, models: Store, tmp_path: Path
):
    data = open_store(str(tmp_path / "data"))
    assert send(server, photo(seed=1), "other").status_code == 202
    serve_flowers(server, models)
    assert send(server, photo(seed=1), "other").status_code == 202
    assert names(data) == {"feedback/birds/other", "feedback/flowers/other"}
    assert {one.product for one in corrections(data)} == {"birds", "flowers"}


def test_a_photo_that_the_product_before_classified_is_refused_with_409(server: Appliance, models: Store):
    serve_flowers(server, models)
    refused = send(server, photo(), "other", product="birds")
    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        "the photo was classified by 'birds', but 'flowers' serves now; classify it again"
    )
    assert send(server, photo(), "other", product="flowers").status_code == 202


def keep_as(product: str, feedback: Feedback, data: bytes, label: str = "other") -> str:
    room = feedback.reserve(data, label, client="127.0.0.1", product=product)
    try:
        return feedback.keep(room, data, "JPEG").id
    finally:
        feedback.release(room)


def test_what_waits_of_one_product_takes_no_room_from_another(tmp_path: Path):
    limits = Limits(photos=2, share=1)
    feedback = feedback_at(tmp_path, limits)
    for product in ("birds", "flowers"):
        for seed in range(2):
            keep_as(product, feedback, photo(seed=seed))
        with pytest.raises(FeedbackFull, match=r"^2 corrected photos"):
            keep_as(product, feedback, photo(seed=2))
    again = feedback_at(tmp_path, limits)
    again.count()
    for product in ("birds", "flowers"):
        with pytest.raises(FeedbackFull, match=r"^2 corrected photos"):
            keep_as(product, again, photo(seed=2))


def test_a_training_takes_up_the_corrections_of_its_product_alone(tmp_path: Path):
    feedback = feedback_at(tmp_path, Limits())
    store, raw = open_store(str(tmp_path / "data")), tmp_path / "raw"
    (raw / "other").mkdir(parents=True)
    birds, flowers = (keep_as(product, feedback, photo(seed=1)) for product in ("birds", "flowers"))
    assert birds == flowers  # the same photo
    with pytest.raises(ReviewError, match=r"2 corrections begin with .*NAME:PRODUCT/LABEL"):
        review(store, birds, "accepted")
    review(store, birds, "accepted", label="other", product="birds")
    assert [one.product for one in accepted(store, "birds")] == ["birds"]
    assert accepted(store, "flowers") == accepted(store) == []
    assert bring_accepted(store, raw) == bring_accepted(store, raw, "flowers") == 0
    assert bring_accepted(store, raw, "birds") == 1
    assert [file.name for file in (raw / "other").iterdir()] == [f"feedback-{birds}.jpeg"]


def keep_as_earlier(store: Store, data: bytes, label: str = "grass", reviewed: str | None = None) -> str:
    """As releases before this one did, and their reviewers."""
    digest = hashlib.sha256(data).hexdigest()
    record = {"sha256": digest, "label": label, "predicted": None, "version": None, "received": "2026-01-01"}
    store.write(f"feedback/{label}/{digest}.jpeg", data)
    store.write(f"feedback/{label}/{digest}.json", json.dumps(record | {"reviewed": reviewed}).encode())
    return digest


@pytest.mark.parametrize("label", ["grass", DEFAULT_PRODUCT])
def test_folders_without_a_product_are_the_default_products(label: str, tmp_path: Path):
    store = open_store(str(tmp_path / "data"))
    digest = keep_as_earlier(store, photo(seed=1), label)
    [one] = corrections(store)
    assert (one.product, one.label, one.sha256) == (DEFAULT_PRODUCT, label, digest)
    assert corrections(store, "birds") == []
    assert review(store, digest[:8], "accepted", product=DEFAULT_PRODUCT).photo == f"feedback/{label}/{digest}.jpeg"
    assert len(accepted(store)) == 1


def test_a_photo_that_an_earlier_release_kept_is_not_kept_twice(tmp_path: Path):
    store = open_store(str(tmp_path / "data"))
    waiting, reviewed = photo(seed=1), photo(seed=2)
    keep_as_earlier(store, waiting)
    keep_as_earlier(store, reviewed, reviewed="rejected")
    feedback = feedback_at(tmp_path, Limits(photos=1, share=1))
    feedback.count()
    for data in (waiting, reviewed):
        assert keep(feedback, data).stored == "store"
    assert names(store) == {"feedback/grass"}
    with pytest.raises(FeedbackFull, match=r"^1 corrected photos"):
        keep(feedback, photo(seed=3))


def test_a_spooled_photo_that_an_earlier_release_has_sent_meanwhile_is_not_sent_again(tmp_path: Path):
    (tmp_path / "data").touch()  # a file where the store should be
    feedback = feedback_at(tmp_path, Limits())
    assert keep(feedback, photo(seed=1)).stored == "spool"
    (tmp_path / "data").unlink()
    store = open_store(str(tmp_path / "data"))
    keep_as_earlier(store, photo(seed=1), reviewed="accepted")
    feedback.send()
    assert (names(store), feedback.spooled) == ({"feedback/grass"}, 0)
    assert [one.reviewed for one in corrections(store)] == ["accepted"]


def test_a_photo_that_two_releases_kept_at_once_is_one_correction_with_one_verdict(tmp_path: Path):
    store = open_store(str(tmp_path / "data"))
    feedback = feedback_at(tmp_path, Limits())
    digest = keep(feedback, photo(seed=1)).id
    keep_as_earlier(store, photo(seed=1))
    assert [one.sha256 for one in corrections(store)] == [digest]
    review(store, digest, "rejected")
    assert [one.reviewed for one in corrections(store)] == ["rejected"]
    feedback.count()
    assert all(b'"rejected"' in store.read(key, max_bytes=2**14)[0] for key in (
        f"feedback/grass/{digest}.json", f"feedback/{DEFAULT_PRODUCT}/grass/{digest}.json"
    ))  # fmt: skip
