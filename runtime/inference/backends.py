"""Select the fastest inference backend whose outputs match the golden cases of the bundle.

The native kernel (`runtime.native`) comes first if the CPU supports it, then onnxruntime if it is installed. The fast
INT8 kernels of onnxruntime add pairs of products in 16 bits on x86 CPUs without VNNI (AVX2). These sums saturate, and
the outputs are silently wrong. The golden cases detect this in any backend, and the next one is used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.golden_patterns import draw
from runtime.bundle.input import ImageSpec, max_batch_size
from runtime.bundle.manifest import Bundle, BundleError, GoldenCase
from runtime.host.cores import threads_placed
from runtime.inference.interface import InferenceSession
from runtime.inference.native_session import NativeSession, open_native
from runtime.inference.optional import REMEDY, needs_onnxruntime, onnxruntime_installed, reason_for_onnxruntime
from runtime.native.layout import NAMES, Instructions
from runtime.native.library import library
from runtime.native.onnx_importer import UnknownGraphError

# Of the probabilities of a golden case. The native kernel's are the same everywhere, and are what is recorded;
# onnxruntime adds class scores in another order (a millionth), and rounds otherwise without fused multiply-add (SSE) or
# with additions in fixed point (ARM): a hundredth. Saturation makes a third.
DEVIATION_LIMIT = 0.05

Precision = Literal["int8", "fp32"]
Name = Literal[Instructions, "fast", "exact", "fp32"]
NATIVE: frozenset[Name] = frozenset(NAMES)

log = logging.getLogger(__name__)


class Kernel(NamedTuple):
    """A backend and its precision, and the largest deviation from the golden cases' probabilities, 0..1.

    `fast`, `exact` and `fp32` are onnxruntime's; the others are the native kernel's, by its instruction sets.
    """

    precision: Precision
    kernel: Name
    deviation: float = 0.0


class ValidatedSession(NamedTuple):
    """A session whose outputs match the golden cases on this CPU."""

    session: InferenceSession
    kernel: Kernel


def open_validated(bundle: Bundle, *, threads: int, preferred: str | None = None) -> ValidatedSession:
    """Open a verified bundle on the fastest backend that passes: INT8, exact INT8, then FP32 if the bundle has it.

    `preferred` names the backend to begin with, if those before are known to fail on this CPU. Raises BundleError if
    none passes, or if only onnxruntime could and it is not installed.
    """
    manifest = bundle.manifest
    deviations: list[str] = []
    for kernel, session in _candidates(bundle, threads, preferred):
        deviation = _deviation_of(bundle, session, kernel)
        if deviation <= DEVIATION_LIMIT:
            if deviations:
                log.warning("%s: %s; falling back to %s", manifest.version, "; ".join(deviations), kernel.kernel)
            return ValidatedSession(session, kernel._replace(deviation=deviation))
        deviations.append(f"{kernel.precision} ({kernel.kernel}) is off by {deviation:.3f} on this CPU")
    if not onnxruntime_installed():
        remedy = f"let onnxruntime compute it: {REMEDY}"
    else:
        again = "export it again, or serve it on another host if it passes there"
        remedy = again if bundle.fp32_model else "export it with its FP32 model"
    raise BundleError(f"{bundle.path}: wrong answers to its golden cases: {', '.join(deviations)}; {remedy}")


def open_pair(
    bundle: Bundle, *, threads: int, preferred: str | None = None
) -> tuple[ValidatedSession, InferenceSession]:
    """A validated session on one thread, and one on `threads`; raises as `open_validated` does.

    If the preferred kernel is onnxruntime's, both open at the same time, since each prepares its own weights.
    """
    if threads == 1:
        validated = open_validated(bundle, threads=1, preferred=preferred)
        return validated, validated.session
    known = [kernel for kernel in available_kernels(bundle) if kernel.kernel == preferred and preferred not in NATIVE]
    with ThreadPoolExecutor(1) as pool:
        wide = pool.submit(open_backend, bundle, known[0], threads=threads) if known else None
        validated = open_validated(bundle, threads=1, preferred=preferred)
    if wide and validated.kernel.kernel == preferred:
        return validated, wide.result()
    return validated, open_multi_threaded(bundle, validated, threads=threads)


def open_multi_threaded(bundle: Bundle, validated: ValidatedSession, *, threads: int) -> InferenceSession:
    """Another session of the validated backend, on more threads; native sessions share their weights."""
    session, kernel = validated
    if isinstance(session, NativeSession):
        with threads_placed(threads):
            return session.with_threads(threads)
    return open_backend(bundle, kernel, threads=threads)


def open_backend(bundle: Bundle, kernel: Kernel, *, threads: int) -> InferenceSession:
    """Open a bundle on one backend, without validation.

    Raises BundleError if the bundle lacks the model, UnknownGraphError if the native kernel does not support its graph.
    """
    manifest = bundle.manifest
    model = bundle.fp32_model if kernel.precision == "fp32" else bundle.model
    if model is None:
        raise BundleError(f"{bundle.path}: has no FP32 model; export it again")
    return open_model(model, kernel, manifest.input, manifest.outputs, threads=threads)


def open_model(model: Path | bytes, kernel: Kernel, spec: ImageSpec, outputs: int, *, threads: int) -> InferenceSession:
    """Open an ONNX file, or its content, on one backend; raises as `open_backend` does."""
    if kernel.kernel in NATIVE:
        with threads_placed(threads):
            return _native(model, kernel.kernel, spec, outputs, threads)
    if not onnxruntime_installed():
        subject = "the model" if isinstance(model, bytes) else str(model)
        raise needs_onnxruntime(subject, f"{kernel.precision.upper()} ({kernel.kernel}) is computed by that alone")
    # Lazy: onnxruntime is large, and the native kernel does without it.
    from runtime.inference.onnxruntime_session import OnnxruntimeSession  # noqa: PLC0415

    with threads_placed(threads):
        return OnnxruntimeSession(model, spec, outputs, threads=threads, exact=kernel.kernel == "exact")


def available_kernels(bundle: Bundle) -> list[Kernel]:
    """The backends that this host can run for a bundle, the fastest first."""
    kernels = int8_kernels()
    return [*kernels, Kernel("fp32", "fp32")] if bundle.fp32_model and onnxruntime_installed() else kernels


def int8_kernels() -> list[Kernel]:
    """The backends that this host can run for an INT8 model, the fastest first; those of onnxruntime if installed."""
    kernels = native_kernels()
    return [*kernels, Kernel("int8", "fast"), Kernel("int8", "exact")] if onnxruntime_installed() else kernels


def native_kernels() -> list[Kernel]:
    """The native kernel's instruction sets that this host can run, the fastest first; none if it is off."""
    native = library()
    return [Kernel("int8", name) for name in (native.choices if native else ())]


