"""Feature cache: what the frozen layers make of unchanging photos is computed once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.model.network import normalise

KEPT_BYTES = 2**29  # of features; more photos than that are computed in every epoch
AT_ONCE = 8


class FeatureCache:
    """The features of photos [N, H, W, 3] uint8 after the layers `frozen`; without these, normalised pixels."""

    def __init__(self, pixels: NDArray[np.uint8], frozen: nn.Module | None) -> None:
        """Compute nothing yet."""
        self._pixels = pixels
        self._frozen = frozen
        self._kept: dict[int, Tensor] = {}
        self._kept_bytes = 0

    def batches(self, size: int) -> Iterator[Tensor]:
        """The features, `size` photos at a time, in channels-last memory order."""
        for start in range(0, len(self._pixels), size):
            rows = range(start, min(start + size, len(self._pixels)), AT_ONCE)
            yield torch.cat([self._features(row, min(row + AT_ONCE, rows.stop)) for row in rows])

    def _features(self, start: int, end: int) -> Tensor:
        if start in self._kept:
            return self._kept[start]
        with torch.no_grad():
            features = normalise(torch.from_numpy(np.ascontiguousarray(self._pixels[start:end])))  # [N, 3, H, W]
            if self._frozen:
                features = self._frozen(features)  # [N, 64, H / 4, W / 4]
        if self._frozen and self._kept_bytes + features.nbytes <= KEPT_BYTES:
            self._kept[start] = features
            self._kept_bytes += features.nbytes
        return features
