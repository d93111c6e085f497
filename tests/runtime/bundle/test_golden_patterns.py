from __future__ import annotations

import hashlib

import numpy as np
import pytest

from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.image import ImageSpec

SPEC = ImageSpec(height=96, width=128)


def test_the_drawings_are_the_same_on_every_host() -> None:
    drawings = b"".join(draw(pattern, 7, SPEC).tobytes() for pattern in sorted(PATTERNS))
    assert hashlib.sha256(drawings).hexdigest() == "fa0ae1a24d02cb8ffefb30593ab9a02a636957c33f24bd6faecb30b4a8cbf59b"


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_each_pattern_fills_the_input_and_changes_with_its_seed(pattern: str) -> None:
    first, second = draw(pattern, 0, SPEC), draw(pattern, 1, SPEC)
    assert first.shape == (96, 128, 3)
    assert first.dtype == np.uint8
    assert (first != second).any()
    assert first.std() > 5


@pytest.mark.parametrize("size", [(8, 8), (96, 128), (224, 224), (37, 51)])
@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_each_pattern_can_be_drawn_at_any_size(pattern: str, size: tuple[int, int]) -> None:
    height, width = size
    picture = draw(pattern, 3, ImageSpec(height=height, width=width))
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert (picture == draw(pattern, 3, ImageSpec(height=height, width=width))).all()


def test_an_unknown_pattern_is_refused() -> None:
    with pytest.raises(KeyError):
        draw("fractal", 0, SPEC)