def golden_deviation(
    session: InferenceSession,
    cases: Sequence[GoldenCase],
    spec: ImageSpec,
    precision: Precision = "int8",
    *,
    limit: float = 1.0,
) -> float:
    """The largest difference between this session's probabilities and the golden cases' of its precision, 0..1.

    Stops at the first one above `limit`. NaN if an output is not a number. Raises BundleError for a golden case that
    this version cannot draw.
    """
    size = max_batch_size(spec)
    worst = 0.0
    # A batch of one first, as most photos come, which soon shows a wrong kernel; then full batches, which are faster.
    for batch in (cases[:1], *(cases[start : start + size] for start in range(1, len(cases), size))):
        worst = float(np.max([worst, *_deviations(session, batch, spec, precision)]))
        if not worst <= limit:
            break
    return worst


def picture_of(case: GoldenCase, spec: ImageSpec) -> NDArray[np.uint8]:
    """The input of a golden case, [height, width, 3]; raises BundleError for a pattern of a later release."""
    try:
        return draw(case.pattern, case.seed, spec)
    except KeyError as error:
        raise BundleError(f"the golden pattern {error} is unknown to this release; update it") from error


def _deviation_of(bundle: Bundle, session: InferenceSession, kernel: Kernel) -> float:
    manifest = bundle.manifest
    try:
        return golden_deviation(session, manifest.golden, manifest.input, kernel.precision, limit=DEVIATION_LIMIT)
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {error}") from error


def _candidates(bundle: Bundle, threads: int, preferred: str | None) -> Iterator[tuple[Kernel, InferenceSession]]:
    unknown, tried = None, False
    kernels = available_kernels(bundle)
    names = [kernel.kernel for kernel in kernels]
    for kernel in kernels[names.index(preferred) if preferred in names else 0 :]:
        if kernel.kernel in NATIVE and unknown:
            continue
        try:
            yield kernel, open_backend(bundle, kernel, threads=threads)
            tried = True
        except UnknownGraphError as reason:
            unknown = reason
            if onnxruntime_installed():
                log.info("%s: falling back to onnxruntime, since %s", bundle.manifest.version, reason)
    if not tried:
        raise needs_onnxruntime(str(bundle.path), reason_for_onnxruntime(unknown))


def _native(model: Path | bytes, name: Name, spec: ImageSpec, outputs: int, threads: int) -> InferenceSession:
    native = library()
    chosen = [each for each in (native.choices if native else ()) if each == name]
    if native is None or not chosen:
        raise UnknownGraphError(f"this CPU has no {name}")
    return open_native(model, spec, outputs, native._replace(instructions=chosen[0]), threads=threads)


def _deviations(
    session: InferenceSession, cases: Sequence[GoldenCase], spec: ImageSpec, precision: Precision
) -> NDArray[np.float32]:
    """The largest difference of each case, [N] float32."""
    answers = session.infer(np.stack([picture_of(case, spec) for case in cases])).probabilities  # [N, C]
    recorded = [case.int8 if precision == "int8" else case.probabilities for case in cases]
    differences: NDArray[np.float32] = np.abs(answers - np.array(recorded, np.float32)).max(1)
    return differences
