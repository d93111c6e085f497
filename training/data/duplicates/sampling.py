"""Sampling of many pictures at once, each under an affine warp of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def grid(cells: int) -> tuple[Floats, Floats]:
    """The centres of `cells` x `cells` cells of a picture, rows and columns, [cells * cells], from -0.5 to 0.5."""
    centres = ((np.arange(cells) + 0.5) / cells - 0.5).astype(np.float32)
    rows, columns = np.meshgrid(centres, centres, indexing="ij")
    return rows.ravel(), columns.ravel()


def positions(warps: Floats, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """Where M places of a picture lie in another under P warps [P, 6] (`Window.warp`): y and x, [P, M], 0..1."""
    y = warps[:, 0:1] + warps[:, 2:3] * rows + warps[:, 3:4] * columns
    x = warps[:, 1:2] + warps[:, 4:5] * rows + warps[:, 5:6] * columns
    return y, x


def inside(y: Floats, x: Floats, margin: float = 0.0) -> Floats:
    """1 where a position lies in the picture, 0 outside."""
    low, high = margin, 1 - margin
    return ((y > low) & (y < high) & (x > low) & (x < high)).astype(np.float32)


class Between(NamedTuple):
    """Between which cells positions lie, and how far: one answer for all pictures of one size.

    `first` [P, M] are the upper left cells in the pictures' flat values, `down` and `right` [P, M] are 0..1.
    """

    side: int
    first: NDArray[np.intp]
    down: Floats
    right: Floats


def between(side: int, which: NDArray[np.int64], y: Floats, x: Floats) -> Between:
    """Where positions [P, M] in 0..1 lie in the pictures `which` [P] of `side` cells; edges are continued."""
    y, x = y * side - 0.5, x * side - 0.5
    top, left = (np.clip(np.floor(along), 0, side - 2) for along in (y, x))
    first = (top * side + left).astype(np.intp) + which[:, None] * (side * side)
    return Between(side, first, np.clip(y - top, 0, 1), np.clip(x - left, 0, 1))


def interpolated(values: Floats, places: Between) -> Floats:
    """The values at places [P, M], bilinearly, of pictures whose cells are `values` [N * S * S]."""
    side, first, down, right = places
    left, up = 1 - right, 1 - down
    upper = values.take(first) * left
    upper += values[1:].take(first) * right
    lower = values[side:].take(first) * left
    lower += values[side + 1 :].take(first) * right
    upper *= up
    lower *= down
    upper += lower
    return upper


def bilinear(pictures: Floats, which: NDArray[np.int64], y: Floats, x: Floats) -> Floats:
    """The values of pictures [N, S, S] at positions [P, M] in 0..1 of the pictures `which` [P]; edges are continued."""
    return interpolated(pictures.reshape(-1), between(pictures.shape[1], which, y, x))


def shrunk(pictures: Floats, side: int) -> Floats:
    """Pictures [N, S, S] averaged to [N, side, side]; S is a multiple of `side`."""
    step = pictures.shape[1] // side
    means: Floats = pictures.reshape(len(pictures), side, step, side, step).mean(axis=(2, 4))
    return means
