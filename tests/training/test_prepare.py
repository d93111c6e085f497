from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.photos import draw_photo, encode, photo, write_photos
from training.dataset import Dataset, DatasetError
from training.prepare import near_duplicates, prepare


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "raw", 10)


def test_a_dataset_is_split_by_class_and_has_one_hash(raw: Path, tmp_path: Path) -> None:
    manifest = prepare(raw, tmp_path / "processed")
    for label in ("dandelion", "grass"):
        splits = [item.split for item in manifest.photos if item.label == label]
        assert (splits.count("train"), splits.count("validation")) == (8, 2)
    dataset = Dataset.open(tmp_path / "processed")
    assert dataset.manifest == manifest
    assert all(dataset.read(item) for item in dataset.photos())
    assert prepare(raw, tmp_path / "again").sha256 == manifest.sha256
    assert prepare(raw, tmp_path / "other", seed=7).sha256 != manifest.sha256


def test_labels_are_the_names_of_the_class_folders(tmp_path: Path) -> None:
    write_photos(tmp_path / "raw", 6, labels=("moss", "clover", "grass"))
    assert prepare(tmp_path / "raw", tmp_path / "processed").labels == ["clover", "grass", "moss"]


def test_what_is_no_good_photo_is_listed_and_left_out(raw: Path, tmp_path: Path) -> None:
    (raw / "grass" / "text.jpg").write_text("not a photo")
    (raw / "grass" / "empty.jpg").touch()
    (raw / "grass" / "cut.jpg").write_bytes(photo("grass", 99)[:-300])
    (raw / "grass" / "icon.jpg").write_bytes(photo("grass", 98, size=(16, 16)))
    (raw / "grass" / ".hidden").write_text("ignored")
    manifest = prepare(raw, tmp_path / "processed")
    reasons = {item.path: item.reason for item in manifest.left_out}
    assert reasons.keys() == {"grass/text.jpg", "grass/empty.jpg", "grass/cut.jpg", "grass/icon.jpg"}
    assert "not a photo" in reasons["grass/text.jpg"]
    assert "empty" in reasons["grass/empty.jpg"]
    assert "broken" in reasons["grass/cut.jpg"]
    assert "tiny: 16 x 16 px" in reasons["grass/icon.jpg"]
    assert len(manifest.photos) == 20
    assert not (tmp_path / "processed" / "grass" / "text.jpg").exists()


def test_a_copy_is_kept_once_and_a_contradiction_not_at_all(raw: Path, tmp_path: Path) -> None:
    (raw / "grass" / "copy.jpg").write_bytes(photo("grass", 0))
    (raw / "grass" / "yellow.jpg").write_bytes(photo("dandelion", 1))
    manifest = prepare(raw, tmp_path / "processed")
    reasons = {item.path: item.reason for item in manifest.left_out}
    assert reasons["grass/copy.jpg"] == "the same file as grass/0000.jpg"
    assert "stands under dandelion and grass" in reasons["grass/yellow.jpg"]
    assert "stands under dandelion and grass" in reasons["dandelion/0001.jpg"]


def test_near_duplicates_stay_in_one_split(raw: Path, tmp_path: Path) -> None:
    image = draw_photo("dandelion", 0)
    for name, edited in {
        "resized": encode(image.resize((144, 108))),
        "recompressed": encode(image, quality=40),
        "darker": encode(image.point(lambda value: int(value * 0.85))),
    }.items():
        (raw / "dandelion" / f"{name}.jpg").write_bytes(edited)
    manifest = prepare(raw, tmp_path / "processed")
    assert near_duplicates(manifest) == [
        ["dandelion/0000.jpg", "dandelion/darker.jpg", "dandelion/recompressed.jpg", "dandelion/resized.jpg"]
    ]
    assert len({item.split for item in manifest.photos if item.path in near_duplicates(manifest)[0]}) == 1


def test_a_second_run_replaces_the_first(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "processed")
    (raw / "grass" / "0003.jpg").unlink()
    prepare(raw, tmp_path / "processed")
    assert not (tmp_path / "processed" / "grass" / "0003.jpg").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "no class folders; put the photos of each class in a folder of its own"),
        (("grass",), "only the class folder 'grass'; put"),
    ],
)
def test_fewer_than_two_class_folders_are_refused(tmp_path: Path, labels: tuple[str, ...], message: str) -> None:
    (tmp_path / "raw").mkdir()
    write_photos(tmp_path / "raw", 10, labels=labels)
    with pytest.raises(DatasetError, match=message):
        prepare(tmp_path / "raw", tmp_path / "processed")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder; run `python -m training fetch` first"):
        prepare(tmp_path / "raw", tmp_path / "processed")


def test_a_class_without_a_usable_photo_is_refused(raw: Path, tmp_path: Path) -> None:
    (raw / "moss").mkdir()
    (raw / "moss" / "a.jpg").write_text("no photo")
    with pytest.raises(DatasetError, match="moss: holds no usable photo; add photos or remove the folder"):
        prepare(raw, tmp_path / "processed")


def test_fewer_photos_than_the_split_needs_are_refused(tmp_path: Path) -> None:
    write_photos(tmp_path / "raw", 4)
    with pytest.raises(DatasetError, match="has 4 different photos, a split in 5 parts needs at least 5; add photos"):
        prepare(tmp_path / "raw", tmp_path / "processed")
    assert not (tmp_path / "processed").exists()


def test_a_photo_that_changed_since_is_refused(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "processed")
    dataset = Dataset.open(tmp_path / "processed")
    first, second, *_ = dataset.photos()
    (tmp_path / "processed" / first.path).write_bytes(b"other")
    (tmp_path / "processed" / second.path).unlink()
    with pytest.raises(DatasetError, match="has changed since it was prepared"):
        dataset.read(first)
    with pytest.raises(DatasetError, match="No such file"):
        dataset.read(second)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "prepare` again"), ('{"schema_version": 1}', "labels"), (None, "run `python -m training prepare` first")],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(tmp_path)


def test_the_real_photos_are_all_usable(tmp_path: Path) -> None:
    folder = os.environ.get("DANDELION_PHOTOS")
    if folder is None:
        pytest.skip("set DANDELION_PHOTOS to a folder of the real photos (python -m training fetch brings them)")
    manifest = prepare(Path(folder), tmp_path / "processed")
    assert len(manifest.photos) == 400
    assert manifest.left_out == []
    with Image.open(io.BytesIO(Dataset.open(tmp_path / "processed").read(manifest.photos[0]))) as first:
        assert first.size == (manifest.photos[0].width, manifest.photos[0].height)
