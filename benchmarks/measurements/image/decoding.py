"""Scaled JPEG decoding: speed-up on 12-megapixel photos, and agreement of the labels."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.statistics.samples import Estimate, median_of, order, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus
from runtime.image import ImageSpec, decode
from runtime.inference.backends import open_validated
from runtime.inference.interface import InferenceSession

PIXELS = 12_000_000
QUALITY = 90
FULL, SCALED = "full decode, then resize", "scaled decode (runtime.image)"
TARGET_SPEEDUP = 5.0
TARGET_AGREEMENT = 0.995

_Decoder = Callable[[bytes, ImageSpec], NDArray[np.uint8]]


class DecodingResult(msgspec.Struct, frozen=True):
    """Times of one thread in ms, one sample a photo; `different` are the numbers of the photos with another label."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    photos: str
    megapixels: float
    full: Estimate
    scaled: Estimate
    speedup: Estimate
    count: int
    same_label: int
    largest_probability_change: float
    different: list[int]
    samples_full_ms: list[float]
    samples_scaled_ms: list[float]

    @property
    def agreement(self) -> float:
        """The share of photos with the same predicted label."""
        return self.same_label / self.count


def measure_decoding(bundle: Bundle, photos: Sequence[bytes], source: str) -> DecodingResult:
    """Enlarge each photo to 12 megapixels, decode it both ways, in turn, and ask the bundle about both."""
    spec = bundle.manifest.input
    session = open_validated(bundle, threads=available_cpus()).session
    decoders: dict[str, _Decoder] = {FULL: full_decode, SCALED: decode}
    times: dict[str, list[float]] = {FULL: [], SCALED: []}
    different, changes = [], []
    with watch_contention(1) as watch, progress("12-megapixel photos", len(photos)) as advance:
        for number, photo in enumerate(photos):
            large = enlarge(photo)
            answers = {}
            for name in order([FULL, SCALED], number):
                began = time.perf_counter()
                pixels = decoders[name](large, spec)
                times[name].append(round((time.perf_counter() - began) * 1000, 3))
                answers[name] = _probabilities(session, pixels)
            if answers[FULL].argmax() != answers[SCALED].argmax():
                different.append(number)
            changes.append(float(np.abs(answers[FULL] - answers[SCALED]).max()))
            advance()
    return DecodingResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        image_size=spec.height,
        photos=source,
        megapixels=PIXELS / 1e6,
        full=median_of(times[FULL]),
        scaled=median_of(times[SCALED]),
        speedup=ratio_of_medians(times[FULL], times[SCALED]),
        count=len(photos),
        same_label=len(photos) - len(different),
        largest_probability_change=round(max(changes), 4),
        different=different,
        samples_full_ms=times[FULL],
        samples_scaled_ms=times[SCALED],
    )


def enlarge(photo: bytes) -> bytes:
    """The photo as a JPEG of 12 megapixels and the same shape."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    scale = math.sqrt(PIXELS / (image.width * image.height))
    size = (round(image.width * scale), round(image.height * scale))
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def full_decode(data: bytes, spec: ImageSpec) -> NDArray[np.uint8]:
    """Every pixel decoded, and only then resized: what a server does that knows no better."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((spec.width, spec.height), Image.Resampling.BILINEAR))


def _probabilities(session: InferenceSession, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = session.infer(pixels[np.newaxis]).probabilities[0]
    return probabilities


def decoding_table(result: DecodingResult) -> Table:
    """One line a way of decoding."""
    table = Table(
        title=f"{result.megapixels:.0f}-megapixel JPEG to {result.image_size} px, ms, one thread ({result.photos})"
    )
    for column in ("", "median", "95 % interval"):
        table.add_column(column, justify="right" if column else "left")
    for name, estimate in ((FULL, result.full), (SCALED, result.scaled)):
        table.add_row(name, f"{estimate.value:.1f}", f"{estimate.low:.1f} to {estimate.high:.1f}")
    return table
