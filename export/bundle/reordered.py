"""A bundle's channels in another order: the same weights and answers as a new version, with less to compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from export.bundle.new_version import write_version
from export.channels.channel_groups import permute
from export.channels.reorder import NeededSteps, find_orders
from runtime.bundle.golden_patterns import draw
from runtime.bundle.manifest import FP32_MODEL, MODEL, Bundle
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from runtime.inference.golden_record import record_natively
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.native.onnx_importer import UnknownGraphError

if TYPE_CHECKING:
    from nacl.signing import SigningKey

INT8_TOLERANCE = 1e-6  # of a probability: only the classifier adds up floats
FP32_TOLERANCE = 1e-5


class CannotReorder(Refusal):
    """A bundle that is left as it is; the message says why."""


class Reordered(NamedTuple):
    """Models by their file's name, what they need, and by how much an answer changed at most."""

    models: dict[str, onnx.ModelProto]
    needed: NeededSteps
    deviation: float


def reordered(bundle: Bundle, pixels: NDArray[np.uint8]) -> Reordered:
    """The models of `bundle` in the order that suits photos like `pixels` [N, side, side, 3]; nothing is written.

    Raises CannotReorder for a graph of another kind, or if a golden case were answered otherwise.
    """
    files = {MODEL: bundle.model} | ({FP32_MODEL: bundle.fp32_model} if bundle.fp32_model else {})
    models = {name: onnx.load(file) for name, file in files.items()}
    try:
        orders, needed = find_orders(models[MODEL], pixels)
        for model in models.values():
            permute(model, orders)
    except (UnknownGraphError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise CannotReorder(f"{bundle.path}: is no graph of `python -m export build` ({error})") from error
    deviation = 0.0
    for name, limit in ((MODEL, INT8_TOLERANCE), (FP32_MODEL, FP32_TOLERANCE)):
        if name in models:
            deviation = max(deviation, found := _deviation(bundle, files[name], models[name].SerializeToString()))
            if not found <= limit:
                raise CannotReorder(f"{bundle.path / name}: would answer otherwise by {found:.2g}, not by {limit:g}")
    return Reordered(models, needed, deviation)


def write_reordered(
    bundle: Bundle, found: Reordered, folder: Path, *, version: str | None = None, key: SigningKey | None = None
) -> Bundle:
    """Write a reordered bundle as a new version below `folder`, and open it again, verified; signed with `key`, if any.

    Without a name, the version is the day (UTC) and the hash of the INT8 model. The classifier adds in another order,
    so golden cases of the native kernel are recorded anew. Raises WriteError.
    """
    manifest = bundle.manifest
    files = {name: model.SerializeToString() for name, model in found.models.items()}
    model = files[MODEL]
    golden = record_natively(manifest.golden, model, manifest.input, manifest.outputs, threads=available_cpus())
    return write_version(bundle, folder, golden=golden, named_by=model, files=files, version=version, key=key)


def _deviation(bundle: Bundle, before: Path, after: bytes) -> float:
    """The largest difference of two models' answers to the golden pictures, in exact arithmetic."""
    spec, outputs = bundle.manifest.input, bundle.manifest.outputs
    pictures = [draw(case.pattern, case.seed, spec)[np.newaxis] for case in bundle.manifest.golden]
    sessions = [
        OnnxruntimeSession(model, spec, outputs, threads=available_cpus(), exact=True) for model in (before, after)
    ]
    first, second = (np.stack([one.infer(picture).probabilities for picture in pictures]) for one in sessions)
    return float(np.abs(first - second).max())
