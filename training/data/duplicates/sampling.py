"""Sampling of many pictures at once, each under an affine warp of its own."""

from __future__ import annotations

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


def bilinear(pictures: Floats, which: NDArray[np.int64], y: Floats, x: Floats) -> Floats:
    """The values of pictures [N, S, S] at positions [P, M] in 0..1 of the pictures `which` [P]; edges are continued."""
    side = pictures.shape[1]
    y, x = y * side - 0.5, x * side - 0.5
    top = np.clip(np.floor(y), 0, side - 2).astype(np.int32)
    left = np.clip(np.floor(x), 0, side - 2).astype(np.int32)
    down, right = np.clip(y - top, 0, 1), np.clip(x - left, 0, 1)
    flat = pictures.reshape(-1)
    first = which.astype(np.int32)[:, None] * (side * side) + top * side + left
    upper = flat[first] * (1 - right) + flat[first + 1] * right
    lower = flat[first + side] * (1 - right) + flat[first + side + 1] * right
    values: Floats = upper * (1 - down) + lower * down
    return values


def shrunk(pictures: Floats, side: int) -> Floats:
    """Pictures [N, S, S] averaged to [N, side, side]; S is a multiple of `side`."""
    step = pictures.shape[1] // side
    means: Floats = pictures.reshape(len(pictures), side, step, side, step).mean(axis=(2, 4))
    return means
