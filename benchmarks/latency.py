"""In-process latency from JPEG bytes to label, stage by stage, against the stack that this product replaces."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.machine import Machine, this_machine
from benchmarks.photos import PHONE, draw_jpeg
from benchmarks.pipelines import Pipeline, Stages, bundle_pipeline, fp32_pipeline, replaced_stack
from benchmarks.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle import Bundle
from runtime.cpu import available_cpus

REPLACED, FP32, INT8 = "PyTorch FP32 (replaced)", "ONNX FP32", "bundle INT8"
PHONE_SHARE = 8  # one phone photo for so many rounds: it is slow, and steady


class Row(msgspec.Struct, frozen=True):
    """One contender with one number of threads on one kind of photo; milliseconds, raw samples kept."""

    photos: str
    threads: int
    name: str
    total: Estimate
    p95_ms: float
    decode_ms: float
    infer_ms: float
    samples_decode_ms: list[float]
    samples_infer_ms: list[float]


class LatencyResult(msgspec.Struct, frozen=True):
    """All rows, and how many times faster than the replaced stack the bundle is, with all threads."""

    machine: Machine
    bundle: str
    image_size: int
    photos: str
    rounds: int
    rows: list[Row]
    speedup: Estimate
    speedup_fp32: Estimate


def measure_latency(bundle: Bundle, photos: Sequence[bytes], source: str, *, rounds: int) -> LatencyResult:
    """Measure all contenders in turn, with one thread and with all, on `photos` and on a 12-megapixel one."""
    phone = [draw_jpeg(PHONE, 0)]
    every = available_cpus()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in sorted({1, every}):
            contenders = {
                REPLACED: replaced_stack(threads),
                FP32: fp32_pipeline(bundle, threads, Path(folder)),
                INT8: bundle_pipeline(bundle, threads),
            }
            plural = "threads" if threads > 1 else "thread"
            rows += _measure(contenders, photos, "photos", threads, rounds, f"{threads} {plural}")
            phone_rounds = max(3, rounds // PHONE_SHARE)
            rows += _measure(contenders, phone, "12 megapixels", threads, phone_rounds, f"{threads} {plural}, 12 MP")
    totals = {row.name: _totals(row) for row in rows if row.photos == "photos" and row.threads == every}
    return LatencyResult(
        machine=this_machine(),
        bundle=bundle.manifest.version,
        image_size=bundle.manifest.input.height,
        photos=source,
        rounds=rounds,
        rows=rows,
        speedup=ratio_of_medians(totals[REPLACED], totals[INT8]),
        speedup_fp32=ratio_of_medians(totals[FP32], totals[INT8]),
    )


def _measure(
    contenders: dict[str, Pipeline], photos: Sequence[bytes], kind: str, threads: int, rounds: int, what: str
) -> list[Row]:
    def over_photos(pipeline: Pipeline) -> functools.partial[Stages]:
        endless = itertools.cycle(photos)
        return functools.partial(lambda: pipeline(next(endless)))

    turns = {name: over_photos(pipeline) for name, pipeline in contenders.items()}
    samples = interleave(turns, rounds, what=what)
    return [_row(kind, threads, name, stages) for name, stages in samples.items()]


def _row(kind: str, threads: int, name: str, stages: Sequence[Stages]) -> Row:
    totals = [stage.total for stage in stages]
    return Row(
        photos=kind,
        threads=threads,
        name=name,
        total=median_of(totals),
        p95_ms=float(np.quantile(totals, 0.95)),
        decode_ms=float(np.median([stage.decode for stage in stages])),
        infer_ms=float(np.median([stage.infer for stage in stages])),
        samples_decode_ms=[round(stage.decode, 4) for stage in stages],
        samples_infer_ms=[round(stage.infer, 4) for stage in stages],
    )


def _totals(row: Row) -> list[float]:
    return [decode + infer for decode, infer in zip(row.samples_decode_ms, row.samples_infer_ms, strict=True)]
