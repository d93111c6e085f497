"""Copies as others publish them: seeded, and each what its kind says."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from runtime.image import ImageError, ImageSpec, decode
from tests.support.photos import photo
from training.data.altered_copies import ALTERATIONS, altered_copy

NAMES = [f"dandelion/{number}.jpg" for number in range(8)]


def copies(kind: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(altered_copy(photo(), kind, name=name, seed=1))) for name in NAMES]


@pytest.mark.parametrize("kind", ALTERATIONS)
def test_a_copy_is_seeded_by_name_kind_and_seed(kind: str) -> None:
    once = altered_copy(photo(), kind, name="a", seed=1)
    assert altered_copy(photo(), kind, name="a", seed=1) == once
    others = {altered_copy(photo(), kind, name=name, seed=seed) for name in NAMES for seed in (1, 2)}
    assert len(others) > 4
    assert decode(once, ImageSpec(height=32, width=32)).shape == (32, 32, 3)


def test_each_kind_is_what_it_says() -> None:
    width, height = Image.open(io.BytesIO(photo())).size
    assert all(copy.width > 1.4 * width and copy.height > 1.4 * height for copy in copies("enlarged"))
    shapes = [copy.width / copy.height / (width / height) for copy in copies("stretched")]
    assert all(max(shape, 1 / shape) > 1.2 for shape in shapes)
    assert {shape > 1 for shape in shapes} == {True, False}
    assert all(copy.size == (width, height) for kind in ("recompressed", "small copy", "grey") for copy in copies(kind))
    assert all(copy.width > width and copy.height > height for copy in copies("screenshot"))
    grey = np.asarray(copies("grey")[0].convert("RGB")).astype(int)
    assert abs(grey - grey.mean(axis=2, keepdims=True)).max() <= 2


def test_what_is_no_photo_is_refused() -> None:
    with pytest.raises(ImageError):
        altered_copy(b"no photo", "grey", name="a", seed=1)
