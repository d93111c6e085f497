"""Descriptors of photos and of their windows: the parts of a photo of which a copy may have been made.

A descriptor holds the lowest frequencies of a discrete cosine transform, as in a perceptual hash, but with their values
in place of their signs: they tell more, and mirroring or turning a picture only swaps them or changes their signs.
Each is weighted by its frequency, since photos have less of the higher ones (Field 1987); all are scaled to length 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from training.data.duplicates.sampling import bilinear, grid, positions
from training.data.duplicates.thumbnails import SIDE

_FREQUENCIES = 8  # along each side
_HIGHEST = 7.5  # of both sides together; a window that is off by a twentieth still agrees at these
_CELLS = 16  # samples along each side of a window
_LEAST_CONTRAST = 2.0  # grey levels; without any there is nothing to compare

_FREQUENCY = np.hypot(*np.mgrid[:_FREQUENCIES, :_FREQUENCIES])
_USED = (_FREQUENCY > 0) & (_FREQUENCY <= _HIGHEST)
_WEIGHTS = _FREQUENCY[_USED].astype(np.float32)
_BASIS = dct(np.eye(_CELLS), axis=0, norm="ortho")[:_FREQUENCIES].astype(np.float32)

SYMMETRIES = 8


class Window(NamedTuple):
    """A part of a photo: its centre and size as shares of the photo's height and width, turned by `degrees`."""

    y: float
    x: float
    height: float
    width: float
    degrees: float = 0.0

    def warp(self, aspect: float) -> list[float]:
        """Where a place of the window lies in a photo of this aspect: [y, x, dy/du, dy/dv, dx/du, dx/dv]."""
        sine, cosine = math.sin(math.radians(self.degrees)), math.cos(math.radians(self.degrees))
        return [
            *(self.y, self.x),
            *(cosine * self.height, -sine * aspect * self.width),
            *(sine / aspect * self.height, cosine * self.width),
        ]


def _windows() -> list[Window]:
    """The whole; crops of 0.9, 0.8 and 0.7 of each side wherever they lie; centred strips; and turned by a little."""
    found = [Window(0.5, 0.5, 1, 1)]
    for size, places in ((0.9, 2), (0.8, 3), (0.7, 4)):
        centres = np.linspace(size / 2, 1 - size / 2, places).tolist()
        found += [Window(y, x, size, size) for y in centres for x in centres]
    for share in (0.88, 0.77, 0.67, 0.58, 0.5, 0.42, 0.35):
        found += [Window(0.5, 0.5, share, 1), Window(0.5, 0.5, 1, share)]
    found += [Window(0.5, 0.5, size, size, degrees) for degrees in (-12, -6, 6, 12) for size in (1, 0.8)]
    return found


WINDOWS = _windows()


def describe(grey: NDArray[np.float32], aspects: NDArray[np.float32]) -> NDArray[np.float32]:
    """Descriptors of every window of N thumbnails [N, SIDE, SIDE]: [N, windows, D]; zeros for plain photos."""
    found = np.stack([_describe_window(grey, aspects, window) for window in WINDOWS], axis=1)
    found[grey.std(axis=(1, 2)) < _LEAST_CONTRAST] = 0
    return found


def symmetric(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The descriptors [N, D] of the mirrored and turned photos, [8, N, D], in the order of `turned`."""
    square = np.zeros((len(descriptors), _FREQUENCIES, _FREQUENCIES), np.float32)
    square[:, _USED] = descriptors
    signs = np.where(np.arange(_FREQUENCIES) % 2, -1, 1).astype(np.float32)
    found = []
    for symmetry in range(SYMMETRIES):
        swapped = square.transpose(0, 2, 1) if symmetry & 4 else square
        rows = signs[:, None] if symmetry & 2 else 1
        columns = signs if symmetry & 1 else 1
        found.append((swapped * rows * columns)[:, _USED])
    return np.stack(found)


def turned(picture: NDArray[np.float32], symmetry: int) -> NDArray[np.float32]:
    """A picture [..., S, S] in one of the eight symmetries of a square."""
    if symmetry & 4:
        picture = picture.swapaxes(-1, -2)
    if symmetry & 2:
        picture = picture[..., ::-1, :]
    return picture[..., ::-1] if symmetry & 1 else picture


def _describe_window(grey: NDArray[np.float32], aspects: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    if window.degrees:
        warps = np.array([window.warp(aspect) for aspect in aspects.tolist()], np.float32)
        y, x = positions(warps, *grid(_CELLS))
        cells = bilinear(grey, np.arange(len(grey)), y, x).reshape(-1, _CELLS, _CELLS)
        spectrum = _BASIS @ cells @ _BASIS.T
    else:
        spectrum = _projection(window.y, window.height) @ grey @ _projection(window.x, window.width).T
    values = spectrum[:, _USED] * _WEIGHTS
    scaled: NDArray[np.float32] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return scaled


def _projection(centre: float, size: float) -> NDArray[np.float32]:
    """The transform of one side of a window: averages over its cells, then frequencies; [frequencies, SIDE]."""
    edges = (centre - size / 2 + size * np.arange(_CELLS + 1) / _CELLS) * SIDE
    pixels = np.arange(SIDE)
    covered = np.minimum(pixels + 1, edges[1:, None]) - np.maximum(pixels, edges[:-1, None])
    averages = np.clip(covered, 0, None) / np.diff(edges)[:, None]
    found: NDArray[np.float32] = (_BASIS @ averages).astype(np.float32)
    return found
