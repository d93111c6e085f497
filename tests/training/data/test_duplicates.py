from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.support.photos import draw_photo, encode, write_photos
from training.data.duplicates import find_matches, group_numbers, thumbnail_of
from training.data.duplicates.windows import describe, symmetric, turned
from training.data.prepare import near_duplicates, prepare
from training.data.survey import survey
from training.inspection.duplicate_kinds import KINDS

# What ordinary augmentation makes of a photo, and is found of drawn ones, too.
FOUND = [
    *("mirrored", "upside down", "turned by 90°", "turned by 180°", "turned by 270°", "transposed", "transversed"),
    *("letterboxed, grey", "letterboxed, black", "letterboxed, white", "cropped by 5 %", "cropped by 10 %"),
    *("centre square", "mirrored, cropped by 10 %", "mirrored, centre square", "stretched to a square"),
    *("half the size", "grey", "half the brightness", "saved again as JPEG of quality 30"),
]


def thumbnail(picture: Image.Image) -> object:
    return thumbnail_of(np.asarray(picture.resize((256, 256))), *picture.size)


@pytest.mark.parametrize("kind", FOUND)
def test_a_copy_is_found_and_different_photos_are_not(kind: str) -> None:
    originals = [draw_photo(label, seed, (320, 240)) for label in ("dandelion", "grass") for seed in range(4)]
    generator = np.random.default_rng(0)
    copies = [KINDS[kind](original, generator) for original in originals]
    matches = find_matches([thumbnail(picture) for picture in (*originals, *copies)])  # type: ignore[misc]
    found = {(match.whole % 8, match.part % 8) for match in matches}
    same = {(row, row) for row in range(8)}
    # Cropped blades of grass, 2 px wide as they are drawn, are too fine for the thumbnails.
    assert same >= found >= {(row, row) for row in range(4 if "crop" in kind or "square" in kind else 8)}
    assert group_numbers(16, matches)[:8] == list(range(8))


def test_the_order_of_the_symmetries_is_that_of_the_descriptors() -> None:
    grey = np.random.default_rng(0).uniform(0, 255, (1, 64, 64)).astype(np.float32)
    square = np.ones(8, np.float32)
    pictures = np.stack([turned(grey[0], symmetry) for symmetry in range(8)])
    assert np.allclose(symmetric(describe(grey, square[:1])[:, 0])[:, 0], describe(pictures, square)[:, 0], atol=1e-4)


def test_plain_photos_are_not_taken_for_one_another() -> None:
    plain = [Image.new("RGB", (200, 150), (value, value, value)) for value in (0, 128, 128, 255)]
    assert find_matches([thumbnail(picture) for picture in plain]) == []  # type: ignore[misc]
    assert find_matches([]) == []


def test_a_match_says_what_was_done() -> None:
    original = draw_photo("grass", 1, (320, 240))
    mirrored, cropped = ImageOps.mirror(original), ImageOps.crop(original, (48, 36, 48, 36))
    how = [match.how for match in find_matches([thumbnail(each) for each in (original, mirrored)])]  # type: ignore[misc]
    assert how == ["mirrored"]
    how = [match.how for match in find_matches([thumbnail(each) for each in (original, cropped)])]  # type: ignore[misc]
    assert how[0].startswith("cropped to ")


def test_an_augmented_folder_is_split_by_picture(tmp_path: Path) -> None:
    raw = write_photos(tmp_path / "raw", 6)
    for label in ("dandelion", "grass"):
        for seed in range(6):
            original = draw_photo(label, seed)
            (raw / label / f"{seed:04}-mirrored.jpg").write_bytes(encode(ImageOps.mirror(original)))
            (raw / label / f"{seed:04}-turned.jpg").write_bytes(encode(original.transpose(Image.Transpose.ROTATE_90)))
    manifest = prepare(raw, tmp_path / "processed")
    assert sorted(map(len, near_duplicates(manifest))) == [3] * 12
    split_of = {photo.path: photo.split for photo in manifest.photos}
    assert all(len({split_of[path] for path in group}) == 1 for group in near_duplicates(manifest))


def test_the_same_picture_under_two_classes_is_named_and_neither_is_trained_on(tmp_path: Path) -> None:
    raw = write_photos(tmp_path / "raw", 6)
    (raw / "grass" / "mirrored.jpg").write_bytes(encode(ImageOps.mirror(draw_photo("dandelion", 2))))
    manifest = prepare(raw, tmp_path / "processed")
    reasons = {left.path: left.reason for left in manifest.left_out}
    assert reasons.keys() == {"dandelion/0002.jpg", "grass/mirrored.jpg"}
    assert "the same picture as grass/mirrored.jpg of another class (mirrored)" in reasons["dandelion/0002.jpg"]
    assert "the same picture as dandelion/0002.jpg of another class" in reasons["grass/mirrored.jpg"]
    assert len(manifest.photos) == 11


def test_a_part_of_a_picture_under_another_class_is_kept_and_named(tmp_path: Path) -> None:
    raw = write_photos(tmp_path / "raw", 6)
    part = ImageOps.crop(draw_photo("grass", 2), (14, 11, 14, 11))
    (raw / "dandelion" / "part.jpg").write_bytes(encode(part))
    found = survey(raw)
    assert found.contradictions == []
    assert [{pair.one.path, pair.other.path} for pair in found.pairs] == [{"dandelion/part.jpg", "grass/0002.jpg"}]
    assert found.pairs[0].across
    assert len(found.photos) == 13
