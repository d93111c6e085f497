"""onnxruntime is optional: whether it is installed, and what is said where a model needs it."""

from __future__ import annotations

import os
from importlib.util import find_spec

from runtime.bundle.manifest import BundleError
from runtime.native.library import VARIABLE

REQUIREMENT = "onnxruntime>=1.32,<2"  # as the extra `onnxruntime` of pyproject.toml has it
# Not by the name of our extra: whoever runs a checkout or an image has no package of that name to extend.
REMEDY = f"pip install '{REQUIREMENT}', or take the image that has it"


def onnxruntime_installed() -> bool:
    """Whether onnxruntime can be imported; it is not imported for the answer."""
    return find_spec("onnxruntime") is not None


def needs_onnxruntime(subject: str, reason: str) -> BundleError:
    """The error of a model that nothing here computes: one line with the remedy."""
    return BundleError(f"{subject}: needs onnxruntime, which is not installed, since {reason}; {REMEDY}")


def reason_for_onnxruntime(unknown: Exception | None) -> str:
    """Why the native kernel computes nothing of a model: what it said of the graph (`unknown`), or of this host."""
    if unknown is not None:
        return f"the native kernel does not compute its graph ({unknown})"
    off = os.environ.get(VARIABLE) == "off"
    return f"{VARIABLE} is off" if off else "this host has no native kernel"
