"""Small photos that the tests draw for themselves: yellow discs on green are dandelions, green blades are grass."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from runtime.names import UNKNOWN

SIZE = (96, 72)
QUICK: dict[str, dict[str, object]] = {"AVIF": {"speed": 10}, "HEIF": {"enc_params": {"preset": "ultrafast"}}}


def draw_photo(label: str, seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    generator = np.random.default_rng([seed, len(label)])
    width, height = size
    ground = generator.integers(0, 60, (height, width, 3)) + np.array([20, 90, 20])
    image = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    if label == "dandelion":
        for x, y, r in generator.uniform(0, 1, (4, 3)):
            radius = (0.08 + 0.12 * r) * height
            box = (x * width - radius, y * height - radius, x * width + radius, y * height + radius)
            pen.ellipse(box, fill=(240, 200 + int(30 * r), 20))
    else:
        for x, lean, shade in generator.uniform(0, 1, (24, 3)):
            foot = (x * width, height)
            pen.line([foot, (x * width + (lean - 0.5) * 30, 0)], fill=(30, int(110 + 120 * shade), 30), width=2)
    return image


def draw_other(kind: str, seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A photo of neither: boxes, or rings, in red and blue on grey."""
    generator = np.random.default_rng([seed, len(kind), 7])
    width, height = size
    ground = generator.integers(0, 50, (height, width, 3)) + 150
    image = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for x, y, side, red in generator.uniform(0, 1, (5, 4)):
        left, top = x * width * 0.8, y * height * 0.8
        box = (left, top, left + 8 + 30 * side, top + 8 + 30 * side)
        colour = (int(255 * red), 20, int(255 * (1 - red)))
        if kind == "rings":
            pen.ellipse(box, outline=colour, width=4)
        else:
            pen.rectangle(box, fill=colour)
    return image


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """As quickly as the encoder can, unless `options` say otherwise."""
    stream = io.BytesIO()
    image.save(stream, format, **(QUICK.get(format, {}) | options))
    return stream.getvalue()


@lru_cache(maxsize=256)
def photo(label: str = "dandelion", seed: int = 0, format: str = "JPEG", size: tuple[int, int] = SIZE) -> bytes:
    """The same bytes whenever the same is asked for: most tests want the same few photos."""
    return encode(draw_photo(label, seed, size), format)


def violet(size: tuple[int, int] = SIZE) -> bytes:
    """A photo of none of the labels, for a bundle with the unknown class (`bundles.write_bundle`)."""
    return encode(Image.new("RGB", size, (120, 20, 220)))


def half_with_end(data: bytes) -> bytes:
    """The first half of a JPEG, and an end marker behind it: what many decoders take for a whole one."""
    return data[: len(data) // 2] + b"\xff\xd9"


def png(size: tuple[int, int], bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of `rows` (each begins with its filter), with `chunks` before them: what Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    others = b"".join(chunk(*each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + others + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_photos(folder: Path, per_class: int, labels: tuple[str, ...] = ("dandelion", "grass")) -> Path:
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(per_class):
            (folder / label / f"{seed:04}.jpg").write_bytes(photo(label, seed))
    return folder


def write_others(folder: Path, per_kind: int, kinds: tuple[str, ...] = ("boxes", "rings")) -> Path:
    """Photos of other things, as `training fetch` lays them beside the class folders in `folder`."""
    (folder / UNKNOWN).mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        for seed in range(per_kind):
            (folder / UNKNOWN / f"{kind}--{seed:04}.jpg").write_bytes(encode(draw_other(kind, seed)))
    return folder


def write_kinds(folder: Path, per_kind: int, kinds: tuple[str, ...] = ("boxes", "rings")) -> Path:
    """Photos of other things in a folder for each kind, as `training fetch --other` takes them."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for seed in range(per_kind):
            (folder / kind / f"{seed:04}.jpg").write_bytes(encode(draw_other(kind, seed)))
    return folder
