"""Photo limits: the pixels of one photo, and the memory for decoding, which follows what the process may take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runtime.host.cpu import available_cpus
from runtime.host.memory_limit import memory_for_planning

MAX_PIXELS = 64_000_000
# Phones have sensors of 200 megapixels: decoded at scale, such a plain JPEG takes about 13 MB.
MAX_SCALED_PIXELS = 256_000_000
MAX_DECODING_BYTES = 400_000_000  # what MAX_PIXELS of a progressive JPEG take, the most that is useful by default
MIN_DECODING_BYTES = 16 * 2**20
SMALL_BYTES, MOST_SMALL_BYTES = 4_000_000, 24_000_000
_SMALL_SHARE = 3 / 32  # of the memory, for one photo on each processor
# Bytes that a progressive JPEG takes for each pixel, a little above the measured 6.06.
_PROGRESSIVE = 6.2
# A quarter of the memory is for request bodies and spare. Of the process itself, page, API and the default model on
# onnxruntime take 118 MiB, of which the spare quarter covers the rest.
_SHARE, _PROCESS_BYTES = 0.75, 104 * 2**20


@dataclass(frozen=True)
class PhotoLimits:
    """What photos may take.

    `max_pixels` bounds each photo, `max_scaled_pixels` a JPEG in one scan, which is decoded at a smaller scale.
    `decoding_bytes` bounds the memory of all photos that are being decoded, and so that of the largest one.
    `small_bytes` is what a photo may take without waiting for others.
    `memory_bytes` is the memory that they follow; None if a setting says it, or nothing is known.
    """

    max_pixels: int = MAX_PIXELS
    max_scaled_pixels: int = MAX_SCALED_PIXELS
    decoding_bytes: int = MAX_DECODING_BYTES
    memory_bytes: int | None = None
    small_bytes: int = SMALL_BYTES


DEFAULT_LIMITS = PhotoLimits()


def limits_for(
    memory_bytes: int | None, *, max_pixels: int | None = None, decoding_bytes: int | None = None
) -> PhotoLimits:
    """The limits of a process that may take `memory_bytes` (None: not known); what is set explicitly wins.

    An explicit `max_pixels` holds for all formats, and allows the memory that a progressive JPEG of that size takes.
    """
    if decoding_bytes is not None:
        memory_bytes = None
    else:
        decoding_bytes = _share_of(memory_bytes)
        if max_pixels is not None and max_pixels * _PROGRESSIVE > decoding_bytes:
            decoding_bytes, memory_bytes = int(max_pixels * _PROGRESSIVE), None
    limits = PhotoLimits(decoding_bytes=decoding_bytes, memory_bytes=memory_bytes)
    return limits if max_pixels is None else replace(limits, max_pixels=max_pixels, max_scaled_pixels=max_pixels)


def limits_of_host(*, max_pixels: int | None = None, decoding_bytes: int | None = None) -> PhotoLimits:
    """`limits_for` the memory that this process may take."""
    memory_bytes = memory_for_planning()
    limits = limits_for(memory_bytes, max_pixels=max_pixels, decoding_bytes=decoding_bytes)
    return replace(limits, small_bytes=small_bytes(memory_bytes, available_cpus()))


def small_bytes(memory_bytes: int | None, processors: int) -> int:
    """What a photo may take without waiting: each processor may decode one, beside those that wait for each other."""
    if memory_bytes is None:
        return SMALL_BYTES
    return max(SMALL_BYTES, min(MOST_SMALL_BYTES, int(_SMALL_SHARE * memory_bytes / processors)))


def _share_of(memory_bytes: int | None) -> int:
    if memory_bytes is None:
        return MAX_DECODING_BYTES
    left = int(_SHARE * memory_bytes) - _PROCESS_BYTES
    return max(MIN_DECODING_BYTES, min(left, MAX_DECODING_BYTES))
