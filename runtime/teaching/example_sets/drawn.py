"""Drawn photos of a gate, open or shut, as a camera would see it in many lights. The same every time."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

LABELS = ("gate open", "gate shut")
EACH = 24
WIDTH, HEIGHT = 240, 180  # px
BARS = 5
FOLIAGE = 60
MARGIN = 8  # px that the camera's shake may uncover

Colour = tuple[int, int, int]


class Drawn(NamedTuple):
    """One drawn photo: its label, the name of its file, and the JPEG."""

    label: str
    name: str
    data: bytes


def drawn_photos() -> Iterator[Drawn]:
    """EACH photos of both LABELS, one of each after the other."""
    for seed in range(EACH):
        for label in LABELS:
            yield Drawn(label, f"{label.replace(' ', '-')}-{seed:02}.jpg", draw_gate(seed, is_open=label == LABELS[0]))


def draw_gate(seed: int, *, is_open: bool) -> bytes:
    """A JPEG of the gate; weather, hour and the camera's shake are the seed's, and so is how far it is open."""
    chance = np.random.default_rng([seed, is_open])
    light = chance.uniform(0.45, 1.1)
    image = Image.fromarray(_scenery(chance, light))
    pen = ImageDraw.Draw(image)
    x, y = chance.normal(0, 6, 2)
    left, right = 62 + x, 178 + x
    top, foot = 78 + y, 142 + y
    _foliage(pen, chance, light)
    wood = _lit((150, 105, 60), light * chance.uniform(0.9, 1.1))
    angle = math.radians(chance.uniform(50, 80)) if is_open else 0.0
    _leaf(pen, left, top, foot, (right - left) * math.cos(angle), 26 * math.sin(angle), wood)
    for post in (left, right):
        pen.rectangle((post - 5, top - 12, post + 5, foot + 8), fill=_lit((90, 70, 50), light))
    turned = image.rotate(chance.normal(0, 1.5), Image.Resampling.BILINEAR)
    framed = turned.resize(
        (WIDTH, HEIGHT), Image.Resampling.BILINEAR, (MARGIN, MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN)
    )
    blurred = framed.filter(ImageFilter.GaussianBlur(chance.uniform(0.3, 1.2)))
    noisy = np.asarray(blurred, np.float64) + chance.normal(0, 5, (HEIGHT, WIDTH, 3))
    stream = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _scenery(chance: np.random.Generator, light: float) -> NDArray[np.uint8]:
    """Sky above, meadow below, and the path that leads through the gate."""
    sky = np.array(chance.choice([(150, 190, 235), (190, 195, 205), (235, 185, 150)]), np.float64)
    rows = np.linspace(0, 1, HEIGHT)[:, np.newaxis, np.newaxis]
    horizon = 0.42
    ground = np.array([70, 115, 50]) + 40 * rows
    picture = np.where(rows < horizon, sky + 30 * rows, ground) * np.ones((1, WIDTH, 1))
    down = np.clip((np.linspace(0, 1, HEIGHT) - horizon) / (1 - horizon), 0, 1)[:, np.newaxis]
    path = np.abs(np.arange(WIDTH) - WIDTH / 2) < 8 + 75 * down
    picture[path & (down > 0)] = (165, 150, 120)
    patches = chance.normal(0, 14, (9, 12)).astype(np.float32)
    shade = np.asarray(Image.fromarray(patches).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    lit: NDArray[np.uint8] = ((picture + shade[..., np.newaxis]) * light).clip(0, 255).astype(np.uint8)
    return lit


def _foliage(pen: ImageDraw.ImageDraw, chance: np.random.Generator, light: float) -> None:
    """Hedges to both sides of the gate."""
    for x, y, size, shade in chance.uniform(0, 1, (FOLIAGE, 4)):
        side = x * 50 if x < 0.5 else WIDTH - (1 - x) * 50 * 2
        box = (side - 6 - 10 * size, 70 + 60 * y - 8, side + 6 + 10 * size, 70 + 60 * y + 10 * size)
        pen.ellipse(box, fill=_lit((40 + 30 * shade, 80 + 40 * shade, 35), light))


def _leaf(pen: ImageDraw.ImageDraw, x: float, top: float, foot: float, width: float, rise: float, fill: Colour) -> None:
    """The gate's leaf, hinged at `x`: it ends `width` beside that, and `rise` further up, where it is smaller."""
    near, far = (top, foot), (top - rise * 0.4 + rise * 0.5, foot - rise)
    for bar in range(BARS):
        share = (bar + 0.5) / BARS
        begin, end = (one[0] + share * (one[1] - one[0]) for one in (near, far))
        pen.line((x, begin, x + width, end), fill=fill, width=5)
    pen.line((x + width, far[0], x + width, far[1]), fill=fill, width=5)
    pen.line((x, foot, x + width, far[0]), fill=fill, width=4)


def _lit(colour: tuple[float, float, float], light: float) -> Colour:
    red, green, blue = (min(255, int(part * light)) for part in colour)
    return red, green, blue
