"""torchvision's models, also where its compiled part does not match torch.

A torchvision wheel linked to CUDA beside a CPU build of torch fails at import with `operator torchvision::nms does not
exist`. The classification models need none of those operators: declaring them is enough for the import to succeed.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from typing import Any

import torch

_MISSING_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None


@cache
def models() -> Any:
    """The module `torchvision.models`."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    global _library  # noqa: PLW0603 - torch forgets the declarations when the library object is collected
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _MISSING_OPERATORS:
        _library.define(schema)  # type: ignore[no-untyped-call]
    return importlib.import_module("torchvision.models")
