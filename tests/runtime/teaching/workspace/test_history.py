"""Undo: a random walk of changes is taken back, step by step, to exactly what was there before each."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from runtime.teaching.workspace.errors import Conflict, NotThere, WorkspaceError
from runtime.teaching.workspace.history import KEPT
from runtime.teaching.workspace.photos import NewPhoto
from runtime.teaching.workspace.workspace import Workspace


def add(workspace: Workspace, dataset: str, number: int, label: str | None = "grass", batch: str | None = None) -> str:
    photo = NewPhoto(f"{number}.jpg", number.to_bytes(4, "big"), b"thumbnail")
    added = workspace.photos.add(dataset, photo, label, "upload", batch)
    assert added.id
    return added.id


def state_of(workspace: Workspace, dataset: str) -> Any:
    """Everything that a change may alter, and undo must bring back."""
    with workspace.database.reading() as connection:
        photos = connection.execute(
            "SELECT sha256, label, removed_by IS NULL FROM photos LEFT JOIN classes ON class = classes.number "
            "WHERE photos.dataset = ? ORDER BY photos.number",
            [dataset],
        ).fetchall()
        labels = connection.execute("SELECT number, label FROM classes WHERE dataset = ? ORDER BY number", [dataset])
        labelled = connection.execute("SELECT labelled FROM datasets WHERE id = ?", [dataset]).fetchone()[0]
        return [tuple(row) for row in photos], [tuple(row) for row in labels.fetchall()], labelled


def step(workspace: Workspace, dataset: str, chance: random.Random, number: int) -> None:
    photos = [photo.id for photo in workspace.photos.page(dataset, "", limit=1000).photos]
    removed = [photo.id for photo in workspace.photos.page(dataset, "", removed=True, limit=1000).photos]
    labels = [each.label for each in workspace.datasets.classes(dataset)]
    some = chance.sample(photos, min(len(photos), chance.randint(0, 4)))
    match chance.randrange(7):
        case 0 | 1:
            add(workspace, dataset, number, chance.choice([*labels, None]))
        case 2:
            workspace.photos.label(dataset, some + removed[:1], chance.choice([*labels, None]))
        case 3:
            workspace.photos.remove(dataset, some)
        case 4:
            workspace.datasets.add_class(dataset, f"class {number}")
        case 5 if labels:
            workspace.datasets.rename_class(dataset, chance.choice(labels), chance.choice(["x", "y", f"z {number}"]))
        case 6 if labels:
            workspace.datasets.delete_class(dataset, chance.choice(labels))


@pytest.mark.parametrize("seed", range(8))
def test_every_step_of_a_random_walk_is_undone(workspace: Workspace, dataset: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    states = []
    for number in range(40):
        before, revision = state_of(workspace, dataset), workspace.datasets.get(dataset, "").revision
        try:
            step(workspace, dataset, chance, number)
        except WorkspaceError:
            assert state_of(workspace, dataset) == before
        if workspace.datasets.get(dataset, "").revision != revision:
            states.append(before)
    for before in reversed(states):
        workspace.photos.undo(dataset)
        assert state_of(workspace, dataset) == before


def test_what_changes_nothing_is_no_step(workspace: Workspace, dataset: str) -> None:
    photo = add(workspace, dataset, 1)
    before = workspace.datasets.get(dataset, "")
    workspace.photos.label(dataset, [photo], "grass")
    workspace.photos.label(dataset, [], "dandelion")
    workspace.photos.remove(dataset, [])
    workspace.datasets.rename_class(dataset, "grass", "grass")
    add(workspace, dataset, 1)
    assert workspace.datasets.get(dataset, "") == before


def test_photos_whose_removal_is_too_old_to_be_undone_are_deleted(workspace: Workspace, dataset: str) -> None:
    kept, gone = add(workspace, dataset, 1), add(workspace, dataset, 2)
    workspace.features.keep(gone, "b", _sums(), 0.5)
    workspace.photos.remove(dataset, [gone])
    for number in range(KEPT - 1):
        workspace.photos.label(dataset, [kept], ("dandelion", "grass")[number % 2])
    assert workspace.datasets.get(dataset, "").removed == 1
    assert workspace.files.photo(dataset, gone).exists()
    workspace.photos.label(dataset, [kept], None)
    assert workspace.datasets.get(dataset, "").removed == 0
    assert not workspace.files.photo(dataset, gone).exists()
    with pytest.raises(NotThere):
        workspace.files.thumbnail(dataset, gone)
    with workspace.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM features").fetchone()[0] == 0
    for _ in range(KEPT):
        workspace.photos.undo(dataset)
    with pytest.raises(Conflict, match="nothing to undo"):
        workspace.photos.undo(dataset)


def test_features_stay_while_another_dataset_has_the_photo(workspace: Workspace, dataset: str) -> None:
    other = workspace.datasets.create("other")
    photo = add(workspace, dataset, 1)
    assert add(workspace, other, 1, None) == photo
    workspace.features.keep(photo, "b", _sums(), 0.5)
    workspace.photos.undo(dataset)
    assert workspace.photos.page(other, "b").photos[0].ready
    workspace.delete(other)
    with workspace.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM features").fetchone()[0] == 0


def test_two_datasets_do_not_mix(workspace: Workspace, dataset: str) -> None:
    other = workspace.datasets.create("other")
    photo = add(workspace, dataset, 1)
    for change in (
        lambda: workspace.photos.label(other, [photo], None),
        lambda: workspace.photos.remove(other, [photo]),
        lambda: workspace.photos.undo(other),
        lambda: workspace.photos.check(other, photo),
    ):
        with pytest.raises((NotThere, Conflict)):
            change()
    assert state_of(workspace, other)[:2] == ([], [])


def _sums() -> Any:
    return np.ones((2, 3), np.uint16)
