"""Meadows drawn well enough to be looked at: for screenshots, where no photographer's rights are touched."""

from __future__ import annotations

import colorsys
import math
import random

from PIL import Image, ImageDraw, ImageFilter

SIZE = (1200, 900)
FINER = 2  # drawn larger, then made smaller: smooth edges
Colour = tuple[int, int, int]


def meadow(seed: int, *, flowers: int) -> Image.Image:
    """Grass in three depths, the farthest out of focus, with some dandelions in bloom before it."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    width, height = (FINER * length for length in SIZE)
    image = _light(chance, width, height)
    for depth, blur in ((0.35, 22), (0.65, 9), (1.0, 0)):
        layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(layer)
        for _ in range(int(420 * depth)):
            _blade(pen, chance, width, height, depth)
        if flowers and depth < 1:
            for _ in range(2):
                x, y = chance.uniform(0, width), chance.uniform(0.25, 0.7) * height
                _flower(layer, chance, (x, y), 0.05 * height * (1 + depth))
        image.paste(layer, (0, 0), layer.filter(ImageFilter.GaussianBlur(blur)).getchannel("A"))
        image = image.filter(ImageFilter.GaussianBlur(blur))
    places = [(0.5, 0.48)] if flowers == 1 else [(0.3, 0.42), (0.7, 0.58), (0.52, 0.24)][:flowers]
    for x, y in places:
        centre = ((x + chance.uniform(-0.06, 0.06)) * width, (y + chance.uniform(-0.05, 0.05)) * height)
        radius = height * (0.3 if flowers == 1 else 0.19) * chance.uniform(0.9, 1.1)
        _stem(image, chance, centre, height)
        _flower(image, chance, centre, radius)
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def _light(chance: random.Random, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (8, 6))
    for x in range(8):
        for y in range(6):
            image.putpixel((x, y), _green(chance, 0.30 + 0.32 * (1 - y / 5) * chance.uniform(0.7, 1.1)))
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _green(chance: random.Random, light: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(chance.uniform(0.22, 0.31), min(0.75, light), chance.uniform(0.35, 0.6))
    return int(255 * red), int(255 * green), int(255 * blue)


def _blade(pen: ImageDraw.ImageDraw, chance: random.Random, width: int, height: int, depth: float) -> None:
    foot, length = chance.uniform(-0.05, 1.05) * width, chance.uniform(0.25, 0.85) * height * (0.6 + 0.4 * depth)
    lean, thick = chance.gauss(0, 0.28) * length, chance.uniform(5, 13) * depth
    bottom = height * (1.02 - 0.3 * (1 - depth))
    left, right = [], []
    for step in range(9):
        t = step / 8
        x, y = foot + lean * t * t, bottom - length * (t - 0.18 * t * t)
        left.append((x - thick * (1 - t), y))
        right.append((x + thick * (1 - t), y))
    pen.polygon(left + right[::-1], fill=(*_green(chance, chance.uniform(0.2, 0.5)), 255))


def _stem(image: Image.Image, chance: random.Random, centre: tuple[float, float], height: int) -> None:
    x, y = centre
    pen, lean = ImageDraw.Draw(image), chance.uniform(-90, 90)
    points = [(x + lean * (step / 10) ** 2, y + (height - y) * step / 10) for step in range(11)]
    pen.line(points, fill=(118, 140, 62), width=26, joint="curve")
    pen.line([(x - 6, y) for x, y in points], fill=(160, 176, 92), width=8, joint="curve")


def _flower(image: Image.Image, chance: random.Random, centre: tuple[float, float], radius: float) -> None:
    """Rings of rays from the outside in, each a little shorter, steeper and deeper in colour."""
    pen, flat = ImageDraw.Draw(image), chance.uniform(0.72, 0.95)
    for ring in range(7):
        inner = 1 - ring / 7
        for ray in range(46 - 3 * ring):
            turn = 2 * math.pi * (ray + chance.uniform(-0.35, 0.35)) / (46 - 3 * ring)
            long = radius * (0.24 + 0.76 * inner) * chance.uniform(0.88, 1.05)
            wide = radius * 0.045
            light, hue = 0.46 + 0.12 * inner * chance.uniform(0.6, 1.0), 0.112 + 0.034 * inner
            colour = tuple(
                int(255 * part) for part in colorsys.hls_to_rgb(hue, light * chance.uniform(0.86, 1.04), 0.97)
            )
            sides = [(0.0, 0.3), (0.7, 1.0), (0.96, 0.8), (1.0, 0.0), (0.96, -0.8), (0.7, -1.0), (0.0, -0.3)]
            points = []
            for along, across in sides:
                x = math.cos(turn) * long * along - math.sin(turn) * wide * across
                y = math.sin(turn) * long * along + math.cos(turn) * wide * across
                points.append((centre[0] + x, centre[1] + flat * y))
            shade = tuple(int(part * 0.72) for part in colour)
            pen.polygon(points, fill=colour, outline=shade)
