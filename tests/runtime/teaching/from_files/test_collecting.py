"""Examples from files: what cannot be read or contradicts itself is left out by name; copies count once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.host.photo_limits import DEFAULT_LIMITS
from runtime.teaching.backbone import Backbone
from runtime.teaching.from_files.collecting import Collected, collect
from runtime.teaching.from_files.labelled_files import LabelledFile, in_folder
from tests.support.photos import photo, write_photos


def collected(folder: Path, backbone: Backbone, threads: int = 2) -> Collected:
    counted: list[None] = []
    files = in_folder(folder)
    extractor = backbone.extractor(threads=1)
    found = collect(files, extractor, DEFAULT_LIMITS, threads=threads, advance=lambda: counted.append(None))
    assert len(counted) == len(files)
    return found


def test_files_become_examples_whatever_the_threads(tmp_path: Path, backbone: Backbone) -> None:
    folder = write_photos(tmp_path, 5)
    one, four = (collected(folder, backbone, threads) for threads in (1, 4))
    assert one.examples.labels == ["dandelion", "grass"]
    assert one.examples.counts.tolist() == [5, 5]
    assert list(one.examples.photos) == sorted(one.examples.photos) == list(four.examples.photos)
    assert np.array_equal(one.examples.features, four.examples.features)
    assert one.examples.features.dtype == np.uint16
    assert {file.parent.name for file in one.files.values()} == {"dandelion", "grass"}


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path, backbone: Backbone) -> None:
    folder = write_photos(tmp_path, 3)
    (folder / "grass" / "text.jpg").write_text("no photo")
    (folder / "grass" / "half.jpg").write_bytes(photo("grass", 9)[:200])
    (folder / "grass" / "gone.jpg").symlink_to("nowhere")
    found = collected(folder, backbone)
    assert found.examples.counts.tolist() == [3, 3]
    reasons = {path.name: reason for path, reason in found.unreadable}
    assert "not a photo in an accepted format" in reasons["text.jpg"]
    assert "broken" in reasons["half.jpg"]
    assert "No such file" in reasons["gone.jpg"]


def test_copies_count_once_and_contradictions_not_at_all(tmp_path: Path, backbone: Backbone) -> None:
    folder = write_photos(tmp_path, 4)
    (folder / "grass" / "copy.jpg").write_bytes((folder / "grass" / "0000.jpg").read_bytes())
    (folder / "dandelion" / "also.jpg").write_bytes((folder / "grass" / "0001.jpg").read_bytes())
    found = collected(folder, backbone)
    assert found.examples.counts.tolist() == [4, 3]
    assert found.copies == 1
    assert [sorted(path.name for path in same) for same in found.contradictory] == [["0001.jpg", "also.jpg"]]


def test_nothing_that_can_be_read_gives_no_examples(tmp_path: Path, backbone: Backbone) -> None:
    files = [LabelledFile(tmp_path / "a.jpg", "x"), LabelledFile(tmp_path / "b.jpg", "y")]
    found = collect(files, backbone.extractor(threads=1), DEFAULT_LIMITS, threads=1, advance=lambda: None)
    assert found.examples.counts.tolist() == [0, 0]
    assert len(found.unreadable) == 2
