"""The photos that are measured: yours, or drawn ones of the same size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from runtime.commands import Refusal

THUMBNAIL = (275, 183)
PHONE = (4000, 3000)
MOST = 64


def load_photos(folder: Path | None) -> tuple[list[bytes], str]:
    """Encoded photos to measure with, at most MOST, and where they are from; drawn ones without a folder."""
    if folder is None:
        return [draw_jpeg(THUMBNAIL, seed) for seed in range(16)], "16 drawn photos of 275 x 183 px"
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"})
    if not files:
        raise Refusal(f"{folder}: holds no JPEG photos; name another folder with --photos")
    chosen = files[:: max(1, len(files) // MOST)][:MOST]
    return [file.read_bytes() for file in chosen], f"{len(chosen)} of {len(files)} photos of {folder.name}"


def draw_jpeg(size: tuple[int, int], seed: int) -> bytes:
    """A JPEG with about as much detail as a photo of a meadow: blurred noise over soft colours."""
    width, height = size
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    fine = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    stream = io.BytesIO()
    Image.blend(coarse, fine.filter(ImageFilter.GaussianBlur(1)), 0.35).save(stream, "JPEG", quality=88)
    return stream.getvalue()
