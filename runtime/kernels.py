"""Numerical safety: on every CPU, answers that agree with the bundle's record, or none.

The fast INT8 kernels of x86 processors without VNNI (AVX2) add pairs of products in 16 bits, which saturate: wrong
answers, silently. The golden cases of the manifest show it, and a slower kernel that does not saturate is taken.
Where the fast kernel is right and the processor has AMX, the matrix kernel (`runtime.matrix`) is tried against it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal, NamedTuple

import numpy as np

from runtime import golden
from runtime.bundle import Bundle, BundleError, GoldenCase
from runtime.cpu import cpu_flags
from runtime.image import ImageSpec
from runtime.session import Session

AMX = "amx_int8"  # the flag of processors that multiply INT8 matrices in tiles
TIMED_RUNS = 9  # of each kernel, in turn: a tenth of a second, where there is a choice
WORTH = 0.95  # of the other's time, to be taken instead of it
DEVIATION_LIMIT = 0.02  # probabilities of a golden case: right kernels differ by a millionth, saturation by a tenth
QUANTISED_LIMIT = 0.08  # where a bundle recorded FP32's answers only, from which right INT8 differs, too

Precision = Literal["int8", "fp32"]

log = logging.getLogger(__name__)


class Kernel(NamedTuple):
    """How a bundle is computed on this CPU, and the largest deviation from the recorded probabilities, 0..1."""

    precision: Precision
    kernel: Literal["fast", "matrix", "exact", "fp32"]
    deviation: float


class Proven(NamedTuple):
    """A session whose answers to the golden cases were right on this CPU."""

    session: Session
    kernel: Kernel


def open_proven(bundle: Bundle, *, threads: int) -> Proven:
    """Load a verified bundle with the fastest arithmetic that is right here: INT8, INT8 exact, then FP32 if it has it.

    Raises BundleError where none is.
    """
    manifest = bundle.manifest
    deviations: list[str] = []
    for kernel, session in _candidates(bundle, threads):
        deviation = golden_deviation(session, manifest.golden, manifest.input, kernel.precision)
        if deviation <= _limit(manifest.golden, kernel.precision):
            if deviations:
                log.warning("%s: %s; serving with %s", manifest.version, "; ".join(deviations), kernel.kernel)
            proven = Proven(session, kernel._replace(deviation=deviation))
            return _quicker(bundle, proven, threads) if kernel.kernel == "fast" else proven
        deviations.append(f"{kernel.precision} ({kernel.kernel}) is off by {deviation:.3f} on this CPU")
    remedy = "use a CPU with VNNI" if bundle.fp32_model else "export it with its FP32 model"
    raise BundleError(f"{bundle.path}: wrong answers to its golden cases: {', '.join(deviations)}; {remedy}")


def open_wider(bundle: Bundle, kernel: Kernel, *, threads: int) -> Session:
    """One more session with the arithmetic that was proven, on more threads: another kernel may be quicker on them."""
    if kernel.kernel not in {"fast", "matrix"}:
        return open_as(bundle, kernel, threads=threads)
    fast = kernel._replace(kernel="fast")
    return _quicker(bundle, Proven(open_as(bundle, fast, threads=threads), fast), threads).session


def open_as(bundle: Bundle, kernel: Kernel, *, threads: int) -> Session:
    """One more session of a bundle, with the arithmetic that was proven."""
    model = bundle.fp32_model if kernel.precision == "fp32" else bundle.model
    if model is None:
        raise BundleError(f"{bundle.path}: has no FP32 model; export it again")
    manifest = bundle.manifest
    return Session(
        model,
        manifest.input,
        len(manifest.labels),
        threads=threads,
        exact=kernel.kernel == "exact",
        shift=manifest.int8_weights if kernel.kernel == "matrix" else (),
    )


def golden_deviation(
    session: Session, cases: Sequence[GoldenCase], spec: ImageSpec, precision: Precision = "int8"
) -> float:
    """The largest difference between this session's probabilities and those recorded of its precision, 0..1.

    Raises BundleError for a golden case that this release cannot draw.
    """
    return max(_deviation(session, case, spec, precision) for case in cases)


def _quicker(bundle: Bundle, fast: Proven, threads: int) -> Proven:
    """The fast kernel or the matrix one, whichever takes less time here; the fast one where there is no AMX."""
    manifest = bundle.manifest
    if not manifest.int8_weights or AMX not in cpu_flags():
        return fast
    kernel = Kernel("int8", "matrix", 0.0)
    session = open_as(bundle, kernel, threads=threads)
    deviation = golden_deviation(session, manifest.golden, manifest.input)
    fast_s, matrix_s = _times([fast.session, session], manifest.input)
    took = (threads, fast_s * 1000, matrix_s * 1000)
    log.info("threads: %d; INT8 takes %.1f ms with the fast kernel, %.1f ms as matrix products", *took)
    if deviation > _limit(manifest.golden, "int8") or matrix_s > WORTH * fast_s:
        return fast
    return Proven(session, kernel._replace(deviation=deviation))


def _times(sessions: Sequence[Session], spec: ImageSpec) -> list[float]:
    """The median seconds of one inference by each session, in turn: a slow moment of the host meets all of them."""
    pixels = np.zeros((1, spec.height, spec.width, 3), np.uint8)
    took: list[list[float]] = [[] for _ in sessions]
    for _ in range(TIMED_RUNS):
        for session, times in zip(sessions, took, strict=True):
            began = time.perf_counter()
            session.infer(pixels)
            times.append(time.perf_counter() - began)
    return [median(times) for times in took]


def _candidates(bundle: Bundle, threads: int) -> Iterator[tuple[Kernel, Session]]:
    kernels = [Kernel("int8", "fast", 0.0), Kernel("int8", "exact", 0.0)]
    if bundle.fp32_model:
        kernels.append(Kernel("fp32", "fp32", 0.0))
    for kernel in kernels:
        yield kernel, open_as(bundle, kernel, threads=threads)


def _limit(cases: Sequence[GoldenCase], precision: Precision) -> float:
    unrecorded = precision == "int8" and any(case.int8 is None for case in cases)
    return QUANTISED_LIMIT if unrecorded else DEVIATION_LIMIT


def _deviation(session: Session, case: GoldenCase, spec: ImageSpec, precision: Precision) -> float:
    try:
        picture = golden.draw(case.pattern, case.seed, spec)
    except KeyError as error:
        raise BundleError(f"the golden pattern {error} is unknown to this release; update it") from error
    answer = session.infer(picture[np.newaxis]).probabilities[0]
    recorded = case.int8 if precision == "int8" and case.int8 else case.probabilities
    return float(np.abs(answer - np.array(recorded, np.float32)).max())
