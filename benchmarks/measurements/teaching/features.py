"""Features of photos in class folders: by the backbone of this product, and by the same network in FP32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.contenders.drawn_flowers import draw_flower
from runtime.bundle.input import ImageSpec
from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from runtime.host.photo_limits import limits_of_host
from runtime.image import decode
from runtime.teaching.backbone import Backbone
from runtime.teaching.examples import Examples
from runtime.teaching.from_files.collecting import collect
from runtime.teaching.from_files.labelled_files import in_folder
from training.model.network import build, normalise

BATCH = 16


def collected(folder: Path, backbone: Backbone) -> tuple[Examples, list[Path]]:
    """The photos in the class folders of `folder` as the backbone sees them, and their files. Raises Refusal."""
    files = in_folder(folder)
    with progress("look at the photos", len(files)) as advance:
        found = collect(
            files, backbone.extractor(threads=1), limits_of_host(), threads=available_cpus(), advance=advance
        )
    if found.unreadable:
        path, reason = found.unreadable[0]
        raise Refusal(f"{path}: {reason}; take it out of the folder or name another one")
    return found.examples, [found.files[photo] for photo in found.examples.photos]


def fp32_features(files: list[Path], spec: ImageSpec) -> NDArray[np.float32]:
    """Features [N, 2, D] of photos and their mirror images by torchvision's ResNet18 with its ImageNet weights.

    Raises WeightsError where these cannot be had.
    """
    network = build(2, "imagenet")
    network.fc = nn.Identity()
    network.eval()
    found: list[NDArray[np.float32]] = []
    with progress("FP32 features", len(files)) as advance, torch.inference_mode():
        for pixels in _batches(files, spec):
            inputs = normalise(pixels)
            views = [network(inputs), network(inputs.flip(3))]
            found.append(torch.stack(views, dim=1).numpy())
            advance(len(pixels))
    return np.concatenate(found)


def _batches(files: list[Path], spec: ImageSpec) -> Iterator[Tensor]:
    """Decoded photos, uint8 [up to BATCH, height, width, 3]."""
    for first in range(0, len(files), BATCH):
        photos = [decode(file.read_bytes(), spec) for file in files[first : first + BATCH]]
        yield torch.from_numpy(np.stack(photos))


def draw_classes(folder: Path, classes: int, each: int) -> Path:
    """Drawn flowers in class folders; the same every time."""
    with progress(f"draw {classes} classes", classes * each) as advance:
        for kind in range(classes):
            label = folder / f"species-{kind:03}"
            label.mkdir(parents=True)
            for seed in range(each):
                (label / f"{seed:04}.jpg").write_bytes(draw_flower(kind, seed))
                advance()
    return folder
