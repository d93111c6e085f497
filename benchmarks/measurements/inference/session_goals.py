"""Figures that bare sessions are to reach, by instruction set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, ratio_of_medians
from runtime.inference.kernel_labels import label_of

ONNXRUNTIME, OPENVINO, FP32 = "onnxruntime, INT8", "OpenVINO, INT8", "onnxruntime, FP32"
PRODUCT = "INT8 matrix product"  # by onnxruntime or by our kernel, in some sizes: the fastest is the peak
LEVEL = 1.03  # times as long: no one notices
OF_THE_PEAK = 0.6


class Row(msgspec.Struct, frozen=True):
    """One contender; `samples_ms` are the turns' medians, `gmacs` its billions of products a second.

    `kernel` is what ours computes with, as `GET /model` names it; empty for the others.
    """

    name: str
    threads: int
    median_ms: Estimate
    gmacs: float
    samples_ms: list[float]
    kernel: str = ""


class Limit(NamedTuple):
    """Of an instruction set's time over that of the fastest of `rivals`, by the side of the photos, px."""

    rivals: tuple[str, ...]
    at_most: Mapping[int, float]
    one_thread_only: bool = True


LIMITS: dict[str, Limit] = {
    "avx2": Limit((FP32,), {96: 0.5, 224: 0.65}),
    # 256-bit registers against OpenVINO's with 512 on the same host.
    "avxvnni": Limit((OPENVINO,), {96: 1.5, 224: 1.5}),
    "vnni": Limit((OPENVINO, ONNXRUNTIME), {96: 0.74, 224: 0.78}, one_thread_only=False),
}


def session_goals(rows: Sequence[Row], served: str, image_size: int) -> list[Goal]:
    """LIMITS at the sizes that they are for; what serves is level with OpenVINO, and at a fraction of the peak.

    Left out is what a row is missing for: a rival that did not take part, or products that were not measured.
    """
    goals: list[Goal] = []
    for threads in sorted({row.threads for row in rows}):
        here = [row for row in rows if row.threads == threads]
        for ours in (row for row in here if row.kernel):
            goals += _against_rivals(ours, here, image_size)
            if ours.kernel == served:
                goals += _level(ours, here)
                goals += _of_the_peak(ours, here) if threads == 1 else []
    return goals


def _against_rivals(ours: Row, here: Sequence[Row], image_size: int) -> list[Goal]:
    limit = LIMITS.get(ours.kernel)
    if limit is None or image_size not in limit.at_most or (limit.one_thread_only and ours.threads > 1):
        return []
    rivals = [row for row in here if row.name in limit.rivals]
    if len(rivals) < len(limit.rivals):
        return []
    fastest = min(rivals, key=lambda row: row.median_ms.value)
    label = f"{label_of(ours.kernel)}: time over that of {fastest.name}"
    return [_goal(label, ours, fastest, limit.at_most[image_size])]


def _level(ours: Row, here: Sequence[Row]) -> list[Goal]:
    return [_goal("time over OpenVINO's", ours, row, LEVEL) for row in here if row.name == OPENVINO]


def _goal(what: str, ours: Row, theirs: Row, at_most: float) -> Goal:
    ratio = ratio_of_medians(ours.samples_ms, theirs.samples_ms)
    return Goal(f"{what}, {_threads(ours)}", ratio, "at most", at_most, len(ours.samples_ms))


def _of_the_peak(ours: Row, here: Sequence[Row]) -> list[Goal]:
    products = [row for row in here if row.name.startswith(PRODUCT)]
    if not products:
        return []
    peak = max(products, key=lambda row: row.gmacs)
    # Products a second of the model over those of the matrix product.
    work = (ours.gmacs * ours.median_ms.value) / (peak.gmacs * peak.median_ms.value)
    fraction = ratio_of_medians([work * ms for ms in peak.samples_ms], ours.samples_ms)
    what = f"fraction of the INT8 peak, {_threads(ours)}"
    return [Goal(what, fraction, "at least", OF_THE_PEAK, len(ours.samples_ms))]


def _threads(row: Row) -> str:
    return f"{row.threads} thread{'s' if row.threads > 1 else ''}"
