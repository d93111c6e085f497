from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from tests.support.photos import draw_photo, encode, half_with_end, photo, write_photos
from training.data.dataset import Dataset, DatasetError
from training.data.prepare import near_duplicates, prepare


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "raw", 10)


def test_folders_inside_a_class_folder_are_named_with_their_counts_and_those_of_programs_are_no_classes(
    raw: Path, tmp_path: Path
):
    write_photos(raw / "grass" / "2024", 3, labels=("may",))
    (raw / "@eaDir").mkdir()
    (raw / "grass" / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    manifest = prepare(raw, tmp_path / "processed")
    assert manifest.labels == ["dandelion", "grass"]
    reasons = {left.path: left.reason for left in manifest.left_out}
    assert reasons["grass/2024"] == "a folder with 3 files; `training fetch --source` takes them"
    assert "No such file" in reasons["grass/lost.jpg"]


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
    (raw / "grass" / "half.jpg").write_bytes(half_with_end(photo("grass", 97)))
    (raw / "grass" / ".hidden").write_text("ignored")
    manifest = prepare(raw, tmp_path / "processed")
    reasons = {item.path: item.reason for item in manifest.left_out}
    assert reasons.keys() == {"grass/text.jpg", "grass/empty.jpg", "grass/cut.jpg", "grass/icon.jpg", "grass/half.jpg"}
    assert "not a photo" in reasons["grass/text.jpg"]
    assert "empty" in reasons["grass/empty.jpg"]
    assert "broken" in reasons["grass/cut.jpg"]
    assert "damaged: pieces of the photo are missing" in reasons["grass/half.jpg"]
    assert "tiny: 16 x 16 px" in reasons["grass/icon.jpg"]
    assert len(manifest.photos) == 20
    assert not (tmp_path / "processed" / "grass" / "text.jpg").exists()


def test_a_photo_without_its_end_marker_is_taken(raw: Path, tmp_path: Path) -> None:
    (raw / "grass" / "endless.jpg").write_bytes(photo("grass", 97)[:-2])
    assert "grass/endless.jpg" in {item.path for item in prepare(raw, tmp_path / "processed").photos}


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


def test_a_run_that_was_interrupted_is_made_good(raw: Path, tmp_path: Path) -> None:
    processed = tmp_path / "processed"
    whole = prepare(raw, processed)
    (raw / "grass" / "0003.jpg").unlink()
    # As it looks after a kill between two photos: the journal, no manifest, and some of the photos.
    (processed / ".preparing.json").write_bytes(msgspec.json.encode([item.path for item in whole.photos]))
    (processed / "manifest.json").unlink()
    (processed / "dandelion" / "0001.jpg").unlink()
    with pytest.raises(DatasetError, match="run `python -m training prepare` first"):
        Dataset.open(processed)
    manifest = prepare(raw, processed)
    placed = {path.relative_to(processed).as_posix() for path in processed.rglob("*") if path.is_file()}
    assert placed == {item.path for item in manifest.photos} | {"manifest.json"}


def test_a_folder_with_other_files_is_refused_and_left_alone(raw: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "mine" / "documents" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("years of work")
    with pytest.raises(DatasetError, match="mine: holds files that `prepare` did not place; choose a new or empty"):
        prepare(raw, tmp_path / "mine")
    (tmp_path / "mine" / "manifest.json").write_text('{"photos": []}')
    with pytest.raises(DatasetError, match="mine: holds no record that `prepare` wrote"):
        prepare(raw, tmp_path / "mine")
    assert thesis.read_text() == "years of work"


def test_a_second_run_leaves_files_of_others_alone(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "processed")
    note = tmp_path / "processed" / "grass" / "note.txt"
    note.write_text("mine")
    shutil.rmtree(raw / "grass")
    write_photos(raw, 10, labels=("moss",))
    assert prepare(raw, tmp_path / "processed").labels == ["dandelion", "moss"]
    assert list((tmp_path / "processed" / "grass").iterdir()) == [note]


def test_a_manifest_cannot_name_files_elsewhere_to_remove(raw: Path, tmp_path: Path) -> None:
    processed = tmp_path / "processed"
    prepare(raw, processed)
    (tmp_path / "precious").write_text("kept")
    (processed / ".preparing.json").write_text('["../precious", "a/../../precious", "/etc/nothing"]')
    prepare(raw, processed)
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.parametrize("out", [".", "grass", ".."])
def test_the_raw_photos_are_never_the_place_of_the_dataset(raw: Path, out: str) -> None:
    before = sorted(raw.rglob("*"))
    with pytest.raises(DatasetError, match="is, holds or lies in the folder of the raw photos"):
        prepare(raw, raw / out)
    assert sorted(raw.rglob("*")) == before


def test_a_place_that_is_no_folder_is_refused(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "processed").write_text("a file")
    with pytest.raises(DatasetError, match="processed: Not a directory; choose another folder"):
        prepare(raw, tmp_path / "processed")


def test_symbolic_links_to_photos_become_photos(raw: Path, tmp_path: Path) -> None:
    for label in ("dandelion", "grass"):
        (tmp_path / "links" / label).mkdir(parents=True)
        for file in (raw / label).iterdir():
            (tmp_path / "links" / label / file.name).symlink_to(Path("../../raw") / label / file.name)
    manifest = prepare(tmp_path / "links", tmp_path / "elsewhere" / "deeper" / "processed")
    dataset = Dataset.open(tmp_path / "elsewhere" / "deeper" / "processed")
    assert all(dataset.read(item) for item in manifest.photos)


def test_a_name_that_is_not_utf8_is_left_out(raw: Path, tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(raw / "grass") + b"/caf\xe9.jpg")).write_bytes(photo("grass", 99))
    except OSError:
        pytest.skip("use a file system that takes names that are not UTF-8")
    (item,) = prepare(raw, tmp_path / "processed").left_out
    assert item.path == "grass/caf?.jpg"
    assert "not UTF-8" in item.reason


@pytest.mark.parametrize("fraction", [0.0, -0.2, 0.6, 1.0, float("nan")])
def test_a_validation_fraction_that_leaves_too_little_is_refused(raw: Path, tmp_path: Path, fraction: float) -> None:
    with pytest.raises(DatasetError, match=r"choose more than 0 and at most 0\.5"):
        prepare(raw, tmp_path / "processed", validation_fraction=fraction)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "no class folders; put the photos of each class in a folder of its own"),
        (("grass",), "only the class folder 'grass'; put"),
        (("daisy", "Grass", "grass"), "the class folders 'Grass' and 'grass' differ only in case or in how"),
        (("\u00e9pine", "e\u0301pine"), r"the class folders 'e\\u0301pine' and '\\xe9pine' differ only in case"),
        (("E\u0301PINE", "\u00e9pine"), "the class folders 'E\u0301PINE' and '\u00e9pine' differ only"),
    ],
)
def test_class_folders_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, labels: tuple[str, ...], message: str
) -> None:
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
    # Lawns that look alike are different photos all the same; these two are cut out of others.
    assert near_duplicates(manifest) == [
        ["grass/00000011.jpg", "grass/00000172.jpg"],
        ["grass/00000016.jpg", "grass/00000090.jpg"],
    ]
    with Image.open(io.BytesIO(Dataset.open(tmp_path / "processed").read(manifest.photos[0]))) as first:
        assert first.size == (manifest.photos[0].width, manifest.photos[0].height)
