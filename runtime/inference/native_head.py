"""The native kernel's classifier alone: probabilities of feature maps that are known, without the network before it."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import GROUP, ISA
from runtime.native.library import Job, Library, Step, address_of, library
from runtime.native.softmax import softmax_of
from runtime.native.steps import CLASS_SCORES


def native_head(
    maps: NDArray[np.uint8],
    scale: np.float32,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    temperature: np.float32,
) -> NDArray[np.float32] | None:
    """Probabilities [N, C] of `maps` [N, places, D], in which a byte of 1 is `scale`: what the whole network answers.

    `weights` are [C, D], `bias` [C]. None if this host has no native kernel, or none for so many features.
    """
    native = library()
    photos, places, features = maps.shape
    if native is None or features % GROUP:
        return None
    scores = np.empty((photos, len(bias), places), np.float32)
    _class_scores(native, np.array(maps, order="C"), np.array(weights * scale, order="C"), scores)
    return softmax_of(native, scores, np.array(bias, order="C"), temperature)


def _class_scores(
    native: Library, maps: NDArray[np.uint8], weights: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """Run the step CLASS_SCORES on `maps` [N, places, D] with `weights` [C, D], into `scores` [N, C, places]."""
    photos, places, features = maps.shape
    inputs = np.arange(0, places * features, features, dtype=np.int32)
    step = Step(
        kind=CLASS_SCORES,
        channels=features,
        outputs=len(weights),
        tiles=places,
        scores_per_photo=len(weights) * places,
        input_offsets=address_of(inputs),
        scale=address_of(weights),
    )
    buffers, sizes = np.array([address_of(maps)], np.uintp), np.array([places * features], np.uintp)
    job = Job(
        steps=ctypes.addressof(step),
        count=1,
        photos=photos,
        isa=ISA[native.instructions],
        buffers=address_of(buffers),
        sizes=address_of(sizes),
        scores=address_of(scores),
    )
    if native.run(job, None):
        raise RuntimeError(f"the kernel does not compute class scores with {native.instructions}")
