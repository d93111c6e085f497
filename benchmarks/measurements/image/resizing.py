"""Bilinear resizing of photos to the model's input: the native kernel's, by instruction set, against Pillow's."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np
from PIL import Image
from rich.table import Table

from benchmarks.statistics.samples import Estimate, median_of, order, ratio_of_medians
from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.image import ImageSpec
from runtime.image.decode import warm_up
from runtime.image.flatten import REDUCING_GAP, native_resize
from runtime.native.library import Library
from runtime.native.resize import resize

PILLOW = "Pillow"
REPEATS = 5  # of each resize, of which the fastest counts: the first brings the photo into the cache

_Resize = Callable[[Image.Image], Image.Image]


class ResizingTime(msgspec.Struct, frozen=True):
    """CPU time of one way in µs, one sample a photo, and how many times as long Pillow takes."""

    name: str
    median: Estimate
    speedup: Estimate
    samples_us: list[float]


class ResizingResult(msgspec.Struct, frozen=True):
    """Pillow's times, then those of each instruction set of the host, the fastest first."""

    image_size: int
    photos: str
    count: int
    times: list[ResizingTime]


def measure_resizing(
    spec: ImageSpec, photos: Sequence[bytes], source: str, library: Library | None
) -> ResizingResult | None:
    """Resize each photo that serving resizes natively in every way, in turn; None if there is none.

    Raises Refusal if one of them differs from Pillow's in a byte.
    """
    warm_up()  # memory is managed as in serving
    size = (spec.width, spec.height)
    images = [image for photo in photos if native_resize(size, (image := _decoded(photo, size)).size)]
    if library is None or not images:
        return None
    ways: dict[str, _Resize] = {PILLOW: partial(_by_pillow, size=size)}
    ways |= {name: partial(resize, size=size, library=library._replace(instructions=name)) for name in library.choices}
    samples: dict[str, list[float]] = {name: [] for name in ways}
    with progress("resizing", len(images)) as advance:
        for number, image in enumerate(images):
            expected = np.asarray(_by_pillow(image, size))
            for name in order(list(ways), number):
                samples[name].append(_fastest_us(ways[name], image))
                if not np.array_equal(np.asarray(ways[name](image)), expected):
                    raise Refusal(f"{name} resizes photo {number} otherwise than Pillow; set DANDELION_NATIVE=off")
            advance()
    times = [
        ResizingTime(name, median_of(taken), ratio_of_medians(samples[PILLOW], taken), taken)
        for name, taken in samples.items()
    ]
    return ResizingResult(spec.height, source, len(images), times)


def _decoded(photo: bytes, size: tuple[int, int]) -> Image.Image:
    """As serving decodes it: a JPEG may be scaled meanwhile."""
    image = Image.open(io.BytesIO(photo))
    longest = max(size)
    image.draft("RGB", (longest, longest))
    return image.convert("RGB")


def _by_pillow(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)


def _fastest_us(way: _Resize, image: Image.Image) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.thread_time_ns()
        way(image)
        taken.append((time.thread_time_ns() - began) / 1000)
    return round(min(taken), 1)


def resizing_table(result: ResizingResult) -> Table:
    """One line a way of resizing."""
    table = Table(title=f"{result.count} photos to {result.image_size} px, µs of CPU time each ({result.photos})")
    for column in ("resize", "median", "95 % interval", "times as fast as Pillow"):
        table.add_column(column, justify="left" if column == "resize" else "right")
    for each in result.times:
        median, speedup = each.median, each.speedup
        ratio = "" if each.name == PILLOW else f"{speedup.value:.2f} ({speedup.low:.2f} to {speedup.high:.2f})"
        table.add_row(each.name, f"{median.value:.0f}", f"{median.low:.0f} to {median.high:.0f}", ratio)
    return table
