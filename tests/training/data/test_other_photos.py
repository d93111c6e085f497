"""Photos of other things: fetched beside those of the classes, prepared as a class that is none of the user's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from runtime.names import DEFAULT_PRODUCT, UNKNOWN
from runtime.store import Store, open_store
from runtime.teaching.subjects import may_show
from tests.support.photos import draw_other, encode, photo, write_kinds, write_others, write_photos
from tests.support.web.photo_sources import names, serving
from training.__main__ import main
from training.data.dataset import Dataset, DatasetError, DatasetManifest
from training.data.download import FetchError
from training.data.fetch import fetch
from training.data.listing import read_other_list
from training.data.other.kinds import kind_of, subject_of
from training.data.other.sources import PUBLIC_LISTS, other_photos
from training.data.prepare import LEAST_OTHERS, prepare
from training.data.survey import survey
from training.feedback.accepted import bring_accepted
from training.pipeline.steps import waiting_feedback
from training.recipe import PUBLIC_OTHER
from training.storage.locations import Places

pytestmark = pytest.mark.usefixtures("no_long_pauses")


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    """Three photos of each of two kinds."""
    return write_kinds(tmp_path / "kinds", 3)


@pytest.fixture
def public(kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a server has of the public photos, of which there are the six of `kinds`."""
    with serving(kinds) as url:
        listed = [
            {
                "path": f"{UNKNOWN}/{name.replace('/', '--')}",
                "sha256": hashlib.sha256((kinds / name).read_bytes()).hexdigest(),
                "at": name,
            }
            for name in sorted(names(kinds))
        ]
        file = tmp_path / "public.json"
        file.write_text(json.dumps({"base_url": url, "photos": listed}))
        monkeypatch.setattr("training.data.other.sources.PUBLIC_LISTS", (file,))
        yield kinds


def test_the_recorded_lists_have_784_photos_at_fixed_commits() -> None:
    flowers, things = map(read_other_list, PUBLIC_LISTS)
    assert (len(flowers.photos), len(things.photos)) == (450, 334)
    assert {kind_of(one.path) for one in things.photos} == {"things"}
    assert len({kind_of(one.path) for one in flowers.photos}) == 9
    every = [*flowers.photos, *things.photos]
    assert len({one.sha256 for one in every}) == len({one.path for one in every}) == 784
    assert "876e29c6941fa22981238f99fa5fe704f70e379f" in str(flowers.base_url)
    assert "bc69043e2862758a1906c6a24a792bb28c6bb2ff" in str(things.base_url)


