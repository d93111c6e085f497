"""Record what an INT8 model must answer to its golden cases: the native kernel's answers, equal on every processor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec
from runtime.bundle.manifest import GoldenCase
from runtime.inference.backends import DEVIATION_LIMIT, native_kernels, open_model, picture_of
from runtime.native.onnx_importer import UnknownGraphError

log = logging.getLogger(__name__)


def record_natively(
    cases: Sequence[GoldenCase], model: Path | bytes, spec: ImageSpec, outputs: int, *, threads: int
) -> list[GoldenCase]:
    """`cases` with the INT8 answers of the native kernel, whose deviation from them is 0 wherever it serves.

    They stay as they are if this host has no native kernel, if that does not compute the graph, or if its answers are
    off by more than DEVIATION_LIMIT: then it is wrong on this host. Raises BundleError for a case of a later release.
    """
    kernels = native_kernels()
    try:
        session = open_model(model, kernels[0], spec, outputs, threads=threads) if kernels else None
    except UnknownGraphError:
        session = None
    if session is None:
        return list(cases)
    # One after the other: a session keeps the memory of the largest batch that it has had.
    answers = [session.infer(picture_of(case, spec)[np.newaxis]).probabilities[0] for case in cases]
    deviation = np.abs(np.stack(answers) - np.array([case.int8 for case in cases], np.float32)).max()
    if not deviation <= DEVIATION_LIMIT:
        log.warning("the native kernel (%s) is off by %.3f: it records no golden cases", kernels[0].kernel, deviation)
        return list(cases)
    return [
        msgspec.structs.replace(case, int8=as_recorded(answer)) for case, answer in zip(cases, answers, strict=True)
    ]


def as_recorded(probabilities: NDArray[np.float32]) -> list[float]:
    """Probabilities [C] as a manifest has them: the shortest decimals that are read as the same float32."""
    return [min(1.0, float(str(probability))) for probability in probabilities]
