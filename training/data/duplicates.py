"""Near-duplicate detection by perceptual hash."""

from __future__ import annotations

from collections.abc import Sequence

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Of 256 bits. Re-encoded, resized or lightly edited copies differ in under 30; among 400 photos of lawns and meadows no
# two different ones come nearer than 90.
NEAR = 48
_HASH_SIDE = 16
_CHUNK = 1024


def picture_hash(image: Image.Image) -> NDArray[np.uint8]:
    """A perceptual hash, 256 bits in 32 bytes: alike for alike pictures (imagehash's pHash)."""
    return np.packbits(imagehash.phash(image, hash_size=_HASH_SIDE).hash.ravel())


def group_near_duplicates(hashes: Sequence[NDArray[np.uint8]]) -> list[int]:
    """A group number for each hash: photos whose hashes differ in at most NEAR bits share one, also through others."""
    packed = np.stack(hashes)
    parent = list(range(len(packed)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for start in range(0, len(packed), _CHUNK):
        chunk = packed[start : start + _CHUNK]
        for row, distances in enumerate(_distances(chunk, packed), start=start):
            for other in np.flatnonzero(distances[:row] <= NEAR).tolist():
                parent[root(row)] = root(other)
    roots = [root(index) for index in range(len(packed))]
    number = {found: position for position, found in enumerate(dict.fromkeys(roots))}
    return [number[found] for found in roots]


def _distances(chunk: NDArray[np.uint8], packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Differing bits of each of M hashes to each of N, [M, N]."""
    distances = np.zeros((len(chunk), len(packed)), dtype=np.int64)
    for byte in range(packed.shape[1]):
        distances += np.bitwise_count(chunk[:, byte, None] ^ packed[None, :, byte])
    return distances
