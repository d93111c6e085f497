"""The model's input specification: image size, resize mode, colour, and the largest batch of dynamic batching."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# Longest side of a model's input, px. The appliance is for hosts at the edge, and 1024 px is 4.5 times the 224 px that
# ResNet is trained at; larger inputs belong to other tools.
MAX_SIDE = 1024
# Queued photos that become one batch. A large input gains less from batching, and takes megabytes a photo on each core.
MAX_BATCH = 8
MAX_BATCH_PIXELS = 4 * 224**2  # of all of them

Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE)]


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's input, as the manifest states it.

    `resize` is how a photo of any shape becomes height x width: `squash` scales each side by itself, so that no part
    of the photo is lost and the class-activation map covers all of it. Sides are 1 to MAX_SIDE px in a manifest.
    """

    height: Side
    width: Side
    resize: Literal["squash"] = "squash"
    colour: Literal["RGB"] = "RGB"


def max_batch_size(spec: ImageSpec) -> int:
    """The largest batch of dynamic batching: MAX_BATCH photos, fewer if the model's input is large."""
    return max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // (spec.height * spec.width)))
