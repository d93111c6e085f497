"""Drawn flowers of any number of species: photos of many classes, for measurements that need no download."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from runtime.cli.progress import progress
from training.data.dataset import Dataset
from training.data.prepare import prepare

SIDE = 96  # px
HUE_JITTER = 9  # of 256, standard deviation: species of like hue are told apart by their petals, or mistaken
PETALS = (4, 5, 6, 8, 12)
PATCHES = (5, 11)  # of light and shade, from side to side


def flower_dataset(folder: Path, species: int, each: int) -> Dataset:
    """A prepared dataset of `species` classes with `each` photos in `folder`; the same every time."""
    raw = folder / "raw"
    with progress(f"draw {species} species", species * each) as advance:
        for kind in range(species):
            (raw / f"species-{kind:03}").mkdir(parents=True)
            for seed in range(each):
                (raw / f"species-{kind:03}" / f"{seed:04}.jpg").write_bytes(draw_flower(kind, seed))
                advance()
    prepare(raw, folder / "processed")
    return Dataset.open(folder / "processed")


def draw_flower(species: int, seed: int) -> bytes:
    """A JPEG of one flower of the species, on a meadow; where, how large and in which light is the seed's."""
    traits = np.random.default_rng([7, species])
    petals, slimness = int(traits.choice(PETALS)), traits.uniform(0.25, 0.6)
    hue, saturation, heart = traits.uniform(0, 256), traits.uniform(120, 255), traits.uniform(0, 256)
    chance = np.random.default_rng([species, seed])
    x, y = chance.uniform(0.35, 0.65, 2) * SIDE
    length, turn = chance.uniform(0.22, 0.4) * SIDE, chance.uniform(0, math.tau)
    image = Image.fromarray(_meadow(chance))
    pen = ImageDraw.Draw(image)
    colour = _colour(hue + chance.normal(0, HUE_JITTER), saturation, chance.uniform(150, 255))
    for petal in range(petals):
        pen.polygon(_petal(x, y, turn + math.tau * petal / petals, length, slimness), fill=colour, outline=(40, 40, 30))
    radius = length * chance.uniform(0.2, 0.3)
    centre = _colour(heart + chance.normal(0, HUE_JITTER), 220, chance.uniform(120, 230))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=centre)
    stream = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(chance.uniform(0.3, 1.6))).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _meadow(chance: np.random.Generator) -> np.ndarray:
    """Blades, and patches of light and shade, without which photos would be near-duplicates once they are small."""
    blades = chance.integers(0, 60, (SIDE, SIDE, 3)) + np.array([20, 70, 10]) * chance.uniform(0.5, 1.6)
    light = np.sum([_patches(chance, across) for across in PATCHES], axis=0)
    ground: np.ndarray = np.clip(blades + light[..., np.newaxis], 0, 255).astype(np.uint8)
    return ground


def _patches(chance: np.random.Generator, across: int) -> np.ndarray:
    coarse = Image.fromarray(chance.uniform(0, 90, (across, across)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _petal(x: float, y: float, angle: float, length: float, slimness: float) -> list[tuple[float, float]]:
    outline = []
    for step in np.linspace(0, math.tau, 16, endpoint=False):
        along, across = length * (1 + math.cos(step)) / 2, length * slimness * math.sin(step) / 2
        outline.append(
            (
                x + along * math.cos(angle) - across * math.sin(angle),
                y + along * math.sin(angle) + across * math.cos(angle),
            )
        )
    return outline


def _colour(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    pixel = Image.new("HSV", (1, 1), (int(hue) % 256, int(saturation), int(value))).convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)  # noqa: S101 - RGB has three values
    return pixel
