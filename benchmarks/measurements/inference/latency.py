"""In-process latency from JPEG bytes to label, stage by stage, against the replaced stack."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.contenders.photos import PHONE, draw_jpeg
from benchmarks.contenders.pipelines import REPLACED_SIZE, Stages, bundle_pipeline, fp32_pipeline, replaced_stack
from benchmarks.contenders.subprocesses import Burst, MakePipeline, isolated
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.statistics.samples import Estimate, interleave, median_of, p95_of, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.host.cores import inference_cores

REPLACED, FP32, INT8 = "PyTorch FP32 (replaced)", "ONNX FP32", "bundle INT8"
PHOTOS, PHONE_PHOTO = "photos", "12 megapixels"
PHONE_SHARE = 4  # one phone photo for so many rounds: it is slow, and steady
BURST = 4  # photos that a contender answers in one turn; all count


class Row(msgspec.Struct, frozen=True):
    """One contender with one number of threads on one kind of photo; milliseconds, raw samples kept.

    `speedup` is over the replaced stack on the same photos with the same threads; `p95_ms` is None where the samples
    are too few for it.
    """

    photos: str
    threads: int
    name: str
    image_size: int
    total: Estimate
    speedup: Estimate
    p95_ms: float | None
    decode_ms: float
    infer_ms: float
    samples_decode_ms: list[float]
    samples_infer_ms: list[float]

    @property
    def totals_ms(self) -> list[float]:
        """Bytes to label, round by round."""
        return [decode + infer for decode, infer in zip(self.samples_decode_ms, self.samples_infer_ms, strict=True)]


class LatencyResult(msgspec.Struct, frozen=True):
    """All rows, and how many times faster the bundle is with all threads.

    `speedup` is over the replaced stack with one thread or all, whichever suits it better (`replaced_threads`).
    """

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    photos: str
    rounds: int
    rows: list[Row]
    replaced_threads: int
    speedup: Estimate
    speedup_fp32: Estimate


def measure_latency(bundle: Bundle, photos: Sequence[bytes], source: str, *, rounds: int) -> LatencyResult:
    """Measure all contenders in turn, with one thread and with all, on `photos` and on a 12-megapixel one.

    Each works in a process of its own and answers a few photos a turn, as a server under use does.
    """
    phone = [draw_jpeg(PHONE, 0)]
    every = inference_cores().threads
    size = bundle.manifest.input.height
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, watch_contention(every) as watch:
        for threads in sorted({1, every}):
            makers: dict[str, MakePipeline] = {
                REPLACED: functools.partial(replaced_stack, threads),
                FP32: functools.partial(fp32_pipeline, bundle, threads, Path(folder)),
                INT8: functools.partial(bundle_pipeline, bundle, threads),
            }
            plural = "threads" if threads > 1 else "thread"
            sizes = {REPLACED: REPLACED_SIZE, FP32: size, INT8: size}
            with isolated(makers) as contenders:
                rows += _measure(contenders, sizes, photos, PHOTOS, threads, rounds, f"{threads} {plural}")
                few = max(3, rounds // PHONE_SHARE)
                rows += _measure(contenders, sizes, phone, PHONE_PHOTO, threads, few, f"{threads} {plural}, 12 MP")
    on_photos = [row for row in rows if row.photos == PHOTOS]
    replaced = min((row for row in on_photos if row.name == REPLACED), key=lambda row: row.total.value)
    ours = {row.name: row.totals_ms for row in on_photos if row.threads == every}
    return LatencyResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        image_size=size,
        photos=source,
        rounds=rounds,
        rows=rows,
        replaced_threads=replaced.threads,
        speedup=ratio_of_medians(replaced.totals_ms, ours[INT8]),
        speedup_fp32=ratio_of_medians(ours[FP32], ours[INT8]),
    )


def _measure(
    contenders: dict[str, Burst],
    sizes: dict[str, int],
    photos: Sequence[bytes],
    kind: str,
    threads: int,
    rounds: int,
    what: str,
) -> list[Row]:
    size = min(BURST, len(photos))

    def turns_of(burst: Burst) -> functools.partial[list[Stages]]:
        endless = itertools.cycle(photos)
        return functools.partial(lambda: burst(list(itertools.islice(endless, size))))

    turns = {name: turns_of(burst) for name, burst in contenders.items()}
    bursts = interleave(turns, rounds, what=what)
    samples = {name: list(itertools.chain.from_iterable(those)) for name, those in bursts.items()}
    replaced = [stage.total for stage in samples[REPLACED]]
    return [_row(kind, threads, name, sizes[name], stages, replaced) for name, stages in samples.items()]


def _row(
    kind: str, threads: int, name: str, image_size: int, stages: Sequence[Stages], replaced: Sequence[float]
) -> Row:
    totals = [stage.total for stage in stages]
    return Row(
        photos=kind,
        threads=threads,
        name=name,
        image_size=image_size,
        total=median_of(totals),
        speedup=ratio_of_medians(replaced, totals),
        p95_ms=p95_of(totals),
        decode_ms=float(np.median([stage.decode for stage in stages])),
        infer_ms=float(np.median([stage.infer for stage in stages])),
        samples_decode_ms=[round(stage.decode, 4) for stage in stages],
        samples_infer_ms=[round(stage.infer, 4) for stage in stages],
    )


def latency_table(result: LatencyResult) -> Table:
    """One line a contender, threads and kind of photo."""
    table = Table(title=f"JPEG bytes to label, ms (bundle {result.bundle}; {result.photos})")
    for column in ("photos", "threads", "", "px", "decode", "infer", "median", "95 % interval", "p95", "faster"):
        table.add_column(column, justify="left" if column in {"photos", ""} else "right")
    for row in result.rows:
        table.add_row(
            row.photos,
            str(row.threads),
            row.name,
            str(row.image_size),
            f"{row.decode_ms:.2f}",
            f"{row.infer_ms:.2f}",
            f"{row.total.value:.2f}",
            f"{row.total.low:.2f} to {row.total.high:.2f}",
            "" if row.p95_ms is None else f"{row.p95_ms:.2f}",
            "" if result.neighbours.contended else f"{row.speedup.value:.1f} x",
            end_section=row.name == INT8,
        )
    return table
