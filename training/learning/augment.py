"""Data augmentation of a whole batch: random crop, rotation, mirror and colour jitter."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SMALLEST_CROP = 0.5  # of the photo's area: a dandelion must stay in the picture
LARGEST_STRETCH = 4 / 3
LARGEST_TILT = math.radians(15)
LIGHT = 0.3  # brightness, contrast and saturation vary by this fraction
TINT = 0.1  # each colour by this fraction


def augment(batch: Tensor, size: int, generator: Generator) -> Tensor:
    """Vary normalised photos [N, 3, H, W]; returns [N, 3, size, size] in channels-last memory order."""
    grid = F.affine_grid(_crops(len(batch), generator), [len(batch), 3, size, size], align_corners=False)
    crops = F.grid_sample(batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _relight(crops, generator).contiguous(memory_format=torch.channels_last)


def _crops(n: int, generator: Generator) -> Tensor:
    """Affine maps [N, 2, 3] from the output square to a cropped, tilted, perhaps mirrored part of the photo."""
    area = _uniform(n, SMALLEST_CROP, 1.0, generator)
    stretch = torch.exp(_uniform(n, -math.log(LARGEST_STRETCH), math.log(LARGEST_STRETCH), generator))
    width = (area * stretch).sqrt().clamp(max=1.0)
    height = (area / stretch).sqrt().clamp(max=1.0)
    mirror = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1.0
    tilt = _uniform(n, -LARGEST_TILT, LARGEST_TILT, generator)
    x = _uniform(n, -1.0, 1.0, generator) * (1.0 - width)
    y = _uniform(n, -1.0, 1.0, generator) * (1.0 - height)
    first = torch.stack([width * mirror * tilt.cos(), -height * tilt.sin(), x], dim=1)  # [N, 3]
    second = torch.stack([width * mirror * tilt.sin(), height * tilt.cos(), y], dim=1)
    return torch.stack([first, second], dim=1)  # [N, 2, 3]


def _relight(photos: Tensor, generator: Generator) -> Tensor:
    """Colour jitter: brightness, tint, contrast and saturation of photos [N, 3, H, W]."""
    n = len(photos)
    photos = photos * _factor((n, 1, 1, 1), LIGHT, generator) * _factor((n, 3, 1, 1), TINT, generator)
    mean = photos.mean(dim=(1, 2, 3), keepdim=True)  # [N, 1, 1, 1]
    photos = mean + (photos - mean) * _factor((n, 1, 1, 1), LIGHT, generator)
    grey = photos.mean(dim=1, keepdim=True)  # [N, 1, H, W]
    return grey + (photos - grey) * _factor((n, 1, 1, 1), LIGHT, generator)


def _factor(shape: tuple[int, ...], spread: float, generator: Generator) -> Tensor:
    return torch.empty(shape).uniform_(1.0 - spread, 1.0 + spread, generator=generator)


def _uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.empty(n).uniform_(low, high, generator=generator)