def test_the_recorded_lists_are_of_the_photos_in_the_folder() -> None:
    folder = os.environ.get("DANDELION_OTHER_PHOTOS")
    if folder is None:
        pytest.skip("set DANDELION_OTHER_PHOTOS to a folder of the public photos of other things, <kind>/<photo>")
    for one in (one for file in PUBLIC_LISTS for one in read_other_list(file).photos):
        data = (Path(folder) / str(kind_of(one.path)) / str(one.at)).read_bytes()
        assert (one.sha256, one.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize(
    ("path", "kind", "subject"),
    [
        (f"{UNKNOWN}/daisy--image_0801.jpg", "daisy", "daisy"),
        (f"{UNKNOWN}/things--n01440764_tench.JPEG", "things", "tench"),
        (f"{UNKNOWN}/mine.jpg", None, None),
    ],
)
def test_a_path_says_what_a_photo_shows(path: str, kind: str | None, subject: str | None) -> None:
    assert (kind_of(path), subject_of(path)) == (kind, subject)


@pytest.mark.parametrize(
    ("subject", "label", "shown"),
    [
        ("daisy", "Daisy", True),
        ("daisy", "daisies", True),
        ("daisy", "common daisy", True),
        ("tiger_shark", "sharks", True),
        ("daisy", "dandelion", False),
        ("grasshopper", "grass", False),
        ("white_wolf", "white clover", False),
    ],
)
def test_what_may_be_a_class_is_told_by_names(subject: str, label: str, shown: bool) -> None:
    assert may_show(subject, [label]) is shown


def test_a_users_class_leaves_its_kind_out() -> None:
    found = other_photos(PUBLIC_OTHER, ["daisy", "lion", "moss"])
    assert found.left_out == ["daisy", "lion", "sea_lion"]
    assert len(found.photos) == 784 - 50 - 2


def test_other_photos_are_fetched_beside_those_of_the_classes(photos: Path, public: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    done = fetch(raw, source=str(photos), other=PUBLIC_OTHER)
    assert (done.photos, done.other, done.without_other) == ({"dandelion": 3, "grass": 3}, 6, None)
    assert sorted(file.name for file in (raw / UNKNOWN).iterdir()) == sorted(
        name.replace("/", "--") for name in names(public)
    )
    assert fetch(raw, source=str(photos), other=PUBLIC_OTHER).resumed == 12


def test_a_second_run_fetches_only_the_other_photos_that_are_missing(
    photos: Path, public: Path, tmp_path: Path
) -> None:
    missing = public / "rings" / "0002.jpg"
    kept = missing.read_bytes()
    missing.unlink()
    raw = tmp_path / "raw"
    done = fetch(raw, source=str(photos), other=PUBLIC_OTHER, workers=1)
    assert (done.photos, done.other) == ({"dandelion": 3, "grass": 3}, 0)
    assert "rings/0002.jpg: the server answered 404" in str(done.without_other)
    assert not (raw / UNKNOWN).exists()
    missing.write_bytes(kept)
    again = fetch(raw, source=str(photos), other=PUBLIC_OTHER)
    assert (again.other, again.resumed, again.without_other) == (6, 11, None)


def test_without_a_network_it_says_so_in_a_line_and_goes_on(
    photos: Path, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "public.json"
    listed = json.loads(file.read_text())
    file.write_text(json.dumps(listed | {"base_url": "http://127.0.0.1:9"}))
    arguments = ["fetch", "--source", str(photos), "--out", str(tmp_path / "raw"), "--other", "public"]
    monkeypatch.setattr("training.data.download.FIRST_PAUSE_S", 0.001)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.output.splitlines() if "without photos of other things" in line]
    assert "127.0.0.1:9" in line
    assert "another run goes on with them" in line
    assert names(tmp_path / "raw") == names(photos)


def test_photos_that_are_not_what_was_recorded_are_not_taken(photos: Path, public: Path, tmp_path: Path) -> None:
    (public / "boxes" / "0000.jpg").write_bytes(photo("grass", 5))
    done = fetch(tmp_path / "raw", source=str(photos), other=PUBLIC_OTHER)
    assert "boxes/0000.jpg: is not the photo that was recorded" in str(done.without_other)
    assert not (tmp_path / "raw" / UNKNOWN).exists()


def test_other_photos_that_are_not_wanted_any_more_are_removed(photos: Path, public: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    fetch(raw, source=str(photos), other=PUBLIC_OTHER)
    assert fetch(raw, source=str(photos)).removed == 6
    assert not (raw / UNKNOWN).exists()


def test_a_folder_of_kinds_stands_in_for_the_public_photos(photos: Path, kinds: Path, tmp_path: Path) -> None:
    (kinds / "loose.jpg").write_bytes(photo("grass", 50))
    done = fetch(tmp_path / "raw", source=str(photos), other=str(kinds))
    assert (done.other, done.without_other) == (7, None)
    assert (tmp_path / "raw" / UNKNOWN / "boxes--0001.jpg").read_bytes() == (kinds / "boxes/0001.jpg").read_bytes()
    assert (tmp_path / "raw" / UNKNOWN / "loose.jpg").exists()


def test_a_users_own_photos_of_other_things_are_taken(photos: Path, kinds: Path, tmp_path: Path) -> None:
    shutil.copytree(kinds, photos / UNKNOWN)
    done = fetch(tmp_path / "raw", source=str(photos))
    assert (done.photos, done.other) == ({"dandelion": 3, "grass": 3}, 6)


def test_no_other_and_the_kinds_that_are_left_out_are_said(photos: Path, kinds: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (photos / "grass").rename(photos / "box")
    arguments = ["fetch", "--source", str(photos), "--out", str(raw), "--other", str(kinds)]
    done = CliRunner().invoke(main, arguments)
    assert "other things that may be one of the classes, left out: boxes" in done.output
    assert "3 dandelion, 3 of other things" in done.output
    assert "of other things" not in CliRunner().invoke(main, [*arguments, "--no-other"]).output
    assert not (raw / UNKNOWN).exists()


@pytest.mark.parametrize(
    ("make", "reason"), [(False, "is not a folder; --other takes"), (True, "is empty; put photos")]
)
def test_a_folder_without_photos_is_refused(photos: Path, tmp_path: Path, make: bool, reason: str) -> None:
    folder = tmp_path / "none"
    if make:
        folder.mkdir()
    with pytest.raises(FetchError, match=reason):
        fetch(tmp_path / "raw", source=str(photos), other=str(folder))


def test_the_reserved_name_in_another_case_is_refused(photos: Path, tmp_path: Path) -> None:
    (photos / "grass").rename(photos / "(Unknown)")
    with pytest.raises(FetchError, match=r"the folder '\(Unknown\)' must be spelt '\(unknown\)'"):
        fetch(tmp_path / "raw", source=str(write_photos(photos, 2, labels=("moss",))))
    with pytest.raises(DatasetError, match=r"\(Unknown\): is reserved for photos of none of the classes"):
        prepare(photos, tmp_path / "processed")


def prepared(folder: Path, per_kind: int = 10) -> tuple[DatasetManifest, Dataset]:
    raw = write_photos(folder / "raw", 10)
    if per_kind:
        write_others(raw, per_kind)
    manifest = prepare(raw, folder / "processed")
    return manifest, Dataset.open(folder / "processed")


def test_photos_of_other_things_are_a_class_that_is_none_of_the_users(tmp_path: Path) -> None:
    manifest, dataset = prepared(tmp_path)
    assert (manifest.schema_version, dataset.labels) == (2, ["dandelion", "grass"])
    assert dataset.classes == ["dandelion", "grass", UNKNOWN]
    others = [one for one in manifest.photos if one.label == UNKNOWN]
    for kind in ("boxes", "rings"):
        splits = [one.split for one in others if kind_of(one.path) == kind]
        assert (splits.count("train"), splits.count("validation")) == (8, 2)
    assert all(dataset.read(one) for one in others)


def test_the_classes_photos_are_split_as_without_others(tmp_path: Path) -> None:
    with_, without = prepared(tmp_path / "with")[1], prepared(tmp_path / "without", 0)[1]
    assert without.manifest.schema_version == 1
    assert without.classes == without.labels
    kept = with_.of_classes().photos()
    assert [(one.path, one.split) for one in kept] == [(one.path, one.split) for one in without.photos()]
    assert with_.of_classes().manifest.schema_version == 1


def test_copies_of_an_other_photo_stay_together_and_with_a_class_they_yield(tmp_path: Path) -> None:
    raw = write_others(write_photos(tmp_path / "raw", 10), 12)
    shutil.copy(raw / "grass" / "0003.jpg", raw / UNKNOWN / "feedback-1.jpg")
    manifest = prepare(raw, tmp_path / "processed")
    (left,) = manifest.left_out
    assert (left.path, left.reason) == (
        f"{UNKNOWN}/feedback-1.jpg",
        "the same file as grass/0003.jpg, which is of a class",
    )
    assert "grass/0003.jpg" in [one.path for one in manifest.photos]
    assert survey(raw).contradictions == []


def test_too_few_other_photos_are_left_out_and_why_is_said(tmp_path: Path) -> None:
    manifest, dataset = prepared(tmp_path, LEAST_OTHERS // 2 - 1)
    assert not dataset.has_unknown
    assert manifest.schema_version == 1
    assert {left.path.split("/")[0] for left in manifest.left_out} == {UNKNOWN}
    assert f"it takes {LEAST_OTHERS}" in manifest.left_out[0].reason


def test_prepare_counts_other_things_beside_the_classes(tmp_path: Path) -> None:
    raw = write_others(write_photos(tmp_path / "raw", 10), 10)
    arguments = ["prepare", "--raw", str(raw), "--out", str(tmp_path / "processed"), "--no-inspect"]
    output = CliRunner().invoke(main, arguments).output
    assert "other things: 16 to train, 4 to validate" in output
    assert UNKNOWN not in output


def test_a_later_schema_of_datasets_is_refused(tmp_path: Path) -> None:
    _, dataset = prepared(tmp_path)
    file = dataset.path / "manifest.json"
    file.write_text(file.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    with pytest.raises(DatasetError, match="schema version 3, this release reads 1 and 2"):
        Dataset.open(dataset.path)


def test_every_fold_has_its_share_of_each_kind(tmp_path: Path) -> None:
    from training.data.split import assign_photos

    _, dataset = prepared(tmp_path)
    photos = dataset.photos()
    folds = assign_photos(photos, [one.group for one in photos], 5, seed=3)
    assert np.array_equal(folds, assign_photos(photos, [one.group for one in photos], 5, seed=3))
    for kind in ("boxes", "rings"):
        rows = [row for row, one in enumerate(photos) if kind_of(one.path) == kind]
        assert np.bincount(folds[rows], minlength=5).tolist() == [2] * 5


def corrected(store: Store, seed: int) -> None:
    """An accepted correction: none of these."""
    data = encode(draw_other("boxes", seed))
    digest = hashlib.sha256(data).hexdigest()
    record = {"sha256": digest, "label": UNKNOWN, "received": "2026", "reviewed": "accepted"}
    store.write(f"feedback/{DEFAULT_PRODUCT}/{UNKNOWN}/{digest}.jpeg", data)
    store.write(f"feedback/{DEFAULT_PRODUCT}/{UNKNOWN}/{digest}.json", json.dumps(record).encode())


def test_what_users_call_none_of_these_joins_the_photos_of_other_things(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    raw = write_photos(tmp_path / "raw", 10)
    corrected(store, 70)
    assert bring_accepted(store, raw) == 1
    (laid,) = (raw / UNKNOWN).iterdir()
    assert laid.name.startswith("feedback-")
    write_others(raw, 10)
    manifest = prepare(raw, tmp_path / "processed")
    assert manifest.labels == ["dandelion", "grass"]
    assert f"{UNKNOWN}/{laid.name}" in [one.path for one in manifest.photos]


def test_corrections_too_few_to_learn_from_start_no_training(tmp_path: Path) -> None:
    places = Places(data=str(tmp_path / "data"), models="", work=tmp_path / "work", tracking="")
    places.data_store.create()
    for seed in range(LEAST_OTHERS - 1):
        corrected(places.data_store, seed)
    assert waiting_feedback(places) == {"accepted": LEAST_OTHERS - 1, "new": 0}
    corrected(places.data_store, LEAST_OTHERS)
    assert waiting_feedback(places) == {"accepted": LEAST_OTHERS, "new": LEAST_OTHERS}
