"""The network: ResNet18 on raw pixels, with a normalisation that INT8 can absorb."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from runtime.errors import Refusal
from training.model.torchvision_models import models

ARCHITECTURE = "resnet18"

# One zero point and one scale for all three colours, whole numbers: a raw byte is then exactly a quantised input, and
# zero padding is exactly the byte 114. They are the mean of ImageNet's channel means (123.7, 116.3, 103.5) and
# deviations (58.4, 57.1, 57.4); what is left of each channel's own is folded into the first layer below.
PIXEL_ZERO = 114
PIXEL_SCALE = 57
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class WeightsError(Refusal):
    """Initial weights that cannot be had or do not fit; the message says how to supply them."""


def normalise(pixels: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] to float32 [N, 3, H, W] around zero, in channels-last memory order."""
    return (pixels.permute(0, 3, 1, 2).float() - PIXEL_ZERO) / PIXEL_SCALE


def build(classes: int, weights: str = "none", widths: Sequence[int] | None = None) -> nn.Module:
    """A ResNet18 with `classes` outputs: normalised [N, 3, H, W] in, logits [N, C] out.

    `weights` is `imagenet` (torchvision's IMAGENET1K_V1), `none` (random), or the path of a ResNet18 state dict made
    for ImageNet's normalisation, of any number of classes. `widths` are the channels inside each of the eight blocks,
    where they are not ResNet18's own (`training.learning.pruning`). Raises WeightsError.
    """
    network: nn.Module = models().resnet18(weights=None, num_classes=classes)
    if widths is not None:
        _narrow_blocks(network, widths)
    if weights != "none":
        state = _imagenet() if weights == "imagenet" else _from_file(Path(weights))
        head = {"fc.weight", "fc.bias"}
        try:
            missing, unexpected = network.load_state_dict(
                {name: value for name, value in state.items() if name not in head}, strict=False
            )
        except RuntimeError as error:
            raise WeightsError(f"{weights}: is not a ResNet18 ({str(error).splitlines()[-1].strip()})") from error
        if set(missing) - head or unexpected:
            raise WeightsError(f"{weights}: is not a ResNet18 (layers missing or unknown); give a ResNet18 state dict")
        _fold_imagenet_normalisation(network)
    return network


def blocks(network: Any) -> list[Any]:
    """The eight residual blocks of a ResNet18, from the input to the output."""
    return [block for stage in (network.layer1, network.layer2, network.layer3, network.layer4) for block in stage]


def _narrow_blocks(network: nn.Module, widths: Sequence[int]) -> None:
    for block, width in zip(blocks(network), widths, strict=True):
        first, second = block.conv1, block.conv2
        block.conv1 = nn.Conv2d(first.in_channels, width, 3, first.stride, padding=1, bias=False)
        block.bn1 = nn.BatchNorm2d(width)
        block.conv2 = nn.Conv2d(width, second.out_channels, 3, padding=1, bias=False)


def _imagenet() -> dict[str, Tensor]:
    weights = models().ResNet18_Weights.IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        name = weights.url.rsplit("/", 1)[-1]
        cache = Path(torch.hub.get_dir()) / "checkpoints" / name
        raise WeightsError(
            f"the ImageNet weights could not be downloaded ({error}); put {name} at {cache}, or name the file with "
            "--weights PATH, or train from scratch with --weights none"
        ) from error
    return state


def _from_file(path: Path) -> dict[str, Tensor]:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; --weights takes imagenet, none or the path of a file") from error
    except Exception as error:  # torch.load raises what the unpickler raises
        raise WeightsError(f"{path}: is not a PyTorch state dict ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: is not a PyTorch state dict; save the model's state_dict() alone")
    return state


def _fold_imagenet_normalisation(network: Any) -> None:
    """Make the first layer take our normalisation in place of ImageNet's: the same function, but for the padding."""
    mean = torch.tensor(_IMAGENET_MEAN) * 255
    std = torch.tensor(_IMAGENET_STD) * 255
    weight = network.conv1.weight
    with torch.no_grad():
        # (x - mean) / std = (x - zero) / scale * (scale / std) + (zero - mean) / std
        constant = (weight * ((PIXEL_ZERO - mean) / std).view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
        weight.mul_((PIXEL_SCALE / std).view(1, 3, 1, 1))
        network.bn1.running_mean.sub_(constant)
