"""Features in the database: whole, in a fixed order, and read a batch at a time."""

from __future__ import annotations

import tracemalloc

import numpy as np

from runtime.teaching.workspace.features import READ
from runtime.teaching.workspace.workspace import Workspace
from tests.runtime.teaching.workspace.test_history import add

VIEWS, FEATURES = 2, 512
KEY = "b 2"


def sums(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 50_000, (VIEWS, FEATURES)).astype(np.uint16)


def test_examples_are_the_labelled_photos_with_features_in_the_order_of_their_content(
    workspace: Workspace, dataset: str
) -> None:
    known = {}
    for number in range(12):
        label = (None, "grass", "dandelion")[number % 3]
        photo = add(workspace, dataset, number, label)
        if number != 7:
            workspace.features.keep(photo, KEY, sums(number), number / 100)
            known[photo] = number
    removed = add(workspace, dataset, 20)
    workspace.features.keep(removed, KEY, sums(20), 0.2)
    workspace.photos.remove(dataset, [removed])
    examples = workspace.features.examples(dataset, KEY)
    assert examples.labels == ["dandelion", "grass"]
    assert list(examples.photos) == sorted(photo for photo, number in known.items() if number % 3)
    for photo, truth, features, brightness in zip(
        examples.photos, examples.truth, examples.features, examples.brightness, strict=True
    ):
        number = known[photo]
        assert truth == (number % 3 == 1)
        assert np.array_equal(features, sums(number))
        assert brightness == np.float32(number / 100)


def test_features_of_another_backbone_are_others(workspace: Workspace, dataset: str) -> None:
    photo = add(workspace, dataset, 1)
    workspace.features.keep(photo, KEY, sums(1), 0.5)
    assert workspace.features.unseen(KEY, 10) == []
    assert [each.sha256 for each in workspace.features.unseen("other 2", 10)] == [photo]
    assert len(workspace.features.examples(dataset, "other 2").photos) == 0
    assert workspace.datasets.get(dataset, "other 2").waiting == 1


def test_a_dataset_without_photos_has_classes_alone(workspace: Workspace, dataset: str) -> None:
    examples = workspace.features.examples(dataset, KEY)
    assert (list(examples.labels), len(examples.photos), examples.counts.tolist()) == (
        ["dandelion", "grass"],
        0,
        [0, 0],
    )


def test_features_of_a_photo_that_was_deleted_meanwhile_are_not_kept(workspace: Workspace, dataset: str) -> None:
    workspace.features.keep("0" * 64, KEY, sums(1), 0.5)
    with workspace.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM features").fetchone()[0] == 0


def test_ten_thousand_photos_take_no_more_memory_than_their_features(workspace: Workspace, dataset: str) -> None:
    count = 10_000
    blob, hashes = sums(1).tobytes(), [f"{number:064x}" for number in range(count)]
    with workspace.database.changing() as connection:
        (class_,) = connection.execute("SELECT number FROM classes WHERE label = 'grass'").fetchone()
        connection.executemany(
            "INSERT INTO photos (dataset, sha256, name, class, source, added, size_bytes) "
            "VALUES (?, ?, 'n', ?, 'upload', 0, 1)",
            [(dataset, sha256, class_) for sha256 in hashes],
        )
        connection.executemany(
            "INSERT INTO features (sha256, backbone, views, brightness, sums) VALUES (?, ?, ?, 0.5, ?)",
            [(sha256, KEY, VIEWS, blob) for sha256 in hashes],
        )
    tracemalloc.start()
    examples = workspace.features.examples(dataset, KEY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(examples.photos) == count
    own = count * VIEWS * FEATURES * 2
    assert examples.features.nbytes == own
    assert peak < own + 20e6 + READ * VIEWS * FEATURES * 2
    described = workspace.datasets.get(dataset, KEY)
    assert (described.waiting, described.classes[1].photos) == (0, count)
