"""Numerical safety: on every CPU, answers that agree with the bundle's record, or none.

The native kernel (`runtime.native`) is taken where the processor has what it needs, onnxruntime elsewhere. Its fast
INT8 kernels of x86 processors without VNNI (AVX2) add pairs of products in 16 bits, which saturate: wrong answers,
silently. The golden cases of the manifest show that of any kernel, and the next one is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from runtime import golden
from runtime.bundle import Bundle, BundleError, GoldenCase
from runtime.image import ImageSpec
from runtime.inference import Infers
from runtime.native.library import library
from runtime.native.network import UnknownGraphError
from runtime.native.session import NativeSession, open_native

DEVIATION_LIMIT = 0.02  # probabilities of a golden case: right kernels differ by a millionth, saturation by a tenth
QUANTISED_LIMIT = 0.08  # where a bundle recorded FP32's answers only, from which right INT8 differs, too

Precision = Literal["int8", "fp32"]
Name = Literal["amx", "vnni", "fast", "exact", "fp32"]
NATIVE = {"amx", "vnni"}

log = logging.getLogger(__name__)


class Kernel(NamedTuple):
    """How a bundle is computed on this CPU, and the largest deviation from the recorded probabilities, 0..1.

    `amx` and `vnni` are the native kernel's; `fast`, `exact` and `fp32` are onnxruntime's.
    """

    precision: Precision
    kernel: Name
    deviation: float = 0.0


class Proven(NamedTuple):
    """A session whose answers to the golden cases were right on this CPU."""

    session: Infers
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
            return Proven(session, kernel._replace(deviation=deviation))
        deviations.append(f"{kernel.precision} ({kernel.kernel}) is off by {deviation:.3f} on this CPU")
    remedy = "use a CPU with VNNI" if bundle.fp32_model else "export it with its FP32 model"
    raise BundleError(f"{bundle.path}: wrong answers to its golden cases: {', '.join(deviations)}; {remedy}")


def open_wider(bundle: Bundle, proven: Proven, *, threads: int) -> Infers:
    """One more session with the arithmetic that was proven, on more threads; it shares weights where it can."""
    session, kernel = proven
    return session.wider(threads) if isinstance(session, NativeSession) else open_as(bundle, kernel, threads=threads)


def open_as(bundle: Bundle, kernel: Kernel, *, threads: int) -> Infers:
    """One more session of a bundle, with the arithmetic that is named.

    Raises BundleError for a bundle that has no such model, UnknownGraphError where the native kernel cannot have it.
    """
    manifest = bundle.manifest
    if kernel.kernel in NATIVE:
        return _native(bundle, kernel.kernel, threads)
    from runtime.session import Session  # noqa: PLC0415 - onnxruntime is large, and the native kernel does without

    model = bundle.fp32_model if kernel.precision == "fp32" else bundle.model
    if model is None:
        raise BundleError(f"{bundle.path}: has no FP32 model; export it again")
    exact = kernel.kernel == "exact"
    return Session(model, manifest.input, len(manifest.labels), threads=threads, exact=exact)


def kernels_of(bundle: Bundle) -> list[Kernel]:
    """What a bundle may be computed with on this CPU, the fastest first."""
    native = library()
    names: dict[Name, list[Name]] = {"amx": ["amx", "vnni"], "vnni": ["vnni"]}
    kernels = [Kernel("int8", name) for name in (names[native.instructions] if native else [])]
    kernels += [Kernel("int8", "fast"), Kernel("int8", "exact")]
    return [*kernels, Kernel("fp32", "fp32")] if bundle.fp32_model else kernels


def golden_deviation(
    session: Infers, cases: Sequence[GoldenCase], spec: ImageSpec, precision: Precision = "int8"
) -> float:
    """The largest difference between this session's probabilities and those recorded of its precision, 0..1.

    Raises BundleError for a golden case that this release cannot draw.
    """
    return float(np.max([_deviation(session, case, spec, precision) for case in cases]))  # NaN, where one is


def _candidates(bundle: Bundle, threads: int) -> Iterator[tuple[Kernel, Infers]]:
    known = True
    for kernel in kernels_of(bundle):
        if kernel.kernel in NATIVE and not known:
            continue
        try:
            yield kernel, open_as(bundle, kernel, threads=threads)
        except UnknownGraphError as reason:
            known = False
            log.info("%s: onnxruntime computes it, since %s", bundle.manifest.version, reason)


def _native(bundle: Bundle, name: Name, threads: int) -> Infers:
    native = library()
    if native is None:
        raise UnknownGraphError(f"this CPU has no {name}")
    manifest = bundle.manifest
    instructions: Literal["amx", "vnni"] = "amx" if name == "amx" else "vnni"
    chosen = native._replace(instructions=instructions)
    return open_native(bundle.model, manifest.input, len(manifest.labels), chosen, threads=threads)


def _limit(cases: Sequence[GoldenCase], precision: Precision) -> float:
    unrecorded = precision == "int8" and any(case.int8 is None for case in cases)
    return QUANTISED_LIMIT if unrecorded else DEVIATION_LIMIT


def _deviation(session: Infers, case: GoldenCase, spec: ImageSpec, precision: Precision) -> float:
    try:
        picture = golden.draw(case.pattern, case.seed, spec)
    except KeyError as error:
        raise BundleError(f"the golden pattern {error} is unknown to this release; update it") from error
    answer = session.infer(picture[np.newaxis]).probabilities[0]
    recorded = case.int8 if precision == "int8" and case.int8 else case.probabilities
    return float(np.abs(answer - np.array(recorded, np.float32)).max())
