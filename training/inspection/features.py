"""Frozen features: what a ResNet18 that ImageNet has taught says of each photo, before its last layer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import training.model.network
from runtime.cli.progress import progress
from runtime.host.atomic import remove_abandoned, whole_file
from runtime.image import ImageSpec, decode
from training.data.survey import SurveyedPhoto
from training.learning.prediction import quick_to_predict
from training.model.network import build, normalise

# px a side; 160 px take half as long again, and of 400 photos cross-validation names no more right (0.945, not 0.950).
SIDE = 128
FEATURES = 512
_AT_ONCE = 16  # photos


def frozen_features(folder: Path, photos: Sequence[SurveyedPhoto], weights: str, cache: Path) -> NDArray[np.float32]:
    """The features of each photo below `folder`, [N, FEATURES]; kept in the folder `cache` for another time.

    `weights` as in `training.model.network.build`, but not `none`; raises WeightsError.
    """
    file = cache / f"{_key(photos, weights)}.npy"
    if file.exists():
        kept: NDArray[np.float32] = np.load(file)
        return kept
    features = _computed(folder, photos, weights)
    cache.mkdir(parents=True, exist_ok=True)
    remove_abandoned(cache)
    for old in cache.glob("*.npy"):  # of a folder that has changed since
        old.unlink()
    with whole_file(file) as part, part.open("wb") as stream:
        np.save(stream, features)
    return features


def _computed(folder: Path, photos: Sequence[SurveyedPhoto], weights: str) -> NDArray[np.float32]:
    network = quick_to_predict(build(2, weights))
    network.fc = nn.Identity()
    spec = ImageSpec(height=SIDE, width=SIDE)
    parts = [np.zeros((0, FEATURES), np.float32)]
    with ThreadPoolExecutor() as pool, progress("features", len(photos)) as advance, torch.inference_mode():
        for start in range(0, len(photos), _AT_ONCE):
            some = photos[start : start + _AT_ONCE]
            pixels = np.stack(list(pool.map(lambda photo: decode((folder / photo.path).read_bytes(), spec), some)))
            parts.append(network(normalise(torch.from_numpy(pixels))).numpy())
            advance(len(some))
    return np.concatenate(parts)


def _key(photos: Sequence[SurveyedPhoto], weights: str) -> str:
    """Changes with the photos, the weights, and the code that runs them."""
    file = Path(weights)
    named = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else weights
    code = hashlib.sha256(Path(str(training.model.network.__file__)).read_bytes()).hexdigest()
    parts = [named, code, str(SIDE), *(photo.sha256 for photo in photos)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
