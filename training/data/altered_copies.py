"""Robustness copies: a photo as other people publish it, for validation and not for training.

Photos that are gathered from the web have been enlarged, stretched to another shape, recompressed, blown up from a
small preview, cut out of a screenshot or turned to grey by whoever published them. A validation on photos of one
source sees none of that, and promises too much. Each kind is a seeded change of the encoded photo; the copy is then
decoded as a photo is served.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps

from runtime.image import preview

Alteration = Callable[[Image.Image, Generator], tuple[Image.Image, int]]

LONGEST_SIDE = 1600  # px of a copy: enough to see what enlarging does, and quick
_PLAIN = (78, 92)  # JPEG quality where compression is not what is tried


def altered_copy(data: bytes, kind: str, *, name: str, seed: int) -> bytes:
    """An encoded photo as an encoded JPEG, changed by `kind`, one of ALTERATIONS.

    Equal for equal `data`, `kind`, `name` (that of the photo) and `seed`. Raises ImageError where `data` is no photo.
    """
    random = np.random.default_rng(list(hashlib.sha256(f"{seed} {kind} {name}".encode()).digest()[:16]))
    image, quality = ALTERATIONS[kind](Image.fromarray(preview(data, LONGEST_SIDE)), random)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _enlarged(image: Image.Image, random: Generator) -> tuple[Image.Image, int]:
    """1.5 to 3 times as large, as sites do that fill their page."""
    factor = random.uniform(1.5, 3.0)
    return _resized(image, image.width * factor, image.height * factor), _quality(random, _PLAIN)


def _stretched(image: Image.Image, random: Generator) -> tuple[Image.Image, int]:
    """Wider or narrower by 1.25 to 1.8 times, to fit a frame of another shape."""
    factor = random.uniform(1.25, 1.8) ** random.choice([-0.5, 0.5])
    return _resized(image, image.width * factor, image.height / factor), _quality(random, _PLAIN)


def _recompressed(image: Image.Image, random: Generator) -> tuple[Image.Image, int]:
    """JPEG quality 30 to 60."""
    return image, _quality(random, (30, 60))


def _small_copy(image: Image.Image, random: Generator) -> tuple[Image.Image, int]:
    """A preview of 80 to 160 px a side, blown up again to the photo's own size."""
    longest = random.uniform(80, 160)
    scale = min(1.0, longest / max(image.size))
    preview = _resized(image, image.width * scale, image.height * scale)
    preview = Image.open(io.BytesIO(_encoded(preview, _quality(random, (60, 85)))))
    return _resized(preview, image.width, image.height), _quality(random, _PLAIN)


def _screenshot(image: Image.Image, random: Generator) -> tuple[Image.Image, int]:
    """Borders of one colour, 2 to 15 % on each side, as screenshots and slides have them."""
    left, top, right, bottom = (
        round(side * share) for side, share in zip(image.size * 2, random.uniform(0.02, 0.15, 4), strict=True)
    )
    grey = int(random.choice([0, 24, 128, 240, 255]))
    return ImageOps.expand(image, (left, top, right, bottom), (grey, grey, grey)), _quality(random, _PLAIN)


def _grey(image: Image.Image, random: Generator) -> tuple[Image.Image, int]:
    """Without colours."""
    return ImageOps.grayscale(image).convert("RGB"), _quality(random, _PLAIN)


ALTERATIONS: Mapping[str, Alteration] = {
    "enlarged": _enlarged,
    "stretched": _stretched,
    "recompressed": _recompressed,
    "small copy": _small_copy,
    "screenshot": _screenshot,
    "grey": _grey,
}


def _resized(image: Image.Image, width: float, height: float) -> Image.Image:
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def _quality(random: Generator, bounds: tuple[int, int]) -> int:
    return int(random.integers(bounds[0], bounds[1], endpoint=True))


def _encoded(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
